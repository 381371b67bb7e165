// The list of a measurement's phases: what waits, what runs, what came out. State by icon and text.

import { PHASES } from "./findings.js";
import { rateText } from "./maths.js";
import { element } from "./view.js";

const ICONS = { wait: "○", run: "●", done: "✓", failed: "✕" };
const WORDS = { wait: "waiting", run: "running", done: "done", failed: "not measured" };

/** A phase's outcome in a few characters. */
export function outcome(phase, figures) {
  if (Number.isFinite(figures.mbps)) return `${rateText(figures.mbps)} Mbit/s`;
  if (phase === "idle") return `${figures.idle_median_ms.toFixed(figures.idle_median_ms < 10 ? 1 : 0)} ms`;
  if (Number.isFinite(figures.files_per_s)) return `${figures.files_per_s.toFixed(figures.files_per_s < 10 ? 1 : 0)} files/s`;
  return `${(figures.ms / 1000).toFixed(1)} s`;
}

export class PhaseList {
  #items = new Map();
  #running = "";

  constructor(list) {
    this.list = list;
  }

  /** All phases waiting; or none, when nothing is going to be measured. */
  reset(shown) {
    this.#items.clear();
    this.#running = "";
    this.list.replaceChildren();
    this.list.hidden = !shown;
    if (!shown) return;
    for (const [phase, title] of Object.entries(PHASES)) {
      const item = element("li", "st-phase");
      item.dataset.phase = phase;
      const icon = element("span", "st-icon");
      icon.setAttribute("aria-hidden", "true");
      item.append(icon, element("span", "st-phase-name", title), element("span", "st-phase-value"));
      this.#items.set(phase, item);
      this.list.append(item);
      this.#set(phase, "wait");
    }
  }

  running(phase, value) {
    // A phase that was running and gave no figures had failed.
    if (this.#running && this.#running !== phase) this.#set(this.#running, "failed");
    this.#running = phase;
    this.#set(phase, "run", value);
  }

  done(phase, figures) {
    this.#running = "";
    this.#set(phase, "done", outcome(phase, figures));
  }

  #set(phase, state, value = "") {
    const item = this.#items.get(phase);
    item.className = `st-phase ${state}`;
    item.querySelector(".st-icon").textContent = ICONS[state];
    item.querySelector(".st-phase-value").textContent = value || WORDS[state];
  }
}
