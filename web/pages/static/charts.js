// The two charts, made with uPlot; without it the page shows its figures as numbers only.

import { clock, compact, zoneNow } from "./format.js";
import { lineMark } from "./patterns.js";
import { changes, colour } from "./theme.js";

export const SERIES = [
  { name: "received", label: "Received", dash: [] },
  { name: "counted", label: "Counted", dash: [10, 5] },
  { name: "stored", label: "Stored", dash: [2, 4] },
  { name: "rejected", label: "Rejected", dash: [10, 4, 2, 4] },
];
const FONT = '12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** @returns {Promise<any>} the library, null where it is not installed */
async function library() {
  try {
    const found = (await import(/** @type {any} */ ("./uPlot.esm.js"))).default;
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = "static/uPlot.min.css";
    const loaded = new Promise((resolve) => style.addEventListener("load", resolve));
    document.head.prepend(style); // ours come later and win
    await loaded;
    return found;
  } catch {
    return null;
  }
}

const uplot = library();

export class Chart {
  /** @type {any} */
  #plot = null;
  /** @type {any} */
  #data;
  #make;
  #host;

  /**
   * @param {HTMLElement} host with a size of its own
   * @param {(size: {width: number, height: number}, plot: any) => any} options made anew for each theme
   * @param {any} data
   */
  constructor(host, options, data) {
    this.#host = host;
    this.#make = options;
    this.#data = data;
    this.#build();
    for (const name of ["theme", "zone"]) changes.addEventListener(name, () => this.#build());
    new ResizeObserver(() => this.#fit()).observe(host);
  }

  /**
   * @param {any} data as uPlot's: x values, then those of each series
   * @param {boolean} [anew] make it anew, for other series
   */
  set(data, anew = false) {
    this.#data = data;
    if (anew) this.#build();
    else this.#plot?.setData(data);
    this.#fit();
  }

  /** What the legend leaves of the host: it takes as many lines as it needs. */
  #size() {
    const legend = this.#host.querySelector(".u-legend");
    return { width: this.#host.clientWidth, height: this.#host.clientHeight - (legend?.getBoundingClientRect().height ?? 0) };
  }

  #fit() {
    const { width, height } = this.#size();
    if (this.#plot && (this.#plot.width !== width || this.#plot.height !== height)) this.#plot.setSize({ width, height });
  }

  async #build() {
    const Plot = await uplot;
    this.#plot?.destroy();
    this.#plot = null;
    if (!Plot) {
      this.#host.textContent = "The charts are not installed: run make charts and start again.";
      this.#host.classList.add("missing");
      return;
    }
    this.#host.replaceChildren();
    this.#plot = new Plot(this.#make(this.#size(), Plot), this.#data, this.#host);
    this.#fit();
  }
}

const axis = () => ({
  stroke: colour("soft"),
  font: FONT,
  grid: { stroke: colour("grid"), width: 1 },
  ticks: { stroke: colour("grid"), width: 1, size: 5 },
});

/** @param {number[]} values */
const compactAll = (values) => values.map(compact);

/**
 * @param {unknown} _plot
 * @param {number} _low
 * @param {number | null} high
 */
const fromZero = (_plot, _low, high) => [0, Math.max(10, (high ?? 0) * 1.1)];

/** @typedef {{name: string, label: string, dash: number[]}} Line name: of its colour */

/**
 * Two lines, for the generator.
 * @param {[string, string]} labels
 * @param {number} seconds
 */
export const plain = ([first, second], seconds) =>
  lines(seconds, [
    { name: "received", label: first, dash: [] },
    { name: "rejected", label: second, dash: [10, 5] },
  ]);

/**
 * Live lines over the last seconds.
 * @param {number} seconds
 * @param {Line[]} series
 */
export const lines = (seconds, series = SERIES) => (/** @type {any} */ size) => ({
  ...size,
  tzDate: (/** @type {number} */ at) => zoned(at),
  scales: {
    x: { time: true, range: (/** @type {any} */ _plot, /** @type {number} */ _low, /** @type {number} */ high) => [high - seconds, high] },
    y: { range: fromZero },
  },
  axes: [
    { ...axis(), values: "{HH}:{mm}:{ss}", space: 90 },
    { ...axis(), size: 56, values: (/** @type {any} */ _plot, /** @type {number[]} */ values) => compactAll(values) },
  ],
  series: [
    {
      label: zoneNow() === "utc" ? "UTC" : "Local",
      value: (/** @type {any} */ _plot, /** @type {number | null} */ at) => (at ? clock(new Date(at * 1000)) : "–"),
    },
    ...series.map(({ name, label, dash }, place) => ({
      label,
      dash,
      width: place === 0 ? 3 : 2,
      stroke: colour(name),
      points: { show: false },
      value: (/** @type {any} */ _plot, /** @type {number | null} */ value) => (value === null || value === undefined ? "–" : `${Math.round(value).toLocaleString("en")}/s`),
    })),
  ],
  cursor: { y: false, drag: { x: false, y: false } },
  legend: {
    markers: {
      width: 0,
      fill: (/** @type {any} */ _plot, /** @type {number} */ place) => {
        const line = series[place - 1];
        return line ? lineMark(line.dash, line.name) : "none";
      },
    },
  },
});

/** @param {number} at s since 1970 */
function zoned(at) {
  const date = new Date(at * 1000);
  if (zoneNow() === "local") return date;
  return new Date(date.getTime() + date.getTimezoneOffset() * 60_000);
}

export { axis, compactAll, fromZero };
