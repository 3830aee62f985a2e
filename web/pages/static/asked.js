// The panels that wait for a question: a url, a user, a month. They ask by themselves, again and
// again, while the page is seen.

import { byId, el, fillCell, fillRows, setText, typed } from "./dom.js";
import { bothZones, count, moment } from "./format.js";
import { ask } from "./net.js";
import { Panel } from "./panel.js";
import { query } from "./span.js";
import { changes } from "./theme.js";
import { showDay } from "./day.js";

const TYPES = 7;
const utcDay = () => new Date().toISOString().slice(0, 10);

/** Asks again and again; a new question makes an answer to the one before it void. */
class Asker {
  #question = 0;
  #busy = false;

  /**
   * @param {() => Promise<() => void>} put asks once; what it returns shows the answer
   * @param {number} every ms
   */
  constructor(put, every) {
    this.put = put;
    setInterval(() => {
      if (this.#question && !this.#busy && !document.hidden) this.#once();
    }, every);
  }

  again() {
    this.#question += 1;
    return this.#once();
  }

  async #once() {
    const question = this.#question;
    this.#busy = true;
    const show = await this.put();
    if (question === this.#question) {
      this.#busy = false;
      show();
    }
  }
}

export function askedPanels() {
  urlPanel();
  sessionsPanel();
  adsPanel();
}

/** @param {string} url @returns {string} the address, within the page, of what is known of it */
const urlHash = (url) => `#${new URLSearchParams({ url })}`;

function urlPanel() {
  const text = typed("url-text", HTMLInputElement);
  const date = typed("url-date", HTMLInputElement);
  const panel = new Panel("url", showUrl, "Type a url, or pick one of the top pages.");
  let url = "";
  date.value = utcDay();
  const asker = new Asker(async () => {
    const day = date.value || utcDay();
    const [track, report] = await Promise.all([
      ask("event_track/", { url }),
      ask("event_report/", { url, date: day }),
    ]);
    const failed = [track, report].find(({ status }) => status !== 200);
    return () => panel.take(failed ?? { status: 200, body: { track: track.body, report: report.body } });
  }, 2000);
  const again = () => {
    if (!url) return;
    panel.asked();
    asker.again();
  };
  const show = (/** @type {string} */ wanted) => {
    url = text.value = wanted;
    again();
  };
  byId("url-form").addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = urlHash(text.value); // the address of the page says what it shows
    show(text.value);
  });
  const follow = () => {
    const wanted = new URLSearchParams(location.hash.slice(1)).get("url");
    if (wanted && wanted !== url) show(wanted);
  };
  addEventListener("hashchange", follow);
  follow();
  const turn = (/** @type {number} */ days) => {
    const day = new Date(`${date.value || utcDay()}T00:00:00Z`);
    day.setUTCDate(day.getUTCDate() + days);
    date.value = day.toISOString().slice(0, 10);
    again();
  };
  date.addEventListener("change", again);
  byId("day-before").addEventListener("click", () => turn(-1));
  byId("day-after").addEventListener("click", () => turn(1));
}

/**
 * As many as there is room for: CLICK and VIEW, which are always there, then the most frequent.
 * @param {{type: string, count: number}[]} events
 */
function mostOf(events) {
  const rank = (/** @type {{type: string, count: number}} */ event) => (["CLICK", "VIEW"].includes(event.type) ? Infinity : event.count);
  const sorted = [...events].sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)));
  const rest = sorted.slice(TYPES).reduce((sum, { count: n }) => sum + n, 0);
  return sorted.length > TYPES ? [...sorted.slice(0, TYPES), { type: `of ${sorted.length - TYPES} other types`, count: rest }] : sorted;
}

/** @param {{track: any, report: any}} body */
function showUrl({ track, report }) {
  const counts = byId("url-counts");
  const events = mostOf(track.events);
  if (counts.childElementCount !== events.length) {
    counts.replaceChildren(...events.map(() => el("span", "", el("strong"), " ", el("bdi"))));
  }
  events.forEach((event, place) => {
    const [number, type] = counts.children[place]?.children ?? [];
    if (number) setText(number, count(event.count));
    if (!type) return;
    setText(type, event.type);
    /** @type {HTMLElement} */ (type).title = event.type;
  });
  showDay(report);
  return track.events.some((/** @type {{count: number}} */ { count: n }) => n) ? "" : "No event with this url has been counted.";
}

