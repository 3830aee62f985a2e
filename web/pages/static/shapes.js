// Random events of each shape, as app/ingest/generator.py makes them.

const PAGES = 200;
const BOT_SHARE = 0.1; // of all events, where there are bots
const BOT_BURST = 50; // page views of a bot with the same timestamp; the limit is 10
const SITES = ["example.net", "example.org", "shop.example.com", "news.example.com"];
const SITE_PAGES = Array.from({ length: PAGES }, (_, n) => `${SITES[n % 4]}/page_${Math.floor(n / 4) + 1}`);
const SHOP_PAGES = ["/", ...Array.from({ length: PAGES - 1 }, (_, n) => `/products/${n + 1}`)];
const ADS = 50;

export const SHAPES = /** @type {const} */ (["analytics", "counter", "clickstream", "ads", "app"]);
/** @typedef {(typeof SHAPES)[number]} Shape */

/** @template T @param {readonly T[]} items @returns {T} */
const pick = (items) => /** @type {T} */ (items[Math.floor(Math.random() * items.length)]);

/**
 * One of the choices, each as often as its weight says.
 * @param {readonly (readonly [string | null, number])[]} choices
 */
function weighted(choices) {
  let left = Math.random() * choices.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [choice, weight] of choices) if ((left -= weight) < 0) return choice;
  return choices[0]?.[0] ?? null;
}

// Page n is visited in proportion to 1/n, as on a real site.
const REACH = [0];
for (let n = 1; n <= PAGES; n += 1) REACH.push((REACH[n - 1] ?? 0) + 1 / n);

/** @param {string[]} pages */
function page(pages) {
  const place = Math.random() * (REACH[PAGES] ?? 1);
  let low = 0;
  let high = PAGES - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((REACH[middle + 1] ?? 0) > place) high = middle;
    else low = middle + 1;
  }
  return pages[low] ?? "/";
}

export class Maker {
  /** @type {{left: number, moment: string}[]} */
  #bots;
  #last = 0;

  /**
   * @param {Shape} shape
   * @param {number} users how many different ones
   * @param {number} bots users besides, with bursts of page views of one moment (analytics only)
   */
  constructor(shape, users, bots) {
    this.shape = shape;
    this.users = users;
    this.#bots = Array.from({ length: shape === "analytics" ? bots : 0 }, () => ({ left: 0, moment: "" }));
  }

  /**
   * The next events as NDJSON.
   * @param {number} size
   */
  batch(size) {
    const lines = [];
    for (let n = 0; n < size; n += 1) lines.push(JSON.stringify(this.#event()));
    return lines.join("\n");
  }

  #event() {
    const user = Math.floor(Math.random() * this.users);
    if (this.#bots.length && Math.random() < BOT_SHARE) return this.#bot();
    switch (this.shape) {
      case "counter":
        return { uuid: uuid(), type: pick(["CLICK", "VIEW"]), url: page(SITE_PAGES), ip: `10.${(user >> 16) & 255}.${(user >> 8) & 255}.${user & 255}` };
      case "clickstream":
        return { date: this.#moment().replace(/\.\d+Z$/, "UTC"), productId: `product_${1 + Math.floor(Math.random() * PAGES)}`, eventName: weighted([["productview", 70], ["addtobasket", 15], ["removefrombasket", 5], ["purchase", 10]]), userId: `user_${user}` };
      case "ads":
        return { Type: weighted([["PageView", 60], ["AdImpression", 30], ["AdClick", 10]]), Url: page(SITE_PAGES), Meta: { UserId: `user_${user}`, AdId: `${1 + Math.floor(Math.random() * ADS)}` } };
      case "app":
        return { user_id: user, app_name: pick(["product_1", "product_2", "product_3"]), event_action: weighted([["scroll", 50], ["click", 30], ["login", 10], ["purchase", 5], [null, 5]]), event_category: pick(["category_1", "category_2", "category_3", null]), event_value: pick([1, 2, 3, 4, 5, 6, 7, 8, 9, null]) };
      default:
        return { timestamp: this.#moment(), user_id: `user_${user}`, event_type: weighted([["page_view", 70], ["click", 20], ["search", 7], ["purchase", 3]]), page_url: page(SHOP_PAGES), session_id: `sess_${user}_${Math.floor(Math.random() * 3)}` };
    }
  }

  #bot() {
    const number = Math.floor(Math.random() * this.#bots.length);
    const bot = /** @type {{left: number, moment: string}} */ (this.#bots[number]);
    if (!bot.left) Object.assign(bot, { left: BOT_BURST, moment: this.#moment() });
    bot.left -= 1;
    return { timestamp: bot.moment, user_id: `bot_${number + 1}`, event_type: "page_view", page_url: SHOP_PAGES[0], session_id: `sess_bot_${number + 1}` };
  }

  /** A time that no event had before, so that none but a bot has many of one moment. */
  #moment() {
    this.#last = Math.max(this.#last + 1, Date.now() * 1000);
    const ms = Math.floor(this.#last / 1000);
    return `${new Date(ms).toISOString().slice(0, -1)}${String(this.#last % 1000).padStart(3, "0")}Z`;
  }
}

/** crypto.randomUUID() is there only over https and on this machine. */
function uuid() {
  const hex = () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
  const all = hex() + hex() + hex() + hex();
  return [all.slice(0, 8), all.slice(8, 12), all.slice(12, 16), all.slice(16, 20), all.slice(20)].join("-");
}
