/**
 * Poll the API: pause while the tab is hidden, back off while it does not respond, and poll faster for a few seconds after an
 * action, because its effect can take a moment.
 */

import { CallFailed } from "./api.js";

const MAX_SECONDS = 60;
const FAST_SECONDS = 0.4;

/** Dispatches `status` with the result of the latest call: `{state: "live" | "lost" | "paused", error}`. Lost: no response, or a failure of the server. */
export const connection = new EventTarget();

function report(state, error = null) {
  connection.dispatchEvent(new CustomEvent("status", { detail: { state, error } }));
}

/**
 * Call `load` every `seconds` and pass its result to `draw` if it changed; pass a failure to `fail`. Stops when `signal` is
 * aborted. Returns a function that polls at once.
 */
export function poll({ load, draw, fail, signal, seconds = 5 }) {
  let wake = () => {};
  let drawn = null;
  let fastDelay = Infinity;
  const isOver = () => signal.aborted;

  async function once() {
    const result = await load(signal);
    const text = JSON.stringify(result);
    if (!isOver() && text !== drawn) {
      drawn = text;
      draw(result);
    }
  }

  async function run() {
    let delay = seconds;
    while (!isOver()) {
      try {
        await once();
        delay = seconds;
        report("live");
      } catch (error) {
        if (isOver() || error.name === "AbortError") return;
        if (!(error instanceof CallFailed)) throw error;
        drawn = null;
        fail(error);
        fastDelay = Infinity;
        delay = Math.min(MAX_SECONDS, Math.max(delay * 2, error.retryAfter ?? 0));
        // A refusal is a response too.
        report(error.status === 0 || error.status >= 500 ? "lost" : "live", error);
      }
      if (isOver()) return;
      await wait(Math.min(delay, fastDelay));
      fastDelay *= 2;
    }
  }

  function wait(delay) {
    return new Promise((resolve) => {
      const timer = setTimeout(over, delay * 1000);
      const visible = () => !document.hidden && over();
      function over() {
        if (document.hidden && !isOver()) {
          report("paused");
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
    fastDelay = FAST_SECONDS;
    wake();
  };
}
