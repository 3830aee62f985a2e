// A card of the dashboard and its states: loading, empty, ready, kept (old figures, and why there
// are no new ones), failed. The size stays the same in all of them.

import { byId, el, say, setText } from "./dom.js";
import { duration } from "./format.js";

/** @typedef {import("./net.js").Reply} Reply */

export class Panel {
  /** @type {HTMLElement} */
  card;
  #title = el("strong");
  #text = el("span");
  /** Since when it has failed: ms since 1970. */
  #failedAt = 0;
  #asked = false;

  /**
   * @param {string} name id of the card
   * @param {(body: any) => string} show shows an answer; returns why there is nothing to see, or ""
   * @param {string} [idle] what to do, for a panel that waits for a question
   */
  constructor(name, show, idle = "") {
    this.card = byId(name);
    this.show = show;
    const content = this.card.querySelector(".content");
    const note = el("div", "note", this.#title, this.#text);
    content?.append(note);
    if (idle) this.#become("idle", "", idle);
    else this.loading();
  }

  loading() {
    this.#become("loading", "", "Loading…");
  }

  /** The next answer is to a new question: it is said aloud, and the figures before it are void. */
  asked() {
    this.#asked = true;
    if (this.card.dataset.state !== "ready") this.loading();
  }

  /** @param {string} text what to do */
  idle(text) {
    this.#become("idle", "", text);
  }

  /** @param {Reply} reply */
  take(reply) {
    this.#show(reply);
    if (this.#asked) say(`${this.card.querySelector("h2")?.textContent}: ${this.#title.textContent || this.#text.textContent || "shown"}`);
    this.#asked = false;
  }

  /** @param {Reply} reply */
  #show(reply) {
    if (reply.status === 200) {
      this.#failedAt = 0;
      const nothing = this.show(reply.body);
      this.#become(nothing ? "empty" : "ready", "", nothing);
      return;
    }
    this.#failedAt ||= Date.now();
    const since = Date.now() - this.#failedAt > 2000 ? ` for ${duration((Date.now() - this.#failedAt) / 1000)}` : "";
    const kept = !this.#asked && ["ready", "kept"].includes(this.card.dataset.state ?? "");
    const [title, text] = reason(reply);
    this.#become(kept ? "kept" : "failed", `${title}${since}`, kept ? "" : text);
    this.#title.title = text;
  }

  /**
   * @param {string} state
   * @param {string} title
   * @param {string} text
   */
  #become(state, title, text) {
    if (this.card.dataset.state !== state) this.card.dataset.state = state;
    this.card.ariaBusy = state === "loading" ? "true" : "false";
    setText(this.#title, title);
    setText(this.#text, text);
  }
}

/**
 * In words, for people.
 * @param {Reply} reply
 * @returns {[string, string]} what is the matter, and more about it
 */
export function reason({ status, body }) {
  const text = typeof body?.message === "string" ? body.message : "";
  if (status === 0) return ["The server does not answer", "Retrying automatically."];
  if (status === 401) return ["A read token is needed", text];
  if (status === 404) return ["Not available", "This server does not offer this figure."];
  if (status === 400) return ["This cannot be answered", text];
  return ["Not available right now", text];
}
