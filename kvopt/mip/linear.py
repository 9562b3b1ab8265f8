"""A linear programme given by its coefficients, solved by GLOP: values and duals."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from kvopt.errors import SolverError
from kvopt.mip.libraries import SolveInterrupter, mathopt, model_pb2
from kvopt.model import FloatArray


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
        row, column, value = np.array(self._row), np.array(self._column), np.array(self._value)
        order = np.lexsort((column, row))
        proto = model_pb2.ModelProto()
        proto.variables.ids.extend(range(self.columns))
        proto.variables.lower_bounds.extend(np.zeros(self.columns))
        proto.variables.upper_bounds.extend(np.full(self.columns, np.inf))
        proto.variables.integers.extend([False] * self.columns)
        proto.objective.linear_coefficients.ids.extend([0])
        proto.objective.linear_coefficients.values.extend([1.0])
        proto.linear_constraints.ids.extend(range(self.rows))
        proto.linear_constraints.lower_bounds.extend(self._low)
        proto.linear_constraints.upper_bounds.extend(self._high)
        proto.linear_constraint_matrix.row_ids.extend(row[order])
        proto.linear_constraint_matrix.column_ids.extend(column[order])
        proto.linear_constraint_matrix.coefficients.extend(value[order])
        model = mathopt.Model.from_model_proto(proto)
        limit = None if time_limit_s is None else timedelta(seconds=time_limit_s)
        result = mathopt.solve(
            model,
            mathopt.SolverType.GLOP,
            params=mathopt.SolveParameters(time_limit=limit),
            interrupter=self.interrupter,
        )
        reason = result.termination.reason
        if reason in (mathopt.TerminationReason.NO_SOLUTION_FOUND, mathopt.TerminationReason.FEASIBLE):
            return None
        dual = result.solutions[0].dual_solution if result.solutions else None
        if reason != mathopt.TerminationReason.OPTIMAL or dual is None:
            detail = result.termination.detail or "no details"
            raise SolverError(f"GLOP did not solve the linear programme: {reason.name.lower()} ({detail})")
        found = result.variable_values()
        return Optimum(
            result.objective_value(),
            np.array([found[variable] for variable in model.variables()]),
            np.array([dual.dual_values[constraint] for constraint in model.linear_constraints()]),
        )
