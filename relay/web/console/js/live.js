/**
 * Asking again and again, and only as often as it helps: at rest while the tab is hidden, less and less often while there is
 * no answer; at once when somebody did something, and soon again, because what was done takes a moment to have an effect.
 */

import { CallFailed } from "./api.js";

const LONGEST_SECONDS = 60;
const HURRIED_SECONDS = 0.4;

/** Tells how the latest question went, to whoever shows it: `{state: "live" | "lost" | "resting", error}`. */
export const pulse = new EventTarget();

function tell(state, error = null) {
  pulse.dispatchEvent(new CustomEvent("beat", { detail: { state, error } }));
}

/**
 * Call `load` every `seconds` and hand what it gives to `draw`, when it is not the same as before; a failure goes to `fail`.
 * Ends with `signal`. Returns a function that asks at once.
 */
export function live({ load, draw, fail, signal, seconds = 5 }) {
  let wake = () => {};
  let known = null;
  let hurried = Infinity;
  const isOver = () => signal.aborted;

  async function once() {
    const told = await load(signal);
    const text = JSON.stringify(told);
    if (!isOver() && text !== known) {
      known = text;
      draw(told);
    }
  }

  async function run() {
    let delay = seconds;
    while (!isOver()) {
      try {
        await once();
        delay = seconds;
        tell("live");
      } catch (error) {
        if (isOver() || error.name === "AbortError") return;
        if (!(error instanceof CallFailed)) throw error;
        known = null;
        fail(error);
        hurried = Infinity;
        delay = Math.min(LONGEST_SECONDS, Math.max(delay * 2, error.retryAfter ?? 0));
        tell("lost", error);
      }
      if (isOver()) return;
      await rest(Math.min(delay, hurried));
      hurried *= 2;
    }
  }

  function rest(delay) {
    return new Promise((resolve) => {
      const timer = setTimeout(over, delay * 1000);
      const visible = () => !document.hidden && over();
      function over() {
        if (document.hidden && !isOver()) {
          tell("resting");
          document.addEventListener("visibilitychange", visible);
          return;
        }
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", visible);
        signal.removeEventListener("abort", over);
        resolve();
      }
      wake = over;
      signal.addEventListener("abort", over);
    });
  }

  run();
  return () => {
    hurried = HURRIED_SECONDS;
    wake();
  };
}