function sessionsPanel() {
  const text = typed("user-text", HTMLInputElement);
  const panel = new Panel("sessions", showSessions, "Type a user id.");
  let user = "";
  const asker = new Asker(async () => {
    const [{ status, body }, counter] = await Promise.all([ask(`stats/users/${encodeURIComponent(user)}/sessions?window=1800`), userCounter()]);
    return () => panel.take({ status, body: { ...body, counter } });
  }, 3000);
  byId("sessions-form").addEventListener("submit", (event) => {
    event.preventDefault();
    user = text.value;
    panel.asked();
    asker.again();
  });
  changes.addEventListener("zone", () => user && asker.again());
}

/** @typedef {import("./span.js").Counter} Counter */

/** The counter that says most of a user by the hour: a declared one, or what the bot rule left out. */
async function userCounter() {
  const { status, body } = await ask("counters");
  const byUser = status === 200 ? body.filter((/** @type {Counter} */ { key, window }) => key === "user_id" && window !== null && window <= 3600) : [];
  return byUser.find((/** @type {Counter} */ { measure }) => measure) ?? byUser.find((/** @type {Counter} */ { window }) => window === 3600);
}

/** @typedef {{session_id: string, first_seen: string, last_seen: string, events: number}} Session */

/** @param {{user_id: string, active_sessions: number, sessions: Session[], counter?: Counter}} body */
function showSessions({ user_id, active_sessions, sessions, counter }) {
  const href = counter && `explore?${query({ counter: counter.name, key: user_id })}`;
  fillCell(byId("sessions-all"), { text: `${count(active_sessions)} active in the last 30 min`, title: counter?.description ?? "", href });
  const sorted = [...sessions].sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1));
  fillRows(
    byId("sessions-rows"),
    sorted.slice(0, 8).map(({ session_id, first_seen, last_seen, events }) => [
      { text: session_id, title: session_id, head: true, className: "cut" },
      { text: moment(first_seen), title: bothZones(first_seen), className: "time" },
      { text: moment(last_seen), title: bothZones(last_seen), className: "time" },
      { text: count(events), className: "number" },
    ]),
  );
  return sessions.length ? "" : "This user was not seen in the last 30 min.";
}

function adsPanel() {
  const month = typed("ads-month", HTMLInputElement);
  const ad = typed("ads-id", HTMLInputElement);
  const panel = new Panel("ads", showAds);
  month.value = utcDay().slice(0, 7);
  let question = `stats/ads?month=${month.value}`;
  const asker = new Asker(async () => {
    const reply = await ask(question);
    return () => panel.take(reply);
  }, 5000);
  byId("ads-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const path = ad.value ? `stats/ads/${encodeURIComponent(ad.value)}` : "stats/ads";
    question = `${path}?month=${month.value}`;
    panel.asked();
    asker.again();
  });
  asker.again();
}

/** @param {any} body */
function showAds({ impressions, visitors, clicks, counted_clicks, final, ad_id }) {
  const figures = [["Impressions", impressions], ["Visitors", visitors], ...(clicks === undefined ? [] : [["Clicks", clicks]])];
  byId("ads-figures").replaceChildren(
    ...figures.map(([name, n]) => el("div", "", el("dt", "", name), el("dd", "", count(n)))),
  );
  const days = ad_id === undefined ? { counter: "ad_events_daily" } : { counter: "ad_events_by_ad_daily", key: ad_id };
  fillCell(byId("ads-final"), { text: `${ad_id === undefined ? "all ads" : `ad ${ad_id}`}, ${final ? "final" : "so far"}`, href: `explore?${query({ ...days, by: "1d" })}` });
  const table = byId("ads-clicks");
  table.hidden = !counted_clicks?.length;
  fillRows(
    byId("ads-rows"),
    (counted_clicks ?? []).map((/** @type {{website: string, count: number}} */ row) => [
      { text: row.website, title: row.website, head: true, className: "cut" },
      { text: count(row.count), className: "number" },
    ]),
  );
  return "";
}
