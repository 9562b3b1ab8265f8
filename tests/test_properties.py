"""Relations between optima that hold for every instance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve


def optimum(instance: Instance) -> int:
    """Optimal total latency by the dynamic programme."""
    result = solve(instance, "dp")
    assert result.status == "optimal"
    return result.total_latency


@given(instances(max_n=6), st.integers(1, 4))
def test_more_capacity_never_hurts(instance: Instance, more: int) -> None:
    """Every schedule stays feasible when M grows."""
    wider = Instance(instance.capacity + more, instance.prompt, instance.output, instance.arrival)
    assert optimum(wider) <= optimum(instance)


@given(instances(max_n=6), st.data())
def test_a_shorter_output_never_hurts(instance: Instance, data: st.DataObject) -> None:
    """Every schedule stays feasible when a request ends earlier, and that request gains a round."""
    i = data.draw(st.integers(0, instance.n - 1))
    output = instance.output.copy()
    if output[i] == 1:
        return
    output[i] -= 1
    shorter = Instance(instance.capacity, instance.prompt, output, instance.arrival)
    assert optimum(shorter) <= optimum(instance) - 1


@given(instances(max_n=6))
def test_order_of_requests_does_not_matter(instance: Instance) -> None:
    """Numbering is a matter of the file."""
    turned = Instance(instance.capacity, instance.prompt[::-1], instance.output[::-1], instance.arrival[::-1])
    assert optimum(turned) == optimum(instance)


@given(instances(max_n=6), st.integers(1, 5))
def test_later_arrivals_shift_everything(instance: Instance, delay: int) -> None:
    """Delaying all requests alike changes no latency."""
    later = Instance(instance.capacity, instance.prompt, instance.output, instance.arrival + delay)
    assert optimum(later) == optimum(instance)
