// Small helpers over the DOM. Text only ever becomes text: nothing here takes markup.

/**
 * The element with an id; a page without it is a fault of ours.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

/**
 * The same, of one kind.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function typed(id, kind) {
  const found = byId(id);
  if (!(found instanceof kind)) throw new Error(`#${id} is no ${kind.name}`);
  return found;
}

/**
 * A new element with text or children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {...(string | Node)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/**
 * Set a text where it differs: an unchanged node is not laid out or read out again.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @type {string[]} */
const saying = [];

/**
 * Have a screen reader say it once; for what has changed, never for figures that go on changing.
 * What comes in one turn is said as one: a text that is replaced at once is never read out.
 * @param {string} text
 */
export function say(text) {
  if (!saying.length) setTimeout(() => setText(byId("said"), saying.splice(0).join(". ")));
  saying.push(text);
}

/**
 * A cell of a table; one given as {meter} shows a share of 1 as a bar, one with {href} is a link.
 * @typedef {{text?: string, className?: string, title?: string, meter?: number, head?: boolean,
 *   href?: string | undefined}} Cell
 */

/**
 * Show rows in a table body; rows and cells that are there are used again.
 * @param {HTMLElement} body
 * @param {Cell[][]} rows
 */
export function fillRows(body, rows) {
  while (body.children.length > rows.length) body.lastElementChild?.remove();
  rows.forEach((cells, place) => {
    const row = body.children[place] ?? body.appendChild(el("tr"));
    if (row.children.length !== cells.length) row.replaceChildren(...cells.map(emptyCell));
    cells.forEach((cell, column) => fillCell(/** @type {HTMLElement} */ (row.children[column]), cell));
  });
}

/** @param {Cell} cell */
function emptyCell(cell) {
  const made = el(cell.head ? "th" : "td", cell.className);
  if (cell.head) made.scope = "row";
  if (cell.meter !== undefined) made.append(el("meter", "share-bar"));
  if (cell.href !== undefined) made.append(el("a"));
  return made;
}

/**
 * Show a cell, or a link in another place.
 * @param {HTMLElement} node
 * @param {Cell} cell
 */
export function fillCell(node, cell) {
  const { className = "", title = "", text = "" } = cell;
  if (node.className !== className) node.className = className;
  if (node.title !== title) node.title = title;
  if (cell.meter !== undefined) {
    const meter = /** @type {HTMLMeterElement} */ (node.firstElementChild);
    if (meter.value !== cell.meter) meter.value = cell.meter;
    meter.ariaLabel = text;
  } else if (cell.href !== undefined) {
    if (node.firstElementChild?.tagName !== "A") node.replaceChildren(el("a"));
    const link = /** @type {HTMLAnchorElement} */ (node.firstElementChild);
    if (link.getAttribute("href") !== cell.href) link.setAttribute("href", cell.href);
    setText(link, text);
  } else {
    setText(node, text);
  }
}
