// What runs, what is behind, and since when.

import { byId, el, fillRows, say, setText } from "./dom.js";
import { bothZones, count, duration } from "./format.js";

const MARKS = { ok: "✓", warn: "!", bad: "✕" };
const NAMES = { ok: "fine", warn: "attention", bad: "trouble" };

/**
 * @typedef {"ok" | "warn" | "bad"} Level
 * @typedef {{name: string, level: Level, text: string, since: number | null}} Finding
 * @typedef {{findings: Finding[], lag: {groups: string[], rows: [string, ...(number | null)[]][]}}} Health
 */

/** @type {Finding[]} */
let shown = [];

/** @param {Health} body */
export function showHealth({ findings, lag }) {
  tell(shown, findings);
  shown = findings;
  render();
  fillRows(byId("lag-head"), [
    [{ text: "Topic", head: true }, ...lag.groups.map((group) => ({ text: group, head: true, className: "number" }))],
  ]);
  fillRows(
    byId("lag-rows"),
    lag.rows.map(([name, ...waiting]) => [
      { text: name, head: true },
      ...waiting.map((n) => ({ text: n === null ? "–" : count(n), className: "number" })),
    ]),
  );
  return "";
}

/**
 * Say what is wrong now and was not, and what works again.
 * @param {Finding[]} before
 * @param {Finding[]} after
 */
function tell(before, after) {
  const levels = new Map(before.map(({ name, level }) => [name, level]));
  const changed = after.filter(({ name, level }) => level !== (levels.get(name) ?? (before.length ? "ok" : level)));
  if (changed.length) say(changed.map(({ text }) => text).join(". "));
}

function render() {
  const list = byId("health-list");
  while (list.children.length > shown.length) list.lastElementChild?.remove();
  shown.forEach((finding, place) => {
    const item =
      list.children[place] ?? list.appendChild(el("li", "", el("span", "mark"), el("span"), el("span", "time")));
    /** @type {HTMLElement} */ (item).dataset.level = finding.level;
    const [mark, text, since] = item.children;
    if (!mark || !text || !since) return;
    setText(mark, MARKS[finding.level]);
    if (mark.ariaLabel !== NAMES[finding.level]) mark.ariaLabel = NAMES[finding.level];
    if (mark.role !== "img") mark.role = "img";
    setText(text, finding.text);
    const troubled = finding.level !== "ok" && finding.since !== null;
    setText(since, troubled ? `for ${duration((Date.now() - (finding.since ?? 0)) / 1000)}` : "");
    /** @type {HTMLElement} */ (since).title = troubled ? `since ${bothZones(finding.since ?? 0)}` : "";
  });
  const troubles = shown.filter(({ level }) => level !== "ok").length;
  const all = shown.length ? `all ${shown.length} OK` : ""; // nothing is known yet
  setText(byId("health-all"), troubles ? `${troubles} of ${shown.length} need attention` : all);
}

setInterval(render, 1000);
