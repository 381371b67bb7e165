// Tabs of one browser tell each other which test was ended for another one: it stops at once, and
// does not spoil the other's figures.

const channel = new BroadcastChannel("speedtest");

/** The test with this id was ended. */
export function tellEnded(run) {
  channel.postMessage({ end: run });
}

/** `listener(run)` hears of tests that other tabs have ended. */
export function onEnded(listener) {
  channel.addEventListener("message", ({ data }) => listener(data.end));
}

/** A page that comes back out of the browser's memory had told its end when it went: begin anew. */
export function reloadWhenBack() {
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
