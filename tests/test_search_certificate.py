"""The search certificate: accepted when it is right, refused when anything in it is touched."""

from __future__ import annotations

import base64

import certificates
import pytest
from certificates import packed
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.verify import read_varints

#: Arrivals, because without them so few types are proved by sublimation.
EXAMPLE = Instance.from_rows(12, [(1, 3, 3, 0), (2, 6, 2, 1), (0, 4, 2, 2)])


def proved(certificate: dict, instance: Instance = EXAMPLE) -> int | None:
    """The bound that the checker accepts, or None for a refusal."""
    return certificates.proved(instance, certificate)


def test_no_certificate_proves_more_than_the_optimum() -> None:
    """Every single-number change of the codes is refused or proves a bound that is still true."""
    result = solve(EXAMPLE, "dp")
    certificate = result.certificate.as_dict()
    best = solve(EXAMPLE, "brute-force").total_latency
    assert proved(certificate) == best
    numbers = list(read_varints(certificate["codes"]))
    refused = 0
    for i in range(len(numbers)):
        for change in (-1, 1, 5):
            if numbers[i] + change < 0:
                continue
            changed = [*numbers[:i], numbers[i] + change, *numbers[i + 1 :]]
            bound = proved(certificate | {"codes": packed(changed)})
            assert bound is None or bound <= best
            refused += bound is None
    assert refused > len(numbers)


def test_a_threshold_above_the_optimum_is_refused() -> None:
    """The codes of a true proof do not prove a larger number."""
    result = solve(EXAMPLE, "dp")
    for more in (1, 2, 10):
        certificate = result.certificate.as_dict()
        certificate["threshold"] += more
        bound = proved(certificate)
        assert bound is None or bound <= result.total_latency


@pytest.mark.parametrize("key", ["threshold", "denominator", "layers"])
@pytest.mark.parametrize("value", [-1, 1.5, True, None, "3", 10**9])
def test_malformed_heads_are_refused(key: str, value: object) -> None:
    """Wrong kinds of values end in a refusal, never in a crash."""
    certificate = solve(EXAMPLE, "dp").certificate.as_dict()
    bound = proved(certificate | {key: value})
    assert bound is None or bound <= solve(EXAMPLE, "brute-force").total_latency


@pytest.mark.parametrize("codes", [None, 3, "", "not base64!", "AAAA", base64.b64encode(b"x").decode()])
def test_malformed_codes_are_refused(codes: object) -> None:
    """Codes that cannot be unpacked are refused."""
    assert proved(solve(EXAMPLE, "dp").certificate.as_dict() | {"codes": codes}) is None


@given(instances(max_n=6), st.data())
def test_a_proof_for_another_instance_proves_nothing_false(instance: Instance, data: st.DataObject) -> None:
    """Used on a relaxed instance, a certificate is refused or its bound is true there as well."""
    certificate = solve(instance, "dp").certificate.as_dict()
    wider = Instance(
        instance.capacity + data.draw(st.integers(1, 3)), instance.prompt, instance.output, instance.arrival
    )
    bound = proved(certificate, wider)
    assert bound is None or bound <= solve(wider, "brute-force").total_latency


@given(instances(max_n=6), st.data())
def test_random_codes_prove_nothing_false(instance: Instance, data: st.DataObject) -> None:
    """Cut and altered codes never let a bound above the optimum through."""
    result = solve(instance, "dp")
    certificate = result.certificate.as_dict()
    assume(certificate["kind"] == "search")
    numbers = list(read_varints(certificate["codes"]))
    at = data.draw(st.integers(0, max(0, len(numbers) - 1)))
    numbers[at : at + 1] = data.draw(st.lists(st.integers(0, 6), max_size=3))
    bound = proved(
        certificate
        | {
            "codes": packed(numbers),
            "threshold": certificate["threshold"] + data.draw(st.integers(0, 3)),
            "layers": data.draw(st.integers(0, instance.n)),
        },
        instance,
    )
    assert bound is None or bound <= result.total_latency
