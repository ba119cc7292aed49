// Draws each chart from the table beside it, so that the table and the picture cannot disagree.
"use strict";
(() => {
  const COLOURS = ["#0b57a4", "#b3261e", "#1d6b3a", "#8a5300", "#6a3fa0", "#5d5850"];
  const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [4, 2], [1, 2]]; // not told apart by colour alone
  const HEIGHT = 200;
  const read = (table) => {
    const rows = [...table.tBodies[0].rows];
    const width = table.tHead.rows[0].cells.length;
    const data = [rows.map((row) => Number(row.dataset.s))];
    for (let column = 1; column < width; column += 1) {
      data.push(rows.map((row) => (row.cells[column].dataset.v === undefined ? null : Number(row.cells[column].dataset.v))));
    }
    return data;
  };
  const draw = () => document.querySelectorAll(".chart").forEach((box) => {
    const table = document.getElementById(box.dataset.table);
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const ink = getComputedStyle(document.body).color;
    const line = getComputedStyle(document.documentElement).getPropertyValue("--line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
    const clock = (_, splits) => splits.map((s) => {
      const at = new Date((s + 8 * 3600) * 1000); // +08:00, as everything the city shows
      const two = (n) => String(n).padStart(2, "0");
      return table.dataset.span === "week" || at.getUTCHours() + at.getUTCMinutes() === 0 ? `${two(at.getUTCMonth() + 1)}.${two(at.getUTCDate())}` : `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    });
    box.replaceChildren();
    new uPlot({
      width: box.clientWidth, height: HEIGHT,
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Asia/Ulaanbaatar"),
      legend: { show: names.length > 1 },
      cursor: { show: false },
      scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(high * 1.1, 1)] } },
      axes: [{ ...axis, values: clock, space: 56 }, { ...axis, size: 44 }],
      series: [{}, ...names.map((label, at) => ({ label, stroke: COLOURS[at % 6], dash: DASHES[at % 6], width: 2, spanGaps: true, points: { show: false } }))],
    }, read(table), box);
  });
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 200); });
  draw();
})();
