// The one stream of a page: server-sent events over fetch, which, unlike EventSource, shows the
// status of a refusal and can send the token in a header.

import { authorization } from "./net.js";

const AGAIN_MS = [500, 1000, 2000, 3000]; // between attempts; the last one for good
const SILENT_MS = 6000; // a point comes each second; without any for so long the line is dead
const CHECK_MS = 500;

/**
 * @typedef {"connecting" | "live" | "stale" | "lost" | "locked" | "paused"} Link
 * @typedef {{on: (name: string, data: any) => void, link: (state: Link) => void}} Listener
 */

export class Stream {
  /** Of the last event: performance.now(). */
  lastAt = performance.now();
  /** @type {Link} */
  state = "connecting";
  #lastId = "";
  #attempts = 0;
  #triedAt = 0;
  /** @type {AbortController | null} */
  #line = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;
  /** @type {Listener} */
  #listener;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
    setInterval(() => this.#check(), CHECK_MS);
  }

  /** Connect, or connect anew; what was missed comes first. */
  async open() {
    clearTimeout(this.#again);
    this.#line?.abort();
    const line = new AbortController();
    this.#line = line;
    if (this.state !== "lost") this.#become("connecting");
    this.#triedAt = performance.now();
    try {
      /** @type {Record<string, string>} */
      const headers = { Accept: "text/event-stream", ...authorization() };
      if (this.#lastId) headers["Last-Event-ID"] = this.#lastId;
      const answer = await fetch("stream", { headers, signal: line.signal, cache: "no-store" });
      if (answer.status === 401) {
        if (line === this.#line) this.#lock();
        return;
      }
      if (answer.ok && answer.body) await this.#read(answer.body, line);
      else await answer.body?.cancel();
    } catch {
      // Nobody there, or hung up: both are answered below.
    }
    if (line === this.#line) this.#retry();
  }

  /** Hang up; open() goes on where it was. */
  pause() {
    this.#become("paused");
    this.#line?.abort();
    this.#line = null;
    clearTimeout(this.#again);
  }

  #lock() {
    this.#line?.abort();
    this.#line = null;
    this.#become("locked");
  }

  #retry() {
    this.#line?.abort();
    this.#line = null;
    this.#become("lost");
    const wait = AGAIN_MS[Math.min(this.#attempts, AGAIN_MS.length - 1)];
    this.#attempts += 1;
    this.#again = setTimeout(() => this.open(), wait);
  }

  #check() {
    const silent = performance.now() - Math.max(this.lastAt, this.#triedAt);
    if (this.state === "live" && silent > SILENT_MS / 2) this.#become("stale");
    if (this.#line && silent > SILENT_MS) this.#retry();
  }

  /** @param {Link} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#listener.link(state);
  }

  /**
   * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
   * @param {AbortController} line
   */
  async #read(body, line) {
    let text = "";
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || line !== this.#line) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) this.#take(block);
    }
  }

  /** @param {string} block lines of one event */
  #take(block) {
    let name = "";
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
      else if (line.startsWith("id: ")) this.#lastId = line.slice(4);
    }
    if (!name) return;
    this.lastAt = performance.now();
    this.#attempts = 0;
    this.#become("live");
    this.#listener.on(name, JSON.parse(data));
  }
}
