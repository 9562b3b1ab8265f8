"""The ablation: every variant of the search is exact."""

import pytest

from kvopt.bounds.prices import MemoryPrices
from kvopt.exact.search import Rules, Search
from kvopt.experiments.ablation import VARIANTS, search_of
from kvopt.generate import generate
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solving import solve


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_finds_the_optimum_and_proves_it(variant: str) -> None:
    """Leaving a part out may cost labels, never the optimum."""
    for seed in range(3):
        instance = generate("different", requests=6, seed=seed)
        optimum = solve(instance, "brute-force").total_latency
        assert optimum is not None
        monitor = Monitor(instance)
        search = search_of(instance, VARIANTS[variant], optimum, monitor)
        found = search.run(optimum + 1)
        assert (found.bound, monitor.incumbent, found.complete) == (optimum, optimum, True)
        none = search.run(optimum)
        assert (none.bound, none.complete) == (optimum, True)


def test_what_a_search_without_the_gap_rule_refuses() -> None:
    """Without the rule nothing limits waiting for arrivals, and a proof has no runs to name."""
    rules = Rules(gap=False)
    late, early = Instance(5, [1, 1], [1, 3], [0, 2]), Instance(5, [1, 1], [1, 3])
    prices = MemoryPrices(early.output[:0], 1)
    with pytest.raises(ValueError, match="arrivals"):
        Search(late, prices, Monitor(late), rules)
    with pytest.raises(ValueError, match="proof"):
        Search(early, prices, Monitor(early), rules).run(9, record=True)
