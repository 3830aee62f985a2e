// One counter over a range: values over time, the same span before, the keys with the most.

import { Chart, axis, compactAll, fromZero } from "./charts.js";
import { byId, el, fillRows, setText, typed } from "./dom.js";
import { number } from "./format.js";
import { ask, authorization } from "./net.js";
import { Panel } from "./panel.js";
import { isPinned, turn } from "./pins.js";
import { lineMark } from "./patterns.js";
import { buckets, countOf, dayAfter, local, query, range, spans, today, totalOf } from "./span.js";
import { colour, startTheme } from "./theme.js";
import { startToken } from "./token.js";

/** @typedef {import("./span.js").Counter} Counter @typedef {import("./span.js").Choice} Choice */
/** @typedef {{start: string, counts: Record<string, number>}} Window */

const TOP = 10;
const SEARCH_MS = 200;
const LINES = [{ label: "Value", name: "received", dash: [] }, { label: "Before", name: "counted", dash: [10, 5] }];
const localZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const FIELDS = /** @type {const} */ (["counter", "key", "label", "from", "to", "by", "tz"]);

/** @type {Map<string, Counter>} */
const counters = new Map();
/** @type {Record<string, HTMLInputElement | HTMLSelectElement>} */
const fields = Object.fromEntries(FIELDS.map((name) => [name, /** @type {any} */ (byId(name))]));
let question = 0;
/** @type {{starts: string[], columns: (number | null)[][]}} */
let shown = { starts: [], columns: [[], [], []] };

startTheme();
const values = new Panel("found", showValues, "Choose a counter.");
const top = new Panel("top", showTop, "Choose a counter.");
const chart = new Chart(byId("chart"), options, shown.columns);
const token = startToken(start);

/** @returns {Choice} */
const choice = () => /** @type {Choice} */ (Object.fromEntries(FIELDS.map((name) => [name, fields[name]?.value ?? ""])));

/** @param {{width: number, height: number}} size */
function options(size) {
  return {
    ...size,
    padding: [8, 40, 0, 0],
    scales: { x: { time: false }, y: { range: fromZero } },
    axes: [
      { ...axis(), space: 90, values: (/** @type {any} */ _plot, /** @type {number[]} */ places) => places.map((place) => moment(shown.starts[place]).slice(5)) },
      { ...axis(), size: 56, values: (/** @type {any} */ _plot, /** @type {number[]} */ all) => compactAll(all) },
    ],
    series: [
      { label: "Begin", value: (/** @type {any} */ _plot, /** @type {number | null} */ place) => (place === null ? "–" : moment(shown.starts[place])) },
      ...LINES.map(({ label, name, dash }, place) => ({
        label, dash, width: place ? 2 : 3, stroke: colour(name), points: { show: false },
        value: (/** @type {any} */ _plot, /** @type {number | null} */ value) => (value === null || value === undefined ? "–" : number.format(value)),
      })),
    ],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { markers: { width: 0, fill: (/** @type {any} */ _plot, /** @type {number} */ place) => { const line = LINES[place - 1]; return line ? lineMark(line.dash, line.name) : "none"; } } },
  };
}

/** @param {string | undefined} start in the zone that was asked for */
const moment = (start) => (start ? start.slice(0, fields.by?.value === "1d" ? 10 : 16) : "");

/** @param {Record<string, number>} counts @param {string} label */
const sum = (counts, label) => (label ? countOf(counts, label) : Object.values(counts).reduce((all, n) => all + n, 0));

/** @param {number} value @param {number | undefined} error relative; distinct values have one */
const withError = (value, error) => number.format(value) + (error ? ` ± ${number.format(Math.round(1000 * error) / 10)} %` : "");

/** @param {{now: any, before: any, asked: Choice}} body */
function showValues({ now, before, asked }) {
  const total = totalOf(now, asked.label);
  if (total === null) return `Choose one of the labels (${Object.keys(now.total).join(", ")}): distinct values of several do not add up.`;
  const earlier = before && totalOf(before, asked.label);
  setText(byId("total"), withError(total, now.error));
  setText(byId("total-before"), earlier === null ? (before ? "–" : "not kept") : withError(earlier, before.error));
  setText(byId("difference"), earlier ? `${total >= earlier ? "+" : "−"}${number.format(Math.abs(Math.round((1000 * (total - earlier)) / earlier) / 10))} %` : "–");
  /** @type {Window[]} */
  const windows = now.windows;
  shown = aligned(windows, before?.windows ?? null, asked);
  chart.set(shown.columns);
  byId("chart").ariaLabel = `${asked.counter}: ${number.format(total)} from ${asked.from} to ${asked.to}; the table below has the numbers.`;
  fillRows(byId("rows"), shown.starts.map((start, place) => [
    { text: moment(start), head: true },
    ...[1, 2].map((series) => ({ text: cell(shown.columns[series]?.[place]), className: "number" })),
  ]));
  return windows.length || total ? "" : "Nothing was counted in this period.";
}

