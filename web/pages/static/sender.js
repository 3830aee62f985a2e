// A worker that sends events at a steady rate: its timers go on when the page is not seen, and the
// page stays quick. Answers are waited for; at most ON_WAY_MAX batches are on their way.

import { Maker } from "./shapes.js";

const ON_WAY_MAX = 4; // a browser opens six connections to a server, and the dashboard needs one
const BATCHES_PER_S = 20;
const BATCH_MAX = 1000; // more are not taken or refused as one
const DEBT_MAX_S = 0.5; // what is late by more is left out, and said
const TICK_MS = 10;
const AGAIN_MS = 500; // after a failure without Retry-After
const ANSWER_MS = 20_000;
const UNAUTHORIZED = 401;

/**
 * @typedef {{rate: number, shape: import("./shapes.js").Shape, users: number, bots: number,
 *   key: string}} Order key: write key, "" without one
 * @typedef {{number: number, events: number, acknowledged: number, rejected: number, failed: number,
 *   ms: number, problem: string}} Batch
 * @typedef {{sent: number, acknowledged: number, rejected: number, failed: number, late: number,
 *   onWay: number, running: boolean, problem: string}} Tally
 */

/** @type {Tally} */
const tally = { sent: 0, acknowledged: 0, rejected: 0, failed: 0, late: 0, onWay: 0, running: false, problem: "" };
/** @type {Maker | null} */
let maker = null;
let rate = 0;
let key = "";
let begun = 0;
let given = 0; // sent, or left out for being late, since begun
let pausedUntil = 0;
let onWay = 0; // batches
let number = 0;

/** @param {MessageEvent<Order | "stop">} message */
self.onmessage = ({ data }) => {
  if (data === "stop") {
    rate = 0;
  } else {
    maker = new Maker(data.shape, data.users, data.bots);
    rate = data.rate;
    key = data.key;
    begun = performance.now();
    given = 0;
    tally.problem = "";
  }
  tally.running = rate > 0;
  tell();
};

setInterval(() => {
  const now = performance.now();
  if (!rate || !maker) return;
  const size = Math.max(1, Math.min(BATCH_MAX, Math.floor(rate / BATCHES_PER_S)));
  const due = Math.floor(((now - begun) / 1000) * rate);
  const late = due - given - Math.floor(rate * DEBT_MAX_S) - size;
  if (late > 0) {
    given += late;
    tally.late += late;
  }
  while (due - given >= size && onWay < ON_WAY_MAX && now >= pausedUntil) {
    given += size;
    send(maker.batch(size), size);
  }
}, TICK_MS);

setInterval(tell, 200);

/**
 * @param {string} body
 * @param {number} events
 */
async function send(body, events) {
  /** @type {Batch} */
  const batch = { number: (number += 1), events, acknowledged: 0, rejected: 0, failed: 0, ms: 0, problem: "" };
  const sent = performance.now();
  tally.sent += events;
  tally.onWay += events;
  onWay += 1;
  try {
    /** @type {Record<string, string>} */
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const answer = await fetch("../events", { method: "POST", body, headers, signal: AbortSignal.timeout(ANSWER_MS) });
    const found = await answer.json();
    if (answer.ok) {
      batch.acknowledged = found.accepted;
      batch.rejected = found.rejected;
    } else {
      // A 503 may have stored a part of it: sending it again could count that twice.
      batch.problem = `${answer.status} ${found.code}: ${found.message}`;
      pausedUntil = performance.now() + (1000 * Number(answer.headers.get("Retry-After")) || AGAIN_MS);
      if (answer.status === UNAUTHORIZED && rate) {
        rate = 0;
        self.postMessage({ refused: true });
      }
    }
  } catch (error) {
    batch.problem = `no answer: ${error}`;
    pausedUntil = performance.now() + AGAIN_MS;
  }
  batch.failed = batch.problem ? events : 0;
  batch.ms = Math.round(performance.now() - sent);
  onWay -= 1;
  tally.onWay -= events;
  tally.acknowledged += batch.acknowledged;
  tally.rejected += batch.rejected;
  tally.failed += batch.failed;
  if (batch.problem) tally.problem = batch.problem;
  self.postMessage({ batch });
}

function tell() {
  self.postMessage({ tally });
}
