/**
 * Build elements without markup: text from a mail or the server becomes a text node, never an element.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an HTML element. `on` holds listeners by event, `data` the data attributes. A property that is null or false is left
 * out; true becomes an attribute without a value. Children are elements, texts, or lists of them; null and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Create an SVG element. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, { on = {}, data = {}, ...attributes }, children) {
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(data)) if (value != null) element.dataset[name] = value;
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name === "value") element.value = value;
    else if (name === "checked") element.checked = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false).map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Replace the children of `place`. Focus moves to the new element with the same `data-key` as the focused one, and open
 * `<details>` stay open, so that a refresh does not disturb keyboard users.
 */
export function redraw(place, ...children) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const opened = new Set([...place.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key));
  place.replaceChildren(...flat(children));
  for (const each of place.querySelectorAll("details[data-key]")) if (opened.has(each.dataset.key)) each.open = true;
  if (key !== undefined) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** Return a new element id, to connect a label to its field. */
export function newId() {
  newId.last = (newId.last ?? 0) + 1;
  return `id-${newId.last}`;
}
