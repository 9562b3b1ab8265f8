"""Public request traces, one small file for each format; `import_trace` makes instances of them."""

from kvopt.io.traces.importing import SOURCES, ImportReport, import_trace

__all__ = ["SOURCES", "ImportReport", "import_trace"]
