"use strict";
{
  // Numbers by size, the rest as text; the order of equal rows stays.
  const table = document.getElementById("requests");
  const body = table.tBodies[0];
  const names = new Intl.Collator("en", { numeric: true });
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    head.firstChild.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const keyed = [...body.rows].map((row) => {
        const text = row.cells[place].textContent;
        return [place === 0 ? text : Number(text.replaceAll(",", "")), row];
      });
      keyed.sort(([a], [b]) => sign * (place === 0 ? names.compare(a, b) : a - b));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}
