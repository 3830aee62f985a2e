// What a website includes to have its page views and clicks counted:
//   <script defer src="https://counter.example/tracker.js" data-app="shop"></script>
// No cookie, no storage, one global: eventCounter("signup", { plan: "pro" }).
// Options: docs/start/from-a-web-page.md. Minified by esbuild when the pages are installed.

const FIELDS = "user_id session_id url referrer product_id category value ad_id app_name timestamp ip properties".split(" ");
const RETRY_MS = 1000;
const RETRY_MAX_MS = 60_000;
const TRIES = 10; // a quarter of an hour; what is refused for what it is, is not tried again
const LONGEST = 2048; // of a url that is taken
const WAITING_MAX = 500; // events kept for another try

/** @type {any} */
const page = window;
const script = /** @type {HTMLScriptElement | null} */ (document.currentScript ?? document.querySelector('script[src*="tracker.js"]'));
const options = script?.dataset ?? {};
const base = (options.endpoint || script?.src || location.href).replace(/\/(tracker\.js|events)?\/?([?#].*)?$/, "");
const door = `${base}/events${options.writeKey ? `?write_key=${encodeURIComponent(options.writeKey)}` : ""}`;
const asksNotTo = "respectGpc" in options && (page.navigator.globalPrivacyControl || navigator.doNotTrack === "1");

/** @typedef {{ body: string, tries: number }} Waiting */
/** @type {Set<Waiting>} */
const waiting = new Set(); // for another try

/** @returns {string} */
const id = () => {
  if (crypto.randomUUID) return crypto.randomUUID(); // only in secure contexts
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
};

const here = () => location.href.replace(/#.*/s, "").slice(0, LONGEST);

/** @param {Waiting} event */
const send = async (event) => {
  let pause = Math.min(RETRY_MS * 2 ** event.tries, RETRY_MAX_MS);
  try {
    // Text: asked without a preflight. The id in it makes a second arrival the first one again.
    const answer = await fetch(door, { method: "POST", body: event.body, keepalive: true, credentials: "omit", referrerPolicy: "no-referrer" });
    if (answer.status < 500 && answer.status !== 429 && answer.status !== 408) return;
    pause = Math.max(pause, 1000 * Number(answer.headers.get("Retry-After"))) || pause;
  } catch {
    // No network, or no answer; it may have arrived.
  }
  if (++event.tries >= TRIES || waiting.size >= WAITING_MAX) return;
  waiting.add(event);
  setTimeout(() => waiting.delete(event) && send(event), pause);
};

/**
 * Count an event.
 * @param {string} type
 * @param {Record<string, unknown>} [fields] of the event; any other name becomes one of its properties
 */
const track = (type, fields = {}) => {
  if (asksNotTo) return;
  /** @type {Record<string, unknown>} */
  const properties = { .../** @type {object} */ (fields.properties) };
  /** @type {Record<string, unknown>} */
  const event = { type, url: here(), referrer: document.referrer.slice(0, LONGEST), app_name: options.app, message_id: id() };
  for (const [name, value] of Object.entries(fields)) (FIELDS.includes(name) ? event : properties)[name] = value;
  event.properties = properties;
  send({ body: JSON.stringify(event), tries: 0 });
};

let seen = "";
let from = document.referrer;
const view = () => {
  const url = here();
  if (url === seen) return;
  track("page_view", { referrer: from });
  from = seen = url; // what comes next in this page was reached from here
};

const begin = () => {
  for (const name of ["pushState", "replaceState"]) {
    const original = page.history[name];
    page.history[name] = function () {
      original.apply(this, arguments);
      view();
    };
  }
  addEventListener("popstate", view);
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return; // shown again out of the browser's memory
    seen = "";
    view();
  });
  addEventListener("click", (event) => {
    const type = /** @type {Element} */ (event.target).closest?.("[data-event]")?.getAttribute("data-event");
    if (type) track(type);
  }, true);
  const leave = () => {
    for (const event of waiting) navigator.sendBeacon(door, event.body) && waiting.delete(event);
  };
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.hidden && leave());
  view();
};

if (!page.eventCounter?.is) {
  const early = page.eventCounter?.q ?? []; // calls made before this file came
  page.eventCounter = track;
  page.eventCounter.is = true;
  for (const call of early) track.apply(null, call);
  const late = /** @type {any} */ (document);
  if (late.prerendering) late.addEventListener("prerenderingchange", begin, { once: true });
  else begin();
}
