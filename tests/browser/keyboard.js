/**
 * Follow the focus while keys are pressed: `start()` returns the number of stops, `missed()` the controls that the Tab key did not
 * reach or that show no focus (WCAG 2.2, 2.1.1 and 2.4.7). It looks at the page's own part: the frame is the same on each page.
 */
(() => {
  const reached = new Set();
  const bare = new Set();

  /** A name that is the same after the page has drawn the control again. */
  function nameOf(element) {
    return `${element.localName} ${element.getAttribute("aria-label") ?? (element.name || element.textContent.trim())}`;
  }

  function stops() {
    const all = document.querySelector("main").querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
    return [...all].filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility({ visibilityProperty: true }));
  }

  document.addEventListener("focusin", ({ target }) => {
    reached.add(nameOf(target));
    if (getComputedStyle(target).outlineStyle === "none") bare.add(`no focus shown: ${nameOf(target)}`);
  });

  return {
    start() {
      const found = stops();
      document.activeElement?.blur();
      found[0]?.focus({ focusVisible: true });
      return found.length;
    },
    missed: () => [...bare, ...stops().map(nameOf).filter((name) => !reached.has(name)).map((name) => `not reached: ${name}`)],
  };
})()
