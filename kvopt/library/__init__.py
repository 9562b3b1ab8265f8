"""The instance library: instance files, the best result known for each, and an index made from them.

``<root>/<family>/<name>.json`` is an instance, ``<name>.result.json`` (``.json.gz`` when large) its best
result, ``<root>/index.json`` and ``<root>/README.md`` are generated, never edited.
"""

from kvopt.library.checking import verify_library
from kvopt.library.files import instance_files, result_file, store_result
from kvopt.library.improving import Refused, improve, merge
from kvopt.library.index import Entry, build_index, entry_of, read_index, write_index
from kvopt.library.solving import Outcome, solve_library
from kvopt.library.suites import SUITES, create

__all__ = [
    "SUITES",
    "Entry",
    "Outcome",
    "Refused",
    "build_index",
    "create",
    "entry_of",
    "improve",
    "instance_files",
    "merge",
    "read_index",
    "result_file",
    "solve_library",
    "store_result",
    "verify_library",
    "write_index",
]
