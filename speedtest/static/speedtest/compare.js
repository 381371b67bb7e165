// The page "Compare": two targets in turn, each by the modules that the speed test measures with.

import { measureFinding, notesOf, PHASES } from "./findings.js";
import { rateText } from "./maths.js";
import { formToken, lines, siteClient, SiteError } from "./site.js";
import { onEnded, reloadWhenBack, tellEnded } from "./tabs.js";
import { againButton, announcer, element, onStop, problemTeller } from "./view.js";

const DIRECTIONS = ["download", "upload"];
const form = document.getElementById("compare-form");
const find = (id) => document.getElementById(id);

/** One of the two: its run, its links, and what its turns gave. */
class Side {
  turns = { download: [], upload: [] };
  troubles = [];
  urls = null;

  constructor(name, ask, signal, flags) {
    Object.assign(this, { name, ask, signal, flags });
  }

  /** `end`: id of a test that is ended for this one, or "". */
  async begin(start, end) {
    const asked = { configuration: this.name, mode: "compare", ...end && { end } };
    // Without the signal: a test that is begun has to be ended, and only the answer tells which.
    const begun = await (await this.ask(start, asked)).json();
    if (end) tellEnded(end);
    this.run = begun.run;
    this.urls = begun.urls;
    this.plan = begun.plan;
    this.signal.throwIfAborted();
    for await (const event of lines(await this.ask(this.urls.prepare, {}, this.signal))) {
      if (event.problem) throw new SiteError(`“${this.name}”: ${event.problem}`);
      if (event.links) this.links = event.links;
    }
    if (!this.links) throw new SiteError("The site ended its answer before the links were signed. Try again.");
    if (!this.links.seed) throw new SiteError(`“${this.name}”: ${this.links.notes.join(" ")}`);
  }

  /** What the run keeps: the middle turn of each direction. */
  told(state) {
    const figures = {};
    for (const direction of DIRECTIONS) {
      const sorted = [...this.turns[direction]].sort((one, other) => one.mbps - other.mbps);
      if (sorted.length) figures[direction] = sorted[Math.floor(sorted.length / 2)];
    }
    const sum = (direction) => this.turns[direction].reduce((bytes, turn) => bytes + turn.bytes, 0);
    const moved = { bytes_up: sum("upload"), bytes_down: sum("download") };
    Object.assign(figures, moved, { bytes_used: moved.bytes_up + moved.bytes_down, flags: [...this.flags] });
    const finding = measureFinding({ figures, troubles: this.troubles });
    return { state, figures, findings: [finding] };
  }
}

/** Measure one direction of one target in a Worker. Resolves with {figures, troubles}. */
function turn({ worker: url, side, direction, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(url, { type: "module" });
    const stop = () => worker.postMessage({ type: "stop" });
    const end = (settle, value) => {
      signal.removeEventListener("abort", stop);
      worker.terminate();
      settle(value);
    };
    const on = {
      progress: onProgress,
      done: (event) => end(resolve, event),
      stopped: () => end(reject, new DOMException("stopped", "AbortError")),
      failed: (event) => end(reject, new Error(event.message)),
    };
    worker.addEventListener("message", ({ data }) => on[data.type](data));
    worker.addEventListener("error", () => end(reject, new Error("The measurement could not be started.")));
    signal.addEventListener("abort", stop, { once: true });
    worker.postMessage({
      type: "start", links: side.links, plan: side.plan, can: { download: true, upload: true }, only: [direction],
    });
  });
}

