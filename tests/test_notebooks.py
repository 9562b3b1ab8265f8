"""What the notebooks promise beside running through (that is for nbmake): files that read well as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Cells of a notebook, of one kind."""
    every = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in every if kind in (None, cell["cell_type"])]


def text(cell: dict[str, Any]) -> str:
    """Source of a cell."""
    return "".join(cell["source"])


def test_there_are_notebooks() -> None:
    """The tests below say nothing about an empty folder."""
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{k:02d}" for k in range(1, len(NOTEBOOKS) + 1)]
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    """Each notebook."""

    def test_is_kept_as_it_ran(self, path: Path) -> None:
        """Outputs are kept, from one run from top to bottom, and no cell ended in an error."""
        code = cells(path, "code")
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
        assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"])

    def test_tells_nothing_of_the_machine(self, path: Path) -> None:
        """Metadata that any machine has, no absolute path, no time stamp: a rerun changes no line without a reason."""
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert notebook["metadata"] == {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        for cell in notebook["cells"]:
            assert set(cell["metadata"]) <= {"jupyter", "tags"}
            shown = [{k: v for k, v in out.items() if k != "data"} | plain(out) for out in cell.get("outputs", [])]
            assert not re.search(r"(/home|/root|/tmp|/work|/usr|[A-Z]:\\\\)", json.dumps(shown) + text(cell))

    def test_stands_behind_its_numbers(self, path: Path) -> None:
        """Figures of the text stand beside asserts: at least every second cell of code has one."""
        code = cells(path, "code")
        asserting = [cell for cell in code if "assert " in text(cell)]
        assert 2 * len(asserting) >= len(code)

    def test_hides_the_solutions_of_its_exercises(self, path: Path) -> None:
        """Every exercise has a solution, and none lies open."""
        exercises = {n for cell in cells(path, "markdown") for n in re.findall(r"^\*\*(\d+)\.\*\*", text(cell), re.M)}
        assert exercises
        solved = set()
        for cell in cells(path):
            if found := re.match(r"# Solution (\d+)", text(cell)):
                assert cell["metadata"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
                solved.add(found[1])
            solved |= set(re.findall(r"<details><summary>Solution (\d+)</summary>", text(cell)))
        assert solved == exercises

    def test_links_lead_somewhere(self, path: Path) -> None:
        """A link to another notebook or document names a file that is there."""
        for cell in cells(path, "markdown"):
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", text(cell)):
                assert (FOLDER / target).exists(), target


def plain(output: dict[str, Any]) -> dict[str, Any]:
    """The text an output shows, without pictures."""
    return {kind: value for kind, value in output.get("data", {}).items() if kind != "image/png"}
