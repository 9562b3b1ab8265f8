"""kvopt: exact and certified scheduling of LLM inference requests under a KV cache capacity.

>>> import kvopt as kv
>>> inst = kv.Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
>>> kv.solve(inst, "brute-force").total_latency, kv.solve(inst, "mc-sf").total_latency
(12, 13)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvopt.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kvopt.io.formats import read, read_result, write, write_result
    from kvopt.model import Certificate, Instance, Result, Schedule, Status
    from kvopt.solving import solve

#: Public name -> module of this package; loaded on first use, so that `import kvopt` and `kvopt --help` stay quick.
_HOMES = {
    "Instance": "model",
    "Schedule": "model",
    "Result": "model",
    "Certificate": "model",
    "Status": "model",
    "read": "io.formats",
    "write": "io.formats",
    "read_result": "io.formats",
    "write_result": "io.formats",
    "solve": "solving",
}

__all__ = [
    "Certificate",
    "Instance",
    "Result",
    "Schedule",
    "Status",
    "read",
    "read_result",
    "solve",
    "write",
    "write_result",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