function setUp() {
  const data = JSON.parse(find("compare-data").textContent);
  const token = form.elements.csrfmiddlewaretoken.value;
  const ask = siteClient(token);
  const say = announcer(find("live"));
  const showProblem = problemTeller(find("problem"));
  let running = null; // {sides, stopping}

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!running) compare();
  });
  onStop(find("stop"), stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  addEventListener("pagehide", () => {
    if (!running) return;
    running.left = true;
    running.stopping.abort();
    for (const side of running.sides) {
      if (!side.urls) continue;
      const body = new FormData();
      body.append("csrfmiddlewaretoken", formToken(token));
      body.append("result", JSON.stringify(side.told("left")));
      navigator.sendBeacon(side.urls.finish, body);
    }
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) running?.flags.add("hidden");
  });
  addEventListener("offline", () => running?.flags.add("offline"));
  onEnded((run) => {
    if (running?.sides.some((side) => side.run === run)) stop();
  });
  reloadWhenBack();
  // Before, a click would have sent the form away as a page does without scripts.
  find("start").disabled = false;

  function stop() {
    if (!running) return;
    running.stopping.abort();
    find("stop").disabled = true;
    find("stop").textContent = "Stopping …";
  }

  function showRunning(now) {
    find("start").hidden = now;
    find("stop").hidden = !now;
    find("stop").disabled = false;
    find("stop").textContent = "Stop";
    find("progress").hidden = !now;
    for (const field of form.querySelectorAll("select")) field.disabled = now;
    if (now) {
      find("result").hidden = true;
      find("problem").replaceChildren();
      showProgress("Preparing", 0);
      find("stop").focus();
    }
  }

  function showProgress(title, share, rate) {
    const percent = Math.round(100 * share);
    const gauge = rate === undefined ? "" : `${rateText(rate)} Mbit/s`;
    find("phase").textContent = title;
    find("gauge").textContent = gauge;
    find("bar-fill").style.width = `${percent}%`;
    find("bar").setAttribute("aria-valuenow", percent);
    find("bar").setAttribute("aria-valuetext", `${percent} %, ${title}`);
    say(title);
  }

  /** `ends`: by the name of a configuration, the id of a test that is ended for the comparison. */
  async function compare(ends = {}) {
    const stopping = new AbortController();
    const { signal } = stopping;
    const names = [form.elements.first.value, form.elements.second.value];
    if (names[0] === names[1]) {
      showProblem("Choose two different ones.");
      return;
    }
    const flags = new Set(document.hidden ? ["hidden"] : []);
    const sides = names.map((name) => new Side(name, ask, signal, flags));
    running = { sides, stopping, flags };
    showRunning(true);
    let state = "done";
    let problem = "";
    let again = null; // the ends of another try
    const rates = {};
    try {
      for (const side of sides) {
        try {
          await side.begin(data.start, ends[side.name]);
        } catch (error) {
          if (error.answer?.running) again = { ...ends, [side.name]: error.answer.running };
          throw error;
        }
      }
      for (const direction of DIRECTIONS) {
        if (direction === "upload" && sides.some((side) => side.links.download_only)) continue;
        rates[direction] = await inTurn(direction, sides, signal);
      }
    } catch (error) {
      state = signal.aborted || again ? "stopped" : "failed";
      if (!signal.aborted) problem = error.message;
    }
    const left = await finish(sides, state);
    running = null;
    showRunning(false);
    problem = [problem, ...left].filter(Boolean).join(" ");
    const action = again && againButton("End that test and compare", () => compare(again));
    if (problem) showProblem(problem, action);
    else if (state === "stopped") showNote("Stopped. What it had made was removed, and a look afterwards found nothing.");
    if (state === "done") await showResult(names, rates, sides);
    else find("start").focus();
  }

  /** The rates of all turns of a direction; what S3 refuses ends it. */
  async function inTurn(direction, sides, signal) {
    const rates = [];
    const order = [...data.order];
    for (const [index, letter] of order.entries()) {
      const side = sides[letter === "A" ? 0 : 1];
      const title = `${PHASES[direction]}: ${side.name} (${index + 1} of ${order.length})`;
      const share = (more) => (DIRECTIONS.indexOf(direction) + (index + more) / order.length) / 2;
      const result = await turn({
        worker: form.dataset.worker,
        side,
        direction,
        signal,
        onProgress: (event) => {
          if (!event.over) showProgress(title, share(event.progress ?? 0), event.rate);
        },
      });
      side.troubles.push(...result.troubles);
      for (const flag of result.figures.flags ?? []) running.flags.add(flag);
      if (!result.figures[direction]) break;
      side.turns[direction].push(result.figures[direction]);
      rates.push(result.figures[direction].mbps);
    }
    return rates;
  }

  /** End both runs; sentences about what could not be cleaned up. */
  async function finish(sides, state) {
    // The beacon has told the end; a second word could arrive first and say something else.
    if (running?.left) return new Promise(() => {});
    const said = [];
    for (const side of sides) {
      if (!side.urls) continue;
      showProgress(`Clean-up: ${side.name}`, 1);
      try {
        const answer = await (await ask(side.urls.finish, side.told(state))).json();
        // Also when nobody may look whether something is left.
        said.push(...answer.cleanup.filter((one) => one.status !== "pass").map((one) => one.message));
      } catch (error) {
        const later = [404, 409].includes(error.status) ? "" : " The next test removes what is older than an hour.";
        said.push(`“${side.name}”: ${error.message}${later}`);
      }
    }
    return said;
  }

  async function showResult([a, b], rates, sides) {
    const notes = [
      ...sides.flatMap((side) => side.troubles.map((one) => `${side.name}: ${one.message}`)),
      ...notesOf({ flags: [...sides[0].flags] }),
    ];
    let answer;
    try {
      answer = await (await ask(data.judge, { a, b, rates })).json();
    } catch (error) {
      showProblem([error.message, ...notes].join(" "));
      return;
    }
    const [first, ...others] = answer.results.map(({ direction, text }) =>
      `${direction === "download" ? "Download" : "Upload"}: ${text}.`);
    find("verdict").textContent = first;
    find("notes").replaceChildren(...[...others, ...notes].map((text) => element("li", "", text)));
    find("suggestion").hidden = !answer.suggestion;
    if (answer.suggestion) {
      find("suggestion").querySelector("p").textContent = answer.suggestion.text;
      find("suggestion").querySelector("a").href = answer.suggestion.url;
    }
    find("turns").replaceChildren(...answer.results.map((result) => tableOf(result, a, b)));
    find("result").hidden = false;
    find("verdict").focus();
  }

  function showNote(message) {
    find("problem").replaceChildren(element("p", "st-note", message));
  }
}

/** The rates of each pair. */
function tableOf({ direction, pairs }, a, b) {
  const table = element("table", "st-history");
  table.append(element("caption", "", `${direction === "download" ? "Download" : "Upload"}, Mbit/s`));
  const labels = ["Pair", a, b, "B by A"];
  const head = table.createTHead().insertRow();
  for (const label of labels) {
    const cell = element("th", "", label);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const [index, [first, second]] of pairs.entries()) {
    const row = body.insertRow();
    const values = [index + 1, rateText(first), rateText(second), (second / first).toFixed(2)];
    for (const [at, value] of values.entries()) {
      const cell = row.insertCell();
      cell.dataset.label = labels[at];
      cell.textContent = value;
    }
  }
  return table;
}

if (form) setUp();
