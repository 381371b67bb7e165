/* Keeps a player or picture going: a new link when one expires, the primary when a bucket fails. */

import { address, nextStep } from "./player-plan.js";

const WORDS = {
  again: "The link had run out, or the bucket stopped delivering: this goes on with a new link.",
  primary:
    "The bucket that was chosen did not deliver; this comes from the bucket that the file was " +
    "uploaded to.",
  "give-up":
    "This cannot be shown: the browser does not know the format, or no bucket delivers it. " +
    "Downloading it may still work.",
  offline: "There was no network: this goes on as soon as it is back.",
};

/** Milliseconds without any data after which a player is taken to be stuck. */
const STUCK = 6000;

/** Watch a <video>, <audio> or <img>; `say(text)` gets a sentence for the person. */
export function keepGoing(element, say) {
  const base = element.src;
  const isPlayer = element instanceof HTMLMediaElement;
  let state = { fromPrimary: false, tries: 0, worked: false, since: performance.now() };
  // Where a player was on the last link that worked: a new `src` forgets it.
  let place = { time: 0, playing: false };

  function load(fromPrimary) {
    clearTimeout(timer);
    timer = 0;
    if (isPlayer) {
      place = state.worked
        ? { time: element.currentTime, playing: !element.paused }
        : { time: place.time, playing: place.playing || !element.paused };
    }
    state = { fromPrimary, tries: state.tries + 1, worked: false, since: performance.now() };
    element.src = address(base, state);
  }

  let offline = false;

  /** Say whether the machine has no network, which is no bucket's fault; goes on with it. */
  function waitsForNetwork() {
    if (!navigator.onLine && !offline) {
      offline = true;
      say(WORDS.offline);
      const back = () => {
        offline = false;
        load(state.fromPrimary);
      };
      window.addEventListener("online", back, { once: true });
    }
    return offline;
  }

  function failed() {
    if (waitsForNetwork()) {
      return;
    }
    const elapsed = performance.now() - state.since;
    const step = nextStep({ ...state, elapsed });
    say(WORDS[step]);
    if (step !== "give-up") {
      load(step === "primary");
    }
  }

  // Chromium repeats a refused request many times in silence before it reports an error, so a
  // player that waits and gets nothing has to be noticed.
  let timer = 0;

  function starves() {
    const { seeking, paused, readyState, networkState } = element;
    const begins = readyState === 0 && networkState === HTMLMediaElement.NETWORK_LOADING;
    return begins || seeking || (!paused && readyState < HTMLMediaElement.HAVE_FUTURE_DATA);
  }

  function watch() {
    clearTimeout(timer);
    timer = starves() ? setTimeout(stuck, STUCK) : 0;
  }

  function stuck() {
    if (waitsForNetwork()) {
      return;
    }
    const step = nextStep({ ...state, elapsed: performance.now() - state.since });
    if (step === "give-up") {
      watch();
    } else {
      say(WORDS[step]);
      load(step === "primary");
    }
  }

  if (isPlayer) {
    for (const name of ["progress", "canplay", "seeked", "playing", "pause"]) {
      element.addEventListener(name, watch);
    }
    for (const name of ["loadstart", "seeking", "waiting"]) {
      element.addEventListener(name, () => timer || watch());
    }
    element.addEventListener("loadedmetadata", () => {
      if (place.time > 0) {
        element.currentTime = place.time;
      }
      if (place.playing) {
        // Rejects when this load fails, too; then the next one goes on playing.
        element.play().catch(() => {});
      }
    });
    watch();
  }

  element.addEventListener(isPlayer ? "loadeddata" : "load", () => {
    state.worked = true;
  });
  element.addEventListener("error", failed);
  // What went wrong before this module was loaded.
  if (isPlayer ? element.error : element.complete && element.naturalWidth === 0) {
    failed();
  } else if (isPlayer && element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
    state.worked = true;
  }
}
