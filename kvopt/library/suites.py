"""What the instance library holds: each suite as names, families, parameters and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kvopt.errors import InputError
from kvopt.generate import generate
from kvopt.generate.classic import BASELINES, COUNTEREXAMPLES, LESSONS
from kvopt.generate.worst import WORST_RATIOS
from kvopt.io.files import make_folder
from kvopt.io.formats import read, write

#: (name of the instance, family, parameters and seed)
Recipe = tuple[str, str, dict[str, Any]]

#: (output, requests) of equal requests, (output, pairs) of the family against svf.
EQUAL, PAIRS = ((5, 40), (9, 160)), ((5, 4), (8, 5), (8, 32))
TYPES_REQUESTS = (10, 20, 40, 60, 100, 200)
#: Draws for each n, by number of types.
TYPES_DRAWS = {1: 2, 2: 3, 3: 3, 4: 3}


def counterexamples() -> Iterator[Recipe]:
    """The rows of both tables, by number; equal requests against mc-sf and pairs against svf."""
    for number in range(1, len(COUNTEREXAMPLES) + 1):
        yield f"counterexample-{number}", "counterexample", {"number": number}
    for number, case in enumerate(WORST_RATIOS, 1):
        yield f"worst-{case.policy}-{number}", "worst-ratio", {"number": number}
    for output, requests in EQUAL:
        yield f"equal-o{output}-n{requests:03}", "identical", {"output": output, "requests": requests}
    for output, copies in PAIRS:
        yield f"pairs-o{output}-n{2 * copies:02}", "adversarial-svf", {"output": output, "copies": copies}


def teaching() -> Iterator[Recipe]:
    """The lessons, by title."""
    for number, lesson in enumerate(LESSONS, 1):
        yield lesson.title, "teaching", {"number": number}


def baseline() -> Iterator[Recipe]:
    """The baseline of general solvers, by title."""
    for number, case in enumerate(BASELINES, 1):
        yield f"baseline-{case.title}", "baseline", {"number": number}


def types() -> Iterator[Recipe]:
    """K = 1..4 types, n = 10..200; seed 10000 K + 10 n + draw."""
    for k, draws in TYPES_DRAWS.items():
        for n in TYPES_REQUESTS:
            for draw in range(1, draws + 1):
                seed = 10_000 * k + 10 * n + draw
                yield f"types-k{k}-n{n:03}-{draw}", "types", {"types": k, "requests": n, "seed": seed}


def different() -> Iterator[Recipe]:
    """All different, n = 6, 8, ..., 24, three draws each; seed 10 n + draw."""
    for n in range(6, 25, 2):
        for draw in (1, 2, 3):
            yield f"different-n{n:02}-{draw}", "different", {"requests": n, "seed": 10 * n + draw}


def model1() -> Iterator[Recipe]:
    """Seeds 1..20."""
    for seed in range(1, 21):
        yield f"model1-{seed:02}", "model1", {"seed": seed}


def model2() -> Iterator[Recipe]:
    """Seeds 1..20."""
    for seed in range(1, 21):
        yield f"model2-{seed:02}", "model2", {"seed": seed}


def lmsys_like() -> Iterator[Recipe]:
    """Backlogs of 10 to 1,000 at the capacity of Llama-2-70B on two A100s; seed n."""
    for n in (10, 50, 200, 1000):
        yield f"lmsys-like-n{n:04}", "lmsys-like", {"requests": n, "capacity": 16_492, "seed": n}


def azure_like() -> Iterator[Recipe]:
    """The same, and the larger two at the capacity that counts binary gigabytes and no embeddings; seed n."""
    for capacity, sizes in ((16_492, (10, 50, 200, 1000)), (54_067, (200, 1000))):
        for n in sizes:
            more = {"requests": n, "capacity": capacity, "seed": n}
            yield f"azure-like-m{capacity}-n{n:04}", "azure-like", more


#: family of the library -> its recipes
SUITES: dict[str, Callable[[], Iterator[Recipe]]] = {
    "azure-like": azure_like,
    "baseline": baseline,
    "counterexamples": counterexamples,
    "different": different,
    "lmsys-like": lmsys_like,
    "model1": model1,
    "model2": model2,
    "teaching": teaching,
    "types": types,
}


def create(root: str | Path) -> list[Path]:
    """Write the instance files that are missing; those that exist are compared and never touched.

    Parameters
    ----------
    root : str or Path
        Folder of the library.

    Returns
    -------
    list of Path
        Files written.

    Raises
    ------
    InputError
        If an existing file holds another instance than its recipe gives (numpy may have changed its streams),
        or a folder cannot be made.
    """
    written = []
    for folder, recipes in SUITES.items():
        for name, family, parameters in recipes():
            instance = generate(family, name=name, **parameters)
            path = Path(root) / folder / f"{name}.json"
            if not path.exists():
                make_folder(path.parent)
                write(instance, path)
                written.append(path)
            elif read(path) != instance:
                raise InputError(f"{path}: not the instance that its recipe gives; it is left as it is")
    return written
