// The tiles and the lines: events per second.

import { byId, setText } from "./dom.js";
import { ChartTable } from "./chart_table.js";
import { Chart, SERIES, lines } from "./charts.js";
import { rate } from "./format.js";

const SECONDS = 300;

/** @typedef {{at: number, received?: number, counted?: number, stored?: number, rejected?: number,
 *   lag?: Record<string, number>}} Point */

export class Rates {
  /** @type {Point[]} */
  #points = [];
  #chart = new Chart(byId("rates"), lines(SECONDS), [[], ...SERIES.map(() => [])]);
  #table = new ChartTable("rates", SERIES.map(({ label }) => label), 30);
  #drawing = false;

  /** @param {Point} point */
  add(point) {
    const last = this.#points.at(-1);
    if (last && point.at <= last.at) return;
    this.#points.push(point);
    const oldest = point.at - SECONDS * 1000;
    while (this.#points[0] && this.#points[0].at < oldest) this.#points.shift();
    if (this.#drawing) return; // many points come at once after a gap
    this.#drawing = true;
    queueMicrotask(() => this.#draw());
  }

  #draw() {
    this.#drawing = false;
    const points = this.#points;
    /** @type {(number | null)[][]} */
    const columns = [[], ...SERIES.map(() => [])];
    points.forEach((point, place) => {
      const before = points[place - 1];
      if (before && point.at - before.at > 2500) {
        columns[0]?.push((before.at + 1000) / 1000); // a gap is a gap, not a line across it
        SERIES.forEach((_, column) => columns[column + 1]?.push(null));
      }
      columns[0]?.push(point.at / 1000);
      SERIES.forEach(({ name }, column) => columns[column + 1]?.push(value(point, name)));
    });
    this.#chart.set(columns);
    this.#table.set(columns);
    const now = points.at(-1);
    for (const { name } of SERIES) setText(byId(name), rate(now && value(now, name)));
    const text = SERIES.map(({ name, label }) => `${label} ${rate(now && value(now, name))} per second`);
    byId("rates").ariaLabel = `Events per second, last five minutes. Now: ${text.join(", ")}.`;
  }
}

/**
 * @param {Point} point
 * @param {string} name
 * @returns {number | null}
 */
function value(point, name) {
  return /** @type {any} */ (point)[name] ?? null;
}
