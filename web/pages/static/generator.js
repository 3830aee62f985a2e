// The load generator: tells the sender what to send, and shows what became of it.

import { ChartTable } from "./chart_table.js";
import { Chart, plain } from "./charts.js";
import { byId, fillRows, say, setText, typed } from "./dom.js";
import { count, duration, rate as shown } from "./format.js";
import { startTheme } from "./theme.js";

/** @typedef {import("./sender.js").Tally} Tally @typedef {import("./sender.js").Batch} Batch */

const SHOWN = 10;
const SECONDS = 120;
const WINDOW_S = 5; // the rate is the mean of
const KEPT_SHARE = 0.9; // of the wanted rate; an answer may be slow for a moment and make up for it

startTheme();
const sender = new Worker("static/sender.js", { type: "module" });
/** @type {Batch[]} */
let batches = [];
/** @type {Tally} */
let tally = { sent: 0, acknowledged: 0, rejected: 0, failed: 0, late: 0, onWay: 0, running: false, problem: "" };
/** @type {{at: number, acknowledged: number, wanted: number, late: number, failed: number}[]} each second */
const seconds = [];
let wanted = 0;
let refused = false;
let begun = 0;
/** @type {[string, string]} */
const LINES = ["Acknowledged", "Asked for"];
const chart = new Chart(byId("speed-chart"), plain(LINES, SECONDS), [[], [], []]);
const table = new ChartTable("speed", LINES, 10);

sender.onmessage = (/** @type {MessageEvent<{batch?: Batch, tally?: Tally, refused?: boolean}>} */ { data }) => {
  if (data.tally) tally = data.tally;
  if (data.refused) askForKey();
  if (!data.batch) return;
  const { number, events, acknowledged, rejected, failed, ms, problem } = data.batch;
  const text = `batch ${number}: ${events} events, ${acknowledged} acknowledged, ${rejected} rejected, ${failed} failed, ${ms} ms`;
  if (problem) console.warn(`${text}; ${problem}`);
  else console.log(text);
  batches = [data.batch, ...batches].slice(0, SHOWN);
};
sender.onerror = (event) => verdict("bad", `The sender is not running: ${event.message}`);

for (const button of buttons()) button.addEventListener("click", () => start(Number(button.dataset.rate)));
byId("stop").addEventListener("click", stop);
byId("order").addEventListener("submit", (event) => event.preventDefault());

function buttons() {
  return /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("button[data-rate]")]);
}

/** @param {number} rate */
function start(rate) {
  if (!typed("order", HTMLFormElement).reportValidity()) return;
  const users = typed("users", HTMLInputElement).valueAsNumber;
  const bots = typed("bots", HTMLInputElement).valueAsNumber;
  const shape = typed("shape", HTMLSelectElement).value;
  const key = typed("write-key", HTMLInputElement).value;
  wanted = rate;
  refused = false;
  begun = performance.now();
  console.log(`sending ${rate} events per second, shape ${shape}, ${users} users, ${bots} bots`);
  sender.postMessage({ rate, shape, users, bots, key });
  press();
  say(`Sending ${count(rate)} events per second`);
}

function stop() {
  wanted = 0;
  sender.postMessage("stop");
  press();
  say("Stopped");
}

function askForKey() {
  wanted = 0;
  refused = true;
  press();
  byId("key-row").hidden = false;
  typed("write-key", HTMLInputElement).select();
  say("A write key is asked for");
}

function press() {
  for (const button of buttons()) button.ariaPressed = String(Number(button.dataset.rate) === wanted);
  typed("stop", HTMLButtonElement).disabled = !wanted;
}

/**
 * @param {string} level
 * @param {string} text
 */
function verdict(level, text) {
  const box = byId("verdict");
  if (box.dataset.level !== level && wanted) say(text);
  box.dataset.level = level;
  setText(box, text);
}

function render() {
  for (const [id, n] of Object.entries({
    sent: tally.sent,
    acknowledged: tally.acknowledged,
    failed: tally.failed,
    rejected: tally.rejected,
    "on-way": tally.onWay,
    late: tally.late,
  })) {
    setText(byId(id), count(n));
  }
  fillRows(
    byId("batches"),
    batches.map((batch) => [
      { text: count(batch.number), head: true },
      { text: count(batch.events), className: "number" },
      { text: `${count(batch.ms)} ms`, className: "number" },
      { text: batch.problem || "acknowledged", title: batch.problem, className: "cut" },
    ]),
  );
}

function second() {
  const now = { at: Date.now() / 1000, acknowledged: tally.acknowledged, wanted, late: tally.late, failed: tally.failed };
  seconds.push(now);
  while (seconds.length > SECONDS + 1) seconds.shift();
  const pairs = seconds.slice(1).map((after, place) => /** @type {const} */ ([seconds[place] ?? after, after]));
  const columns = [
    pairs.map(([, after]) => after.at),
    pairs.map(([before, after]) => (after.acknowledged - before.acknowledged) / (after.at - before.at)),
    pairs.map(([, after]) => after.wanted),
  ];
  chart.set(columns);
  table.set(columns);
  const before = seconds.at(-1 - WINDOW_S) ?? seconds[0] ?? now;
  const speed = now.at > before.at ? (now.acknowledged - before.acknowledged) / (now.at - before.at) : 0;
  setText(byId("speed"), `${shown(speed)} per second, mean of ${WINDOW_S} s`);
  judge(speed, now, before);
}

/**
 * Say honestly whether the rate is kept.
 * @param {number} speed
 * @param {{late: number, failed: number}} now
 * @param {{late: number, failed: number}} before
 */
function judge(speed, now, before) {
  const pill = byId("state");
  pill.dataset.state = wanted ? "live" : "paused";
  setText(pill, wanted ? "Sending" : tally.onWay ? "Stopping" : "Stopped");
  if (!wanted) {
    if (refused) verdict("bad", "Nothing was taken: this server asks for a write key, and this is not one of them. Type one of EVENT_COUNTER_WRITE_KEYS, then choose a rate.");
    else if (tally.sent) verdict("idle", tally.onWay ? "Waiting for the last answers." : `Stopped: ${count(tally.acknowledged)} of ${count(tally.sent)} sent events are acknowledged${tally.failed ? `, ${count(tally.failed)} failed` : ""}.`);
    return;
  }
  const running = (performance.now() - begun) / 1000;
  const asked = `${count(wanted)} events per second asked for, ${shown(speed)} acknowledged`;
  if (now.failed > before.failed) verdict("bad", `Cannot keep up: ${asked}. Last refusal: ${tally.problem}`);
  else if (running <= WINDOW_S) verdict("idle", `Starting: ${count(wanted)} events per second.`);
  else if (speed < KEPT_SHARE * wanted || now.late > before.late) verdict("warn", `Cannot keep up: ${asked}. ${count(now.late - before.late)} events were dropped in the last ${WINDOW_S} s, because answers came too slowly.`);
  else verdict("ok", `Keeping up: ${asked}, for ${duration(running)}.`);
}

press();
setInterval(render, 250);
setInterval(second, 1000);
