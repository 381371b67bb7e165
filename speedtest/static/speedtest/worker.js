// The Worker: measures away from the page, so that the page's own work does not disturb.

import { measure } from "./measure.js";
import { Stopped } from "./network.js";

const stopping = new AbortController();

addEventListener("message", async ({ data }) => {
  if (data.type === "stop") {
    stopping.abort();
    return;
  }
  try {
    const result = await measure({
      ...data,
      signal: stopping.signal,
      emit: (event) => postMessage({ type: "progress", ...event }),
    });
    postMessage({ type: "done", ...result });
  } catch (error) {
    postMessage({
      type: error instanceof Stopped && stopping.signal.aborted ? "stopped" : "failed",
      message: `${error?.message ?? error}`,
    });
  }
});
