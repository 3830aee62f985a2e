// Spans of days in a time zone, as moments; and the question that a choice is.

const DAY_MS = 86_400_000;

/**
 * @typedef {{name: string, window: number | null, retention: number | null, key: string,
 *   label: string, description: string, measure?: string}} Counter measure: of declared ones
 * @typedef {{counter: string, key: string, label: string, from: string, to: string, by: string,
 *   tz: string}} Choice from, to: days of the zone, both included
 * @typedef {{begin: number, end: number}} Span ms since 1970
 */

/**
 * How far a zone is ahead of UTC.
 * @param {number} at ms since 1970
 * @param {string} tz
 */
function offsetMs(at, tz) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: tz, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(at);
  const of = (/** @type {string} */ type) => Number(parts.find((part) => part.type === type)?.value);
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second")) - Math.floor(at / 1000) * 1000;
}

/**
 * The first moment of a day.
 * @param {string} day 2026-11-28
 * @param {string} tz
 */
export function dayBegin(day, tz) {
  const local = Date.parse(`${day}T00:00:00Z`);
  const guess = local - offsetMs(local, tz);
  return local - offsetMs(guess, tz);
}

/**
 * @param {string} day
 * @param {number} days may be negative
 */
export const dayAfter = (day, days) => new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

/** @param {string} tz @returns {string} the day that it is there */
export const today = (tz) => new Date(Date.now() + offsetMs(Date.now(), tz)).toISOString().slice(0, 10);

/**
 * The days of a choice, and as many before them. What is no longer kept is left out.
 * @param {Choice} choice
 * @param {Counter} counter
 * @returns {{now: Span, before: Span | null}} before: null where none of it is kept
 */
export function spans({ from, to, tz }, { retention, window }) {
  const days = Math.max(1, Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1);
  const span = (/** @type {string} */ first) => ({ begin: dayBegin(first, tz), end: dayBegin(dayAfter(first, days), tz) });
  const step = Math.max(3600, window ?? 0) * 1000;
  const oldest = retention === null ? 0 : Math.ceil((Date.now() + 60_000 - retention * 1000) / step) * step;
  const now = span(from);
  const before = span(dayAfter(from, -days));
  return { now: { begin: now.end > oldest ? Math.max(now.begin, oldest) : now.begin, end: now.end }, before: before.begin < oldest ? null : before };
}

/** @param {Record<string, string | number | undefined>} args those that are "" or undefined are left out */
export const query = (args) =>
  new URLSearchParams(Object.entries(args).flatMap(([name, value]) => (value === "" || value === undefined ? [] : [[name, String(value)]]))).toString();

/** @param {Span} span */
export const range = ({ begin, end }) => ({ from: new Date(begin).toISOString().slice(0, 19) + "Z", to: new Date(end).toISOString().slice(0, 19) + "Z" });

const BUCKETS_MAX = 3000;

/**
 * The begins of all hours or days of a span up to now, ms since 1970; at most BUCKETS_MAX, the last.
 * @param {Span} span
 * @param {Choice} choice
 */
export function buckets({ begin, end }, { by, tz }) {
  const last = Math.min(end, Date.now());
  const found = [];
  if (by === "1h") {
    for (let at = Math.max(begin, last - BUCKETS_MAX * 3_600_000); at < last; at += 3_600_000) found.push(at);
    return found;
  }
  let day = local(Math.max(begin, last - BUCKETS_MAX * DAY_MS), tz).slice(0, 10);
  for (let at = dayBegin(day, tz); at < last; at = dayBegin((day = dayAfter(day, 1)), tz)) found.push(at);
  return found;
}

/**
 * A moment as 2026-11-28 14:00 in a zone.
 * @param {number} at ms since 1970
 * @param {string} tz
 */
export const local = (at, tz) => new Date(at + offsetMs(at, tz)).toISOString().slice(0, 16).replace("T", " ");

/** @param {Record<string, number>} counts @param {string} label of any name, "constructor" too */
export const countOf = (counts, label) => (Object.hasOwn(counts, label) ? (counts[label] ?? 0) : 0);

/**
 * What the counts of an answer add up to, or that of one label; null where they do not add up: a
 * distinct value with several labels would count for each.
 * @param {{total: Record<string, number>, error?: number}} answer
 * @param {string} label
 */
export function totalOf({ total, error }, label) {
  if (label) return countOf(total, label);
  const counts = Object.values(total);
  return error !== undefined && counts.length > 1 ? null : counts.reduce((all, n) => all + n, 0);
}
