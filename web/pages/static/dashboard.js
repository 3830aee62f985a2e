// The dashboard: one stream, and who shows what of it.

import { byId, say, setText } from "./dom.js";
import { clock, duration, localZone } from "./format.js";
import { Rates } from "./rates.js";
import { Stream } from "./stream.js";
import { askedPanels } from "./asked.js";
import { startTheme, startZone } from "./theme.js";
import { livePanels } from "./live.js";
import { pinnedPanel } from "./pins.js";
import { startToken } from "./token.js";

/** @typedef {import("./stream.js").Link} Link */

/** @type {Record<Link, string>} */
const SAID = {
  connecting: "Connecting",
  live: "Live figures",
  stale: "No data for a few seconds",
  lost: "Connection lost; reconnecting",
  locked: "A read token is needed",
  paused: "Paused while this page is hidden",
};
const HIDDEN_MS = 15_000;

startTheme();
startZone();
const rates = new Rates();
const panels = livePanels();
askedPanels();
pinnedPanel();

const stream = new Stream({
  on(name, data) {
    if (name === "point") rates.add(data);
    else if (name === "panel") panels.get(data.name)?.(data);
  },
  link(state) {
    document.body.dataset.link = state;
    say(SAID[state]);
    showLink();
    if (state === "locked") token.ask();
    if (state === "live") token.done();
  },
});
const token = startToken(() => stream.open());

function showLink() {
  const silent = duration((performance.now() - stream.lastAt) / 1000);
  /** @type {Record<Link, string>} */
  const text = {
    connecting: "Connecting…",
    live: "Live",
    stale: `No data for ${silent}`,
    lost: `Reconnecting, no data for ${silent}`,
    locked: "Read token needed",
    paused: "Paused",
  };
  const pill = byId("link");
  if (pill.dataset.state !== stream.state) pill.dataset.state = stream.state;
  setText(pill, text[stream.state]);
}

function showClock() {
  const now = new Date();
  setText(byId("clock"), `${clock(now, "utc")} UTC · ${clock(now, "local")} ${localZone}`);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;
// A browser opens six connections to a server in all its tabs: one that nobody looks at is given back.
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => stream.pause(), HIDDEN_MS);
  else if (stream.state === "paused") stream.open();
});

setInterval(() => {
  showLink();
  showClock();
}, 500);
showClock();
stream.open();