/** @param {number | null | undefined} value */
const cell = (value) => (value === null || value === undefined ? "–" : number.format(value));

/**
 * All hours or days up to now, with 0 where nothing was counted; those before by their place.
 * @param {Window[]} now
 * @param {Window[] | null} before
 * @param {Choice} asked
 */
function aligned(now, before, asked) {
  const counter = counters.get(asked.counter);
  const both = counter && spans(asked, counter);
  const starts = both ? buckets(both.now, asked) : [];
  const earlier = both?.before ? buckets(both.before, asked) : [];
  const of = (/** @type {Window[]} */ windows) => new Map(windows.map(({ start, counts }) => [Date.parse(start), sum(counts, asked.label)]));
  const [values, others] = [of(now), of(before ?? [])];
  return {
    starts: starts.map((at) => local(at, asked.tz)),
    columns: [
      starts.map((_, place) => place),
      starts.map((at) => values.get(at) ?? 0),
      starts.map((_, place) => (before ? (others.get(earlier[place] ?? 0) ?? 0) : null)),
    ],
  };
}

/** @param {{keys: {key: string, value: number}[]}} body */
function showTop({ keys }) {
  const most = keys[0]?.value ?? 0;
  fillRows(byId("top-rows"), keys.map(({ key, value }) => [
    { text: key || "(empty)", title: key, head: true, className: "cut", href: address({ ...choice(), key }) },
    { meter: most > 0 ? Math.max(0, value / most) : 0, text: `${Math.round((100 * value) / (most || 1))} %`, className: "share" },
    { text: number.format(value), className: "number" },
  ]));
  return keys.length ? "" : "No keys in this period.";
}

/** @param {Choice} chosen @returns {string} the address of the page that shows it */
const address = (chosen) => `explore?${query(chosen)}`;

/** Each choice is a page to go back to; the first one takes the place of an address without it. */
function remember(/** @type {string} */ there) {
  if (new URL(there, document.baseURI).href === location.href) return;
  if (question) history.pushState(null, "", there);
  else history.replaceState(null, "", there);
}

/** Ask for what is chosen, and show it. */
async function show() {
  const asked = choice();
  const counter = counters.get(asked.counter);
  if (!counter) return;
  remember(address(asked));
  const mine = (question += 1);
  showPin(isPinned(asked));
  const { now, before } = spans(asked, counter);
  const path = `counts/${encodeURIComponent(asked.counter)}`;
  const windowed = counter.window !== null;
  const of = (/** @type {import("./span.js").Span} */ span) => (windowed ? { ...range(span), by: asked.by, tz: asked.tz === "UTC" ? "" : asked.tz } : {});
  const key = counter.key && !asked.key ? null : asked.key;
  const one = (/** @type {import("./span.js").Span} */ span) => `${path}?${counter.key ? `key=${encodeURIComponent(asked.key)}&` : ""}${query(of(span))}`;
  const best = `${path}/top?${query({ limit: TOP, label: asked.label, ...(windowed ? range(now) : {}) })}`;
  typed("csv", HTMLAnchorElement).setAttribute("href", `${one(now)}&format=csv`);
  typed("top-csv", HTMLAnchorElement).setAttribute("href", `${best}&format=csv`);
  top.asked();
  if (key === null) values.idle(`Choose a ${counter.key}, or one of the top keys.`);
  else values.asked();
  const [reply, earlier, tops] = await Promise.all([
    key === null ? null : ask(one(now)),
    key === null || !before || !windowed ? null : ask(one(before)),
    ask(best),
  ]);
  if (mine !== question) return;
  if (tops.status === 401) token.ask();
  if (reply) values.take(reply.status === 200 ? { status: 200, body: { now: reply.body, before: earlier?.status === 200 ? earlier.body : null, asked } } : reply);
  top.take(tops);
}

