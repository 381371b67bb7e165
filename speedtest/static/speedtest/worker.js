// The Worker: measures away from the page, so that the page's own work does not disturb.

import { measure } from "./measure.js";
import { Stopped } from "./network.js";

const stopping = new AbortController();
let joined = null;

/** Ask the page to have the site complete a multipart upload. Resolves with its finding. */
function join(upload_id, etags) {
  return new Promise((resolve) => {
    joined = resolve;
    postMessage({ type: "join", upload_id, etags });
  });
}

async function start(data) {
  try {
    const result = await measure({
      ...data,
      join,
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
}

addEventListener("message", ({ data }) => {
  if (data.type === "stop") stopping.abort();
  else if (data.type === "joined") joined(data.finding);
  else start(data);
});
