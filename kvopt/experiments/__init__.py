"""Experiments: seeded simulations and searches with the exact engine, one table (CSV) and one picture each.

Each is a module with an `Experiment`: cells (parameters of one run), a function that measures a cell, a picture
and findings computed from the rows. Run them with ``kvopt experiment NAME`` or `run`.
"""

from __future__ import annotations

import importlib

from kvopt.errors import UnknownNameError
from kvopt.experiments.experiment import Experiment, Outcome, Row, run

#: name -> module with an `EXPERIMENT`.
EXPERIMENTS: dict[str, str] = {
    "prediction-error": "kvopt.experiments.prediction_error",
    "load-sweep": "kvopt.experiments.load_sweep",
    "alpha-beta": "kvopt.experiments.alpha_beta",
    "energy": "kvopt.experiments.energy",
    "wait": "kvopt.experiments.wait",
    "ablation": "kvopt.experiments.ablation",
    "smallest-counterexamples": "kvopt.experiments.smallest_counterexamples",
    "identical-requests": "kvopt.experiments.identical_requests",
    "worst-ratios": "kvopt.experiments.worst_ratios",
    "published-models": "kvopt.experiments.published_models",
}

__all__ = ["EXPERIMENTS", "Experiment", "Outcome", "Row", "find_experiment", "run"]


def find_experiment(name: str) -> Experiment:
    """The experiment of a name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Experiment

    Raises
    ------
    UnknownNameError
        If there is none; the message lists the names.
    """
    if name not in EXPERIMENTS:
        raise UnknownNameError("experiment", name, list(EXPERIMENTS))
    return importlib.import_module(EXPERIMENTS[name]).EXPERIMENT
