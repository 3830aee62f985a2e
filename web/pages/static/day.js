// The 24 hours of a url: bars on top of each other, one colour a type, and the same as a table.

import { Chart, axis, compactAll, fromZero } from "./charts.js";
import { byId, fillRows, setText } from "./dom.js";
import { count, events } from "./format.js";
import { barFill, barMark } from "./patterns.js";
import { colour } from "./theme.js";

const COLOURS = ["received", "counted", "stored", "rejected", "soft"];
const HOURS = [...Array(24).keys()];

/** @typedef {{url: string, date: string, dateHourEventCounts: {datehour: number, eventCounts: {type: string, count: number}[]}[]}} Report */

/** @type {{types: string[], counts: number[][]}} counts: of each type, by hour */
let day = { types: [], counts: [] };
/** @type {Chart | null} */
let chart = null;
let shownTypes = "";

/** @param {Report} report */
export function showDay(report) {
  day = columns(report);
  const names = day.types.join("\n");
  if (chart) chart.set(stacked(), names !== shownTypes);
  else chart = new Chart(byId("url-chart"), options, stacked());
  shownTypes = names;
  const total = day.counts.flat().reduce((sum, n) => sum + n, 0);
  byId("url-chart").ariaLabel = `${events(total)} on ${report.date}, by UTC hour; the table below has the numbers.`;
  setText(byId("day-total"), `· ${report.date} (UTC): ${events(total)}`);
  setText(byId("day-caption"), `Events on ${report.date} by UTC hour`);
  fillRows(byId("day-head"), [
    [{ text: "Hour, UTC", head: true }, ...day.types.map((type) => ({ text: type, head: true, className: "number" }))],
  ]);
  fillRows(
    byId("day-rows"),
    HOURS.map((hour) => [
      { text: `${String(hour).padStart(2, "0")}:00`, head: true },
      ...day.counts.map((counts) => ({ text: count(counts[hour] ?? 0), className: "number" })),
    ]),
  );
}

/**
 * The most frequent types as they are, all others together.
 * @param {Report} report
 */
function columns(report) {
  /** @type {Map<string, number[]>} */
  const found = new Map();
  for (const { datehour, eventCounts } of report.dateHourEventCounts) {
    for (const { type, count: n } of eventCounts) {
      const counts = found.get(type) ?? HOURS.map(() => 0);
      counts[datehour] = n;
      found.set(type, counts);
    }
  }
  const sum = (/** @type {number[]} */ counts) => counts.reduce((all, n) => all + n, 0);
  const sorted = [...found].sort(([a, m], [b, n]) => sum(n) - sum(m) || (a < b ? -1 : 1));
  const first = sorted.slice(0, sorted.length > COLOURS.length ? COLOURS.length - 1 : COLOURS.length);
  const rest = sorted.slice(first.length);
  if (rest.length) first.push(["all others", HOURS.map((hour) => rest.reduce((all, [, n]) => all + (n[hour] ?? 0), 0))]);
  return { types: first.map(([type]) => type), counts: first.map(([, counts]) => counts) };
}

/** As uPlot wants it: each series on top of the ones after it, the tallest drawn first. */
function stacked() {
  const tops = day.counts.map((_, place) =>
    HOURS.map((hour) => day.counts.slice(place).reduce((sum, counts) => sum + (counts[hour] ?? 0), 0)),
  );
  return [HOURS, ...tops];
}

/** @param {{width: number, height: number}} size */
function options(size, /** @type {any} */ Plot) {
  const bars = Plot.paths.bars({ size: [0.72, 44], radius: 0.12 });
  return {
    ...size,
    scales: { x: { time: false, range: [-0.6, 23.6] }, y: { range: fromZero } },
    axes: [
      {
        ...axis(),
        grid: { show: false },
        values: (/** @type {any} */ _plot, /** @type {number[]} */ values) => values.map((hour) => (Number.isInteger(hour) ? `${String(hour).padStart(2, "0")}` : "")),
        space: 36,
      },
      { ...axis(), size: 56, values: (/** @type {any} */ _plot, /** @type {number[]} */ values) => compactAll(values) },
    ],
    series: [
      { label: "UTC hour", value: (/** @type {any} */ _plot, /** @type {number | null} */ hour) => (hour === null ? "–" : `${String(hour).padStart(2, "0")}:00`) },
      ...day.types.map((type, place) => ({
        label: type,
        fill: barFill(place, COLOURS[place] ?? "soft"),
        stroke: colour("card"),
        width: 1,
        paths: bars,
        points: { show: false },
        value: (/** @type {any} */ _plot, /** @type {unknown} */ _top, /** @type {number} */ _series, /** @type {number | null} */ hour) =>
          hour === null ? "–" : count(day.counts[place]?.[hour] ?? 0),
      })),
    ],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { markers: { fill: (/** @type {any} */ _plot, /** @type {number} */ series) => barMark(series - 1, COLOURS[series - 1] ?? "soft") } },
  };
}
