"""Tables that a click on a heading sorts; without scripts they stay as they were written."""

SORT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const text = (row) => row.cells[column].textContent;
    const number = (row) => parseFloat(text(row));
    const sort = () => {
      const rows = [...table.tBodies[0].rows];
      const numbers = rows.some((row) => !isNaN(number(row)));
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numbers;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      rows.sort((a, b) => {
        if (!numbers) return sign * text(a).localeCompare(text(b));
        const [x, y] = [number(a), number(b)];
        return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y);
      });
      table.tBodies[0].append(...rows);
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
"""
"""Numbers begin with the largest, names with A; cells without a number stay last."""
