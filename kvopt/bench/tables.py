"""Tables as text, Markdown and LaTeX."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of text cells: the first `left` columns flush left, the others, numbers, flush right.

    Attributes
    ----------
    title : str
    header : sequence of str
    rows : sequence of sequence of str
    left : int
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 2

    def text(self) -> str:
        """For a terminal."""
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, box=box.SIMPLE_HEAD, title_justify="left")
        for j, name in enumerate(self.header):
            table.add_column(name, justify="left" if j < self.left else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        console = Console(file=io.StringIO(), width=1000, markup=False, emoji=False, highlight=False, no_color=True)
        console.print(table)
        assert isinstance(console.file, io.StringIO)
        return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())

    def markdown(self) -> str:
        """For a web page.

        >>> print(Table("Times", ["solver", "s"], [["a|b", "1.5"]], left=1).markdown())
        **Times**
        <BLANKLINE>
        | solver | s |
        |---|---:|
        | a\\|b | 1.5 |
        <BLANKLINE>
        """
        rule = "".join("---|" if j < self.left else "---:|" for j in range(len(self.header)))
        lines = [markdown_row(self.header), f"|{rule}", *(markdown_row(row) for row in self.rows)]
        return f"**{self.title}**\n\n" + "".join(f"{line}\n" for line in lines)

    def latex(self) -> str:
        r"""For a paper; needs the package booktabs.

        >>> print(Table("Times", ["solver", "s"], [["mc_sf", "5 %"]], left=1).latex())
        \begin{table}
        \centering
        \caption{Times}
        \begin{tabular}{lr}
        \toprule
        solver & s \\
        \midrule
        mc\_sf & 5 \% \\
        \bottomrule
        \end{tabular}
        \end{table}
        <BLANKLINE>
        """
        columns = "l" * self.left + "r" * (len(self.header) - self.left)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(self.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            latex_row(self.header),
            r"\midrule",
            *(latex_row(row) for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "".join(f"{line}\n" for line in lines)


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def latex_row(cells: Sequence[str]) -> str:
    """One line of a LaTeX tabular."""
    return " & ".join(map(latex_text, cells)) + r" \\"


#: What LaTeX would read as a command.
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    """Text with all that LaTeX would read as a command escaped.

    >>> print(latex_text("K <= 2 & 5 %"))
    K \\textless{}= 2 \\& 5 \\%
    """
    return "".join(LATEX_SPECIAL.get(character, character) for character in text)
