// The panels that every page shows alike, fed by the stream.

import { byId, el, fillCell, fillRows, say, setText } from "./dom.js";
import { bothZones, count, events, moment, number, windowName } from "./format.js";
import { showHealth } from "./health.js";
import { Panel } from "./panel.js";
import { dayAfter, query } from "./span.js";
import { changes } from "./theme.js";

/** @typedef {import("./net.js").Reply} Reply */

const TYPES = 7;

/** @returns {Map<string, (reply: Reply) => void>} by the name of the panel */
export function livePanels() {
  const cards = {
    health: new Panel("health", showHealth),
    totals: new Panel("totals", showTotals),
    top_pages: new Panel("top-pages", showTopPages),
    alerts: new Panel("alerts", showAlerts),
    bots: new Panel("bots", showBots),
    rejected: new Panel("rejected-events", showRejected),
  };
  /** @type {Map<string, (reply: Reply) => void>} */
  const takers = new Map(Object.entries(cards).map(([name, card]) => [name, (reply) => card.take(reply)]));
  takers.set("active_users", showActiveUsers);
  /** @type {Map<string, Reply>} */
  const last = new Map();
  const kept = new Map([...takers].map(([name, take]) => [name, keep(name, take, last)]));
  changes.addEventListener("zone", () => last.forEach((reply, name) => takers.get(name)?.(reply)));
  return kept;
}

/**
 * Show an answer, and keep it for when times are shown otherwise.
 * @param {string} name
 * @param {(reply: Reply) => void} take
 * @param {Map<string, Reply>} last
 */
function keep(name, take, last) {
  return (/** @type {Reply} */ reply) => {
    last.set(name, reply);
    take(reply);
  };
}

/** @param {Reply} reply */
function showActiveUsers({ status, body }) {
  const known = status === 200;
  setText(byId("active"), known ? count(body.active_users) : "–");
  const exact = known && (body.error ? `within ${(100 * body.error).toFixed(1)} %` : "exact");
  setText(byId("active-under"), known ? `${windowName(body.window_s)}, ${exact}` : "not available right now");
}

/** @param {{total: Record<string, number>}} body */
function showTotals({ total }) {
  const rows = Object.entries(total).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const all = rows.reduce((sum, [, n]) => sum + n, 0);
  setText(byId("totals-all"), rows.length ? `${events(all)} in total` : "");
  fillShares("totals-rows", withRest(rows), all, typeMinutes);
  return rows.length ? "" : `No events yet. Send one: curl -X PUT ${document.baseURI}event_generate/ -d '{"type":"VIEW","url":"/hello"}'`;
}

/**
 * As many rows as the card has room for, the last one for all others.
 * @param {[string, number][]} rows
 * @returns {[string, number][]}
 */
function withRest(rows) {
  if (rows.length <= TYPES) return rows;
  const rest = rows.slice(TYPES - 1);
  return [...rows.slice(0, TYPES - 1), [`${rest.length} other types`, rest.reduce((sum, [, n]) => sum + n, 0)]];
}

/** @param {string} url */
const pageHours = (url) => `explore?${query({ counter: "events_by_url_hourly", key: url })}`;

/** @param {string} type */
const typeMinutes = (type) => (/^\d+ other types$/.test(type) ? undefined : `explore?${query({ counter: "events_by_type_minutely", label: type })}`);

/** @param {{window_s: number, pages: {page: string, views: number}[]}} body */
function showTopPages({ window_s, pages }) {
  setText(byId("top-window"), windowName(window_s));
  fillShares("top-rows", pages.map(({ page, views }) => [page, views]), pages[0]?.views ?? 0, pageHours);
  const known = byId("url-known");
  if (known.childElementCount !== pages.length) known.replaceChildren(...pages.map(() => el("option")));
  pages.forEach(({ page }, place) => {
    const option = /** @type {HTMLOptionElement} */ (known.children[place]);
    if (option.value !== page) option.value = page;
  });
  return pages.length ? "" : "No page was viewed in this period.";
}

/**
 * @param {string} id of the table body
 * @param {[string, number][]} rows
 * @param {number} whole what a full bar is
 * @param {(name: string) => string | undefined} [href] where the name leads to
 */
function fillShares(id, rows, whole, href) {
  fillRows(
    byId(id),
    rows.map(([name, n]) => [
      { text: name, title: name, head: true, className: "cut", href: href?.(name) },
      { meter: whole ? n / whole : 0, text: `${Math.round((100 * n) / whole)} %`, className: "share" },
      { text: count(n), className: "number" },
    ]),
  );
}

