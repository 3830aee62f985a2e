// The figures behind a chart, for who cannot see it: filled only while it is open, and a row once
// shown stays as it is, so that it can be read.

import { byId, fillRows } from "./dom.js";
import { clock, rate, zoneName } from "./format.js";
import { changes } from "./theme.js";

const ROWS = 12;

export class ChartTable {
  /** @type {(number | null)[][]} as uPlot's: s since 1970, then the values of each series */
  #columns = [[]];
  #details;

  /**
   * @param {string} name of the chart; the element name-table is a <details> with a table
   * @param {string[]} labels of the series
   * @param {number} stepS seconds from row to row
   */
  constructor(name, labels, stepS) {
    this.#details = /** @type {HTMLDetailsElement} */ (byId(`${name}-table`));
    this.name = name;
    this.labels = labels;
    this.stepS = stepS;
    this.#details.addEventListener("toggle", () => this.#show());
    changes.addEventListener("zone", () => this.#show());
  }

  /** @param {(number | null)[][]} columns */
  set(columns) {
    this.#columns = columns;
    this.#show();
  }

  #show() {
    if (!this.#details.open) return;
    const heads = [`Time (${zoneName()})`, ...this.labels].map((text, place) => ({ text, head: true, className: place ? "number" : "" }));
    fillRows(byId(`${this.name}-head`), [heads]);
    fillRows(
      byId(`${this.name}-rows`),
      this.#places().map((place) => [
        { text: clock(new Date(1000 * (this.#columns[0]?.[place] ?? 0))), head: true },
        ...this.labels.map((_, series) => ({ text: rate(this.#columns[series + 1]?.[place]), className: "number" })),
      ]),
    );
  }

  /** The first point of each step, the newest first. */
  #places() {
    const steps = (this.#columns[0] ?? []).map((at) => Math.floor((at ?? 0) / this.stepS));
    return steps.map((step, place) => (step === steps[place - 1] ? -1 : place)).filter((place) => place >= 0).slice(-ROWS).reverse();
  }
}
