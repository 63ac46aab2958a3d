/**
 * Elements without markup: whatever a mail or a server says becomes a text node, never an element.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `on` holds listeners by event, `data` the data attributes; a property that is null or false is left out,
 * true is an attribute without a value. Children are elements, texts, or lists of them; null and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same in the namespace of SVG. */
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
 * Replace what is in `place`, and give the focus back to the element that stands where the focused one stood
 * (the same `data-key`), so that a refresh takes nothing away from who works with the keyboard.
 */
export function redraw(place, ...children) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const opened = new Set([...place.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key));
  place.replaceChildren(...flat(children));
  for (const each of place.querySelectorAll("details[data-key]")) if (opened.has(each.dataset.key)) each.open = true;
  if (key !== undefined) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** A fresh id, to tie a label to its field. */
export function newId() {
  newId.last = (newId.last ?? 0) + 1;
  return `id-${newId.last}`;
}