/** @param {boolean} pinned */
function showPin(pinned) {
  byId("pin").ariaPressed = String(pinned);
  setText(byId("pin"), pinned ? "Pinned to the dashboard" : "Pin to the dashboard");
}

/** Offer the keys that begin with what is typed. */
async function search() {
  const { counter, key } = choice();
  const { status, body } = await ask(`counts/${encodeURIComponent(counter)}/keys?${query({ prefix: key, limit: 20 })}`);
  if (status !== 200 || choice().key !== key) return;
  byId("keys").replaceChildren(...body.keys.map((/** @type {string} */ text) => Object.assign(el("option"), { value: text })));
}

/** What can be asked of the chosen counter. */
function fit() {
  const counter = counters.get(choice().counter);
  if (!counter) return;
  setText(byId("about"), counter.description ?? "");
  setText(byId("key-name"), counter.key ? `Key: ${counter.key}` : "Key: none, one row");
  typed("key", HTMLInputElement).disabled = !counter.key;
  typed("label", HTMLInputElement).disabled = !counter.label;
  const hours = typed("by", HTMLSelectElement).options[0];
  if (hours) hours.disabled = (counter.window ?? 0) > 3600;
  if (hours?.disabled) typed("by", HTMLSelectElement).value = "1d";
  for (const name of ["from", "to", "by", "tz"]) /** @type {any} */ (byId(name)).disabled = counter.window === null;
}

/** A file of figures needs the token, which a link cannot send. */
async function download(/** @type {Event} */ event) {
  const link = /** @type {HTMLAnchorElement} */ (event.currentTarget);
  if (!("Authorization" in authorization())) return;
  event.preventDefault();
  const answer = await fetch(link.href, { headers: authorization(), cache: "no-store" });
  if (!answer.ok) return;
  const made = Object.assign(el("a"), { href: URL.createObjectURL(await answer.blob()), download: "counts.csv" });
  made.click();
  setTimeout(() => URL.revokeObjectURL(made.href), 10_000);
}

function choose() {
  const given = new URLSearchParams(location.search);
  const zones = [...new Set(["UTC", localZone, given.get("tz") ?? "UTC"])];
  byId("tz").replaceChildren(...[...zones, ...Intl.supportedValuesOf("timeZone").filter((zone) => !zones.includes(zone))].map((zone) => el("option", "", zone)));
  byId("counter").replaceChildren(...[...counters.keys()].map((name) => el("option", "", name)));
  const day = today(given.get("tz") ?? "UTC");
  const first = { counter: counters.has("events_by_url_hourly") ? "events_by_url_hourly" : "", from: dayAfter(day, -6), to: day, by: "1h", tz: "UTC" };
  /** @type {Record<string, string>} */
  const asked = { ...first, ...Object.fromEntries(given) };
  for (const name of FIELDS) {  // an address may name anything, also what every object has
    const [field, value] = [fields[name], asked[name]];
    if (field && value !== undefined) field.value = value;
  }
}

async function start() {
  const { status, body } = await ask("counters");
  if (status === 401) return token.ask();
  token.done();
  if (status !== 200) {
    top.take({ status, body });
    setTimeout(start, 2000);
    return;
  }
  counters.clear();
  for (const counter of body) counters.set(counter.name, counter);
  choose();
  fit();
  await show();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let searching;
byId("key").addEventListener("input", () => {
  clearTimeout(searching);
  searching = setTimeout(search, SEARCH_MS);
});
byId("key").addEventListener("focus", search);
byId("counter").addEventListener("change", () => {
  typed("key", HTMLInputElement).value = typed("label", HTMLInputElement).value = "";
  fit();
  show();
});
for (const name of ["by", "tz", "from", "to"]) byId(name).addEventListener("change", show);
byId("choice").addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
for (const button of document.querySelectorAll("[data-days]")) {
  button.addEventListener("click", () => {
    const day = today(choice().tz);
    typed("to", HTMLInputElement).value = day;
    typed("from", HTMLInputElement).value = dayAfter(day, 1 - Number(/** @type {HTMLElement} */ (button).dataset.days));
    show();
  });
}
byId("pin").addEventListener("click", () => {
  const { counter, key, label } = choice();
  showPin(turn({ counter, key, label }));
});
addEventListener("popstate", () => {
  for (const name of ["key", "label"]) /** @type {any} */ (fields[name]).value = "";
  choose();
  fit();
  show();
});
for (const id of ["csv", "top-csv"]) byId(id).addEventListener("click", download);
start();
