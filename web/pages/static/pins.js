// Counters that are pinned to the dashboard, in this browser: kept by name, key and label.

import { byId, fillRows } from "./dom.js";
import { number } from "./format.js";
import { ask } from "./net.js";
import { Panel } from "./panel.js";
import { query, totalOf } from "./span.js";

/** @typedef {{counter: string, key: string, label: string}} Pin */

const KEY = "event-counter-pins";
const MOST = 12;
const EVERY_MS = 5000;

/** @param {Pin} pin */
const name = ({ counter, key, label }) => JSON.stringify([counter, key, label]);

/** @returns {Pin[]} in the order in which they were pinned */
export function pins() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return kept.filter((/** @type {any} */ pin) => typeof pin?.counter === "string").slice(0, MOST);
  } catch {
    return []; // not ours
  }
}

/** @param {Pin} pin */
export const isPinned = (pin) => pins().some((one) => name(one) === name(pin));

/**
 * Pin it, or take it away.
 * @param {Pin} pin
 * @returns {boolean} whether it is pinned now
 */
export function turn(pin) {
  const others = pins().filter((one) => name(one) !== name(pin));
  const wanted = others.length === pins().length && others.length < MOST;
  localStorage.setItem(KEY, JSON.stringify(wanted ? [...others, pin] : others));
  return wanted;
}

/**
 * Its values since 0:00 UTC, or of all time.
 * @param {Pin} pin
 * @param {Map<string, any>} counters
 * @returns {Promise<{status: number, body: any}>}
 */
async function today({ counter, key }, counters) {
  const known = counters.get(counter);
  if (!known) return { status: 404, body: {} };
  const from = known.window === null ? "" : `${new Date().toISOString().slice(0, 10)}T00:00:00Z`;
  return ask(`counts/${encodeURIComponent(counter)}?${known.key ? `key=${encodeURIComponent(key)}&` : ""}${query({ from })}`);
}

/** @param {any} body @param {string} label @returns {string} */
function total(body, label) {
  const found = totalOf(body, label);
  if (found === null) return "by label";
  return number.format(found) + (body.error ? ` ± ${Math.round(1000 * body.error) / 10} %` : "");
}

/** The panel of the dashboard; it is there while something is pinned. */
export function pinnedPanel() {
  const card = byId("pinned");
  if (!pins().length) return;
  card.hidden = false;
  const panel = new Panel("pinned", (/** @type {{pin: Pin, reply: any}[]} */ rows) => {
    fillRows(byId("pinned-rows"), rows.map(({ pin, reply }) => [
      { text: [pin.counter, pin.key, pin.label].filter(Boolean).join(" · "), title: name(pin), head: true, className: "cut", href: `explore?${query({ ...pin })}` },
      { text: reply.status === 200 ? total(reply.body, pin.label) : "–", className: "number" },
    ]));
    return "";
  });
  const show = async () => {
    if (document.hidden) return;
    const { status, body } = await ask("counters");
    if (status !== 200) return panel.take({ status, body });
    const counters = new Map(body.map((/** @type {any} */ one) => [one.name, one]));
    const rows = await Promise.all(pins().map(async (pin) => ({ pin, reply: await today(pin, counters) })));
    panel.take({ status: 200, body: rows });
  };
  setInterval(show, EVERY_MS);
  show();
}
