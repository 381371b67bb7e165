// The Worker: measures away from the page, so that the page's own work does not disturb.

import { measure } from "./measure.js";
import { get, Stopped } from "./network.js";

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

/** Whether the Worker gets to a host at all: it may be under another policy than the page. */
async function reach(host) {
  const violations = [];
  addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));
  let reached = true;
  try {
    await get(`${host}/`, { mode: "no-cors", signal: stopping.signal, timeoutMs: 10000 });
  } catch {
    // The event comes a moment after the failure.
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    reached = false;
  }
  postMessage({ type: "done", reached, blocked: violations.some((uri) => uri.startsWith(host)) });
}

addEventListener("message", ({ data }) => {
  if (data.type === "stop") stopping.abort();
  else if (data.type === "joined") joined(data.finding);
  else if (data.type === "reach") reach(data.host);
  else start(data);
});
