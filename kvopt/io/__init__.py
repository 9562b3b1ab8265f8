"""Files: instances, results, certificates and public traces."""
