"""Linear programmes given by their coefficients, solved by GLOP: values and duals."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from kvopt.errors import SolverError
from kvopt.mip.libraries import SolveInterrupter, mathopt, model_pb2
from kvopt.model import FloatArray, IntArray

#: Rows, columns and values of nonzero coefficients; a single value counts for all of them.
Entries = tuple[IntArray, IntArray, FloatArray | IntArray | int]


def linear_model(
    cost: FloatArray, upper: FloatArray, entries: Sequence[Entries], low: FloatArray, high: FloatArray
) -> mathopt.Model:
    """Minimise ``cost x`` over ``0 <= x <= upper`` and ``low <= A x <= high``.

    Parameters
    ----------
    cost, upper : float64 arrays of shape (columns,)
    entries : sequence of Entries
        The coefficients A in any order, none twice; zeros are left out.
    low, high : float64 arrays of shape (rows,)

    Returns
    -------
    mathopt.Model
        Its variables are the columns in order, its linear constraints the rows.
    """
    row = np.concatenate([entry[0] for entry in entries])
    column = np.concatenate([entry[1] for entry in entries])
    value = np.concatenate([np.broadcast_to(entry[2], entry[0].shape) for entry in entries]).astype(np.float64)
    order = np.lexsort((column, row))
    order = order[value[order] != 0]
    proto = model_pb2.ModelProto()
    proto.variables.ids.extend(range(len(cost)))
    proto.variables.lower_bounds.extend(np.zeros(len(cost)))
    proto.variables.upper_bounds.extend(upper)
    proto.variables.integers.extend([False] * len(cost))
    counted = np.flatnonzero(cost)
    proto.objective.linear_coefficients.ids.extend(counted)
    proto.objective.linear_coefficients.values.extend(cost[counted])
    proto.linear_constraints.ids.extend(range(len(low)))
    proto.linear_constraints.lower_bounds.extend(low)
    proto.linear_constraints.upper_bounds.extend(high)
    proto.linear_constraint_matrix.row_ids.extend(row[order])
    proto.linear_constraint_matrix.column_ids.extend(column[order])
    proto.linear_constraint_matrix.coefficients.extend(value[order])
    return mathopt.Model.from_model_proto(proto)


def solve_linear(
    model: mathopt.Model,
    time_limit_s: float | None = None,
    *,
    none_if: Collection[mathopt.TerminationReason] = (),
    interrupter: SolveInterrupter | None = None,
) -> mathopt.SolveResult | None:
    """Solve with GLOP.

    Parameters
    ----------
    model : mathopt.Model
    time_limit_s : float, optional
        Seconds.
    none_if : collection of TerminationReason
        What the caller expects besides an optimum.
    interrupter : SolveInterrupter, optional

    Returns
    -------
    mathopt.SolveResult or None
        With an optimum and its duals; None if GLOP ends for one of the reasons in `none_if`.

    Raises
    ------
    SolverError
        If it ends without an optimum and its duals for any other reason.
    """
    limit = None if time_limit_s is None else timedelta(seconds=time_limit_s)
    result = mathopt.solve(
        model,
        mathopt.SolverType.GLOP,
        params=mathopt.SolveParameters(time_limit=limit),
        interrupter=interrupter,
    )
    reason = result.termination.reason
    if reason in none_if:
        return None
    if reason != mathopt.TerminationReason.OPTIMAL or not result.has_dual_feasible_solution():
        detail = result.termination.detail or "no details"
        raise SolverError(f"GLOP did not solve the linear programme: {reason.name.lower()} ({detail})")
    return result


class Optimum(NamedTuple):
    """Optimum of a linear programme.

    Attributes
    ----------
    value : float
    values : float64 array
        Of the variables.
    duals : float64 array
        Of the rows, in the sign of a minimisation: by how much the value grows with the right-hand side.
    """

    value: float
    values: FloatArray
    duals: FloatArray


class LinearProgramme:
    """Minimise the first variable over nonnegative variables and rows ``low <= a x <= high``."""

    def __init__(self) -> None:
        self.columns = 0
        self.interrupter = SolveInterrupter()
        self._row, self._column, self._value = array("q"), array("q"), array("d")
        self._low, self._high = array("d"), array("d")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._low)

    @property
    def coefficients(self) -> int:
        """Number of nonzero coefficients."""
        return len(self._row)

    def variable(self) -> int:
        """A new variable."""
        self.columns += 1
        return self.columns - 1

    def add(self, low: float, terms: Iterable[tuple[int, int]], high: float) -> int:
        """A new row from (variable, coefficient) pairs, each variable at most once."""
        for variable, coefficient in terms:
            if coefficient:
                self._row.append(self.rows)
                self._column.append(variable)
                self._value.append(coefficient)
        self._low.append(low)
        self._high.append(high)
        return self.rows - 1

    def solve(self, time_limit_s: float | None = None) -> Optimum | None:
        """The optimum, or None if the time ran out or `interrupter` was used.

        Raises
        ------
        SolverError
            If the programme has no optimum or GLOP gives up.
        """
        cost = np.zeros(self.columns)
        cost[0] = 1.0
        entries = [(np.array(self._row), np.array(self._column), np.array(self._value))]
        model = linear_model(cost, np.full(self.columns, np.inf), entries, np.array(self._low), np.array(self._high))
        stopped = (mathopt.TerminationReason.NO_SOLUTION_FOUND, mathopt.TerminationReason.FEASIBLE)
        result = solve_linear(model, time_limit_s, none_if=stopped, interrupter=self.interrupter)
        if result is None:
            return None
        found, duals = result.variable_values(), result.dual_values()
        return Optimum(
            result.objective_value(),
            np.array([found[variable] for variable in model.variables()]),
            np.array([duals[constraint] for constraint in model.linear_constraints()]),
        )
