/**
 * Find accessibility problems of the drawn page: text without enough contrast (WCAG 2.2, 1.4.3: 4.5 to 1, large text 3 to 1),
 * controls without a name (4.1.2), and content wider than the window (1.4.10).
 */
() => {
  const found = [];

  function color(text) {
    const canvas = color.canvas ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return { red, green, blue, alpha: alpha / 255 };
  }

  function over(top, below) {
    const mix = (name) => top[name] * top.alpha + below[name] * (1 - top.alpha);
    return { red: mix("red"), green: mix("green"), blue: mix("blue"), alpha: 1 };
  }

  /** Compute the color behind an element from its own and its ancestors' backgrounds, down to the first opaque one. */
  function background(element) {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const layer = color(getComputedStyle(each).backgroundColor);
      if (layer.alpha > 0) layers.push(layer);
      if (layer.alpha === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), { red: 255, green: 255, blue: 255, alpha: 1 });
  }

  function luminance({ red, green, blue }) {
    const [r, g, b] = [red, green, blue].map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  function isDrawn(element) {
    return element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !element.closest(".visually-hidden, .skip") && !isHiddenHead(element.closest("thead"));
  }

  /** On narrow screens table headers are visible to screen readers only. */
  function isHiddenHead(head) {
    return head !== null && getComputedStyle(head).position === "absolute";
  }

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const measured = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || measured.has(element) || !isDrawn(element)) continue;
    measured.add(element);
    const style = getComputedStyle(element);
    const below = background(element);
    const ratio = contrast(over(color(style.color), below), below);
    const size = parseFloat(style.fontSize);
    const minimum = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < minimum) found.push(`contrast ${ratio.toFixed(2)} of "${texts.currentNode.data.trim().slice(0, 40)}"`);
  }
  if (measured.size < 6) found.push(`only ${measured.size} texts were measured`);

  for (const element of document.querySelectorAll("a[href], button, input, select, textarea, iframe, [tabindex='0'], [role='img']")) {
    if (!isDrawn(element)) continue;
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join("");
    const by = element.getAttribute("aria-labelledby")?.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("");
    const name = (element.getAttribute("aria-label") ?? "") + (by ?? "") + labels + (element.title ?? "") + element.textContent;
    if (!name.trim()) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }

  for (const element of document.querySelectorAll("input:not([type='checkbox']), select, textarea, .chart rect:not(.hit, .floor)")) {
    if (!isDrawn(element)) continue;
    const isBar = element instanceof SVGElement;
    const line = color(isBar ? getComputedStyle(element).fill : getComputedStyle(element).borderTopColor);
    const ratio = contrast(line, background(element.closest(".card, dialog, form, section, body")));
    if (ratio < 3) found.push(`contrast ${ratio.toFixed(2)} of the edge of ${isBar ? "a bar" : element.name || "a field"}`);
  }

  if (document.documentElement.scrollWidth > innerWidth) found.push(`${document.documentElement.scrollWidth} pixels wide, and the window ${innerWidth}`);
  if (document.querySelectorAll("h1").length !== 1) found.push(`${document.querySelectorAll("h1").length} titles`);
  if (document.documentElement.lang === "") found.push("no language");
  return found;
}
