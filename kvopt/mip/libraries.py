"""The only place that imports `ortools` and `pulp`: in this order, or not at all.

Both bring HiGHS into the process, OR-Tools its own copy and PuLP whatever `highspy` is installed, loaded with
global symbols at ``import pulp``. If that foreign copy comes first, OR-Tools' calls end up in it: with highspy
1.15 and later OR-Tools cannot be imported at all, with 1.13 and 1.14 HiGHS called through MathOpt kills the
process. OR-Tools first is safe with all of them, and so is any order without highspy.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from kvopt.errors import SolverError


def refuse_unsafe_order() -> None:
    """Raise SolverError if a foreign HiGHS library was loaded before OR-Tools.

    Raises
    ------
    SolverError
        If highspy is installed and `pulp` or `highspy` was imported before OR-Tools' native code.
    """
    loaded = list(sys.modules)  # in the order in which imports ended
    native = next((k for k, name in enumerate(loaded) if is_native_ortools(name)), len(loaded))
    first = next((name for name in ("pulp", "highspy") if name in loaded[:native]), None)
    if first is None:
        return
    if first == "highspy" or find_spec("highspy") is not None:
        raise SolverError(
            f"{first} was imported before OR-Tools and highspy is installed: two HiGHS libraries in one process "
            "crash or answer wrongly. Import kvopt.mip.libraries (or ortools.sat.python.cp_model) first, or "
            "uninstall highspy"
        )


def is_native_ortools(name: str) -> bool:
    """Whether a loaded module of that name is compiled code of OR-Tools."""
    if not name.startswith("ortools."):
        return False
    path = getattr(sys.modules[name], "__file__", None) or ""
    return path.endswith((".so", ".pyd"))


refuse_unsafe_order()

# The order of these imports is the purpose of this file.
from ortools.graph.python import min_cost_flow  # noqa: E402
from ortools.math_opt import model_pb2  # noqa: E402
from ortools.math_opt.python import mathopt  # noqa: E402
from ortools.sat.python import cp_model  # noqa: E402
from ortools.util.python.solve_interrupter import SolveInterrupter  # noqa: E402

import pulp  # noqa: E402  isort: skip

__all__ = ["SolveInterrupter", "cp_model", "mathopt", "min_cost_flow", "model_pb2", "pulp"]