/** @param {{window_s: number, dropped: number, users: {user_id: string, dropped: number}[]}} body */
function showBots({ window_s, dropped, users }) {
  setText(byId("bots-all"), `${count(dropped)} page views left out, ${windowName(window_s)}`);
  fillRows(
    byId("bots-rows"),
    users.slice(0, 5).map(({ user_id, dropped: n }) => [
      { text: user_id, title: user_id, head: true, className: "cut", href: `explore?${query({ counter: "bot_views_by_user_hourly", key: user_id })}` },
      { text: count(n), className: "number" },
    ]),
  );
  return users.length ? "" : "No bots in this period.";
}

/**
 * @typedef {{rule: string, counter: string, key: string, count: number, threshold: number,
 *   window_start: string, window_s: number, raised_at: string, label: string}} Alert
 */
const SAY_ALERTS_MS = 10_000;
/** @type {Set<string> | null} */
let knownAlerts = null;
let alertsAreSaid = false; // it is too early for more
/** @type {Alert[]} */
let newestAlerts = [];

/**
 * Say aloud which alerts are new, a flood of them as a number.
 * @param {Alert[]} alerts newest first
 */
function tellAlerts(alerts) {
  newestAlerts = alerts;
  if (alertsAreSaid) return;
  const names = alerts.map(({ rule, key, raised_at }) => [`${rule} ${key}`, `${rule} ${key} ${raised_at}`]);
  const known = knownAlerts ?? new Set(names.map(([, id]) => id));
  const fresh = names.filter(([, id]) => !known.has(id));
  knownAlerts = new Set(names.map(([, id]) => id ?? ""));
  if (!fresh.length) return;
  say(fresh.length > 1 ? `${fresh.length} new alerts, the newest: ${fresh[0]?.[0]}` : `New alert: ${fresh[0]?.[0]}`);
  alertsAreSaid = true;
  setTimeout(() => {
    alertsAreSaid = false;
    tellAlerts(newestAlerts); // what came meanwhile, as one
  }, SAY_ALERTS_MS);
}

/** @param {Alert} alert @returns {string} the hours, or days, around its window */
function alertHours({ counter, key, label, window_start, window_s }) {
  const day = window_start.slice(0, 10);
  const by = window_s < 86_400 ? "1h" : "1d";
  return `explore?${query({ counter, key, label, from: by === "1h" ? day : dayAfter(day, -6), to: day, by })}`;
}

/** @param {{alerts: Alert[]}} body */
function showAlerts({ alerts }) {
  fillEntries(
    byId("alerts-list"),
    alerts.map((alert) => ({
      what: alert.key || alert.label || alert.rule,
      href: alertHours(alert),
      when: alert.raised_at,
      more: `${alert.rule}: ${number.format(alert.count)} within ${windowName(alert.window_s).replace("last hour", "an hour").replace("last ", "")}, the limit is ${number.format(alert.threshold)}`,
    })),
  );
  tellAlerts(alerts);
  return alerts.length ? "" : "No alert was raised.";
}

/**
 * @typedef {{code: string, message: string, partition: number, offset: number, payload: unknown,
 *   rejected_at: string}} Rejected
 */

/** @param {{rejected: Rejected[]}} body */
function showRejected({ rejected }) {
  fillEntries(
    byId("rejected-list"),
    rejected.map(({ code, message, partition, offset, payload, rejected_at }) => ({
      what: code,
      when: rejected_at,
      more: `partition ${partition}, offset ${offset}: ${message} ${typeof payload === "string" ? payload : JSON.stringify(payload)}`,
    })),
  );
  return rejected.length ? "" : "No rejected events.";
}

/**
 * @param {HTMLElement} list
 * @param {{what: string, when: string, more: string, href?: string}[]} entries href: where `what` leads to
 */
function fillEntries(list, entries) {
  while (list.children.length > entries.length) list.lastElementChild?.remove();
  entries.forEach((entry, place) => {
    const item =
      list.children[place] ??
      list.appendChild(el("li", "", el("span", "what"), el("time", "time"), el("span", "more")));
    const [what, when, more] = item.children;
    if (!what || !when || !more) return;
    fillCell(/** @type {HTMLElement} */ (what), { text: entry.what, className: "what", href: entry.href });
    setText(when, moment(entry.when));
    /** @type {HTMLElement} */ (when).title = bothZones(entry.when);
    setText(more, entry.more);
    /** @type {HTMLElement} */ (more).title = entry.more;
  });
}
