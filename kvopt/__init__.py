"""kvopt: exact and certified scheduling of LLM inference requests under a KV cache capacity.

>>> import kvopt as kv
>>> inst = kv.Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
>>> kv.solve(inst, "brute-force").total_latency, kv.solve(inst, "mc-sf").total_latency
(12, 13)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kvopt.io.formats import read, read_result, write, write_result
    from kvopt.model import Certificate, Instance, Result, Schedule, Status
    from kvopt.solving import solve

#: Public name -> module; loaded on first use, so that `import kvopt` and `kvopt --help` stay quick.
_HOMES = {
    "Instance": "kvopt.model",
    "Schedule": "kvopt.model",
    "Result": "kvopt.model",
    "Certificate": "kvopt.model",
    "Status": "kvopt.model",
    "read": "kvopt.io.formats",
    "write": "kvopt.io.formats",
    "read_result": "kvopt.io.formats",
    "write_result": "kvopt.io.formats",
    "solve": "kvopt.solving",
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kvopt' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
