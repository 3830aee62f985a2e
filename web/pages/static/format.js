// Numbers, durations and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Of sums, too: at most the six decimals that they have. */
export const number = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

/** @param {number} value */
export const count = (value) => whole.format(value);

/** @param {number} value */
export const events = (value) => `${count(value)} ${value === 1 ? "event" : "events"}`;

/** @param {number} value of an axis: 12K */
export const compact = (value) => short.format(value);

/** @param {number | null | undefined} value events per second */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value > 0 && value < 9.95 ? tenth.format(value) : whole.format(value);
}

/** @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

/** @typedef {"utc" | "local"} Zone */

const KEPT = "event-counter-zone";
/** @type {Zone} */
let zone = localStorage.getItem(KEPT) === "local" ? "local" : "utc";

export const zoneNow = () => zone;
export const localZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local";

/** @param {Zone} wanted */
export function setZone(wanted) {
  zone = wanted;
  localStorage.setItem(KEPT, wanted);
}

/**
 * @param {Date} at
 * @param {Zone} [which]
 */
export function clock(at, which = zone) {
  const timeZone = which === "utc" ? "UTC" : undefined;
  return at.toLocaleTimeString("en-GB", { timeZone, hour12: false });
}

/**
 * A moment of today as its time, an older one with its date; both in the chosen zone.
 * @param {string | number} moment RFC 3339, or ms since 1970
 */
export function moment(moment) {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return String(moment);
  const timeZone = zone === "utc" ? "UTC" : undefined;
  /** @param {Date} day */
  const day = (day) => day.toLocaleDateString("sv-SE", { timeZone });
  return day(at) === day(new Date()) ? clock(at) : `${day(at)} ${clock(at)}`;
}

/** What the times of the page are in, for a heading. */
export const zoneName = () => (zone === "utc" ? "UTC" : "local");

/**
 * Both zones, for a title.
 * @param {string | number} moment
 */
export function bothZones(moment) {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return "";
  return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC, ${clock(at, "local")} local (${localZone})`;
}

/** @param {number} window seconds */
export function windowName(window) {
  if (window % 3600 === 0) return window === 3600 ? "last hour" : `last ${window / 3600} hours`;
  return window % 60 === 0 ? `last ${window / 60} min` : `last ${window} s`;
}
