// One test from its start to its clean-up, without a page: asks the site for its checks and for
// links, runs the browser's checks here and the measurement in a Worker. Whoever shows it gets
// events; see `emit`.

import { browserChecks, CHECKS as BROWSER_CHECKS } from "./checks.js";
import { measureFinding, notMeasured } from "./findings.js";
import { formToken, lines, SiteError } from "./site.js";

/**
 * ask        siteClient(token)
 * start      address that begins a test; `asked` is posted to it ({configuration, mode})
 * workerUrl  address of worker.js
 * violations live list of the page's CSP violations (blocked addresses)
 * emit       gets {type: "begun", run, plan}
 *                 {type: "stage", stage, share, step, ...}: stage is "start", "server", "prepare",
 *                   "browser", a phase of the measurement ("idle", "upload", …) or "cleanup";
 *                   share of the whole from 0 to 1; in phases also rate (Mbit/s), latency (ms),
 *                   files (a second), bytes, elapsed (ms since the phase's begin)
 *                 {type: "finding", column: "server" or "browser", finding}
 *                 {type: "figures", phase, figures} when a phase is over
 */
export class SpeedTest {
  findings = [];
  figures = {};
  troubles = []; // [{phase, message}]: what could not be measured
  notes = []; // sentences
  flags = new Set(); // see FLAGS in speedtest/figures.py
  run = "";
  plan = null;
  finished = false;
  #left = false;
  #state = "";
  #stopping = new AbortController();
  #urls = null;

  constructor({ ask, start, asked, workerUrl, violations = [], serverChecks = 0, emit }) {
    Object.assign(this, { ask, start, asked, workerUrl, violations, serverChecks, emit });
    this.signal = this.#stopping.signal;
  }

  get begun() {
    return this.#urls !== null;
  }

  /**
   * Run to the end. Returns the site's answer: {verdict, leading, cleanup, figures, row, …}.
   * Throws SiteError when the test could not begin (`begun` is false) or its end could not be told;
   * then `tell` may be tried again, unless the test is `finished` because somebody else ended it.
   */
  async execute(extra = {}) {
    this.#stage("start", 0.01);
    // Without the signal: a test that is begun has to be ended, and only the answer tells which.
    const begun = await (await this.ask(this.start, { ...this.asked, ...extra })).json();
    this.#urls = begun.urls;
    this.run = begun.run;
    this.plan = begun.plan;
    this.emit({ type: "begun", run: begun.run, plan: begun.plan });
    try {
      this.signal.throwIfAborted();
      await this.#steps();
      this.#state = "done";
    } catch (error) {
      this.#state = this.signal.aborted ? "stopped" : "failed";
      if (!this.signal.aborted) this.notes.push(error.message);
    }
    // The beacon has told the end; a second word could arrive first and say something else.
    if (this.#left) return new Promise(() => {});
    this.figures.flags = [...new Set([...(this.figures.flags ?? []), ...this.flags])];
    return this.tell();
  }

  /** Tell the site the end; it removes the test objects. Throws SiteError. */
  async tell() {
    this.#stage("cleanup", 0.97, "Removing the test objects.");
    try {
      const answer = await (await this.ask(this.#urls.finish, this.#told(this.#state))).json();
      this.finished = true;
      return answer;
    } catch (error) {
      // Not there any more, or over already.
      this.finished = [404, 409, 410].includes(error.status);
      throw error;
    }
  }

  stop() {
    this.#stopping.abort();
  }

  /** The page goes away: stop, and tell the site by a beacon, which outlives the page. */
  leave(token) {
    if (!this.begun || this.finished) return;
    this.#left = true;
    this.stop();
    const body = new FormData();
    body.append("csrfmiddlewaretoken", formToken(token));
    const { state, findings, figures } = this.#told(this.#state || "left");
    // A beacon takes 64 KiB; documents can be made again.
    const short = findings.map(({ documents, requests, ...finding }) => finding);
    body.append("result", JSON.stringify({ state, findings: short, figures }));
    navigator.sendBeacon(this.#urls.finish, body);
  }

  #told(state) {
    return { state, findings: this.findings, figures: this.figures };
  }

  #stage(stage, share, step = "", more = {}) {
    this.emit({ type: "stage", stage, share, step, ...more });
  }

  #found(column, finding) {
    if (column === "browser") this.findings.push(finding);
    this.emit({ type: "finding", column, finding });
  }

  async #steps() {
    if (this.#urls.server) await this.#checkFromServer();
    let links;
    try {
      links = await this.#prepare();
    } catch (error) {
      if (!(error instanceof SiteError)) throw error;
      this.notes.push(`${error.message} So your browser could not be tested.`);
      return;
    }
    this.notes.push(...links.notes);
    await this.#checkFromBrowser(links);
    if (this.asked.mode !== "quick") await this.#measure(links);
  }

  async #checkFromServer() {
    this.#stage("server", 0.02);
    let done = 0;
    for await (const finding of lines(await this.ask(this.#urls.server, {}, this.signal))) {
      this.#found("server", finding);
      done += 1;
      this.#stage("server", 0.02 + 0.13 * Math.min(1, done / (this.serverChecks || done)), finding.title);
    }
  }

  async #prepare() {
    this.#stage("prepare", 0.16, "Signing links for your browser.");
    for await (const event of lines(await this.ask(this.#urls.prepare, {}, this.signal))) {
      if (event.progress) this.#stage("prepare", 0.17, event.progress);
      if (event.problem) throw new SiteError(event.problem);
      if (event.links) return event.links;
    }
    throw new SiteError("The site ended its answer before the links were signed. Try again.");
  }

  async #checkFromBrowser(links) {
    const json = (response) => response.json();
    const checks = browserChecks({
      links,
      violations: this.violations,
      signal: this.signal,
      fromWorker: this.asked.mode === "quick" ? null
        : () => this.#inWorker({ type: "reach", host: links.host }),
      replay: (what, said) => this.ask(this.#urls.replay, { what, said }, this.signal).then(json),
      complete: (etag) => this.ask(
        this.#urls.complete, { upload_id: links.multipart.upload_id, etag }, this.signal,
      ).then(json),
    });
    let done = 0;
    for await (const finding of checks) {
      this.#found("browser", finding);
      done += 1;
      this.#stage("browser", 0.18 + 0.07 * (done / BROWSER_CHECKS.length), finding.title);
    }
  }

  async #measure(links) {
    const passed = (...checks) => checks.some((check) =>
      this.findings.some((f) => f.check === check && (f.status === "pass" || f.status === "warn")));
    const can = { upload: passed("put"), download: passed("get", "readback") };
    if (!can.upload && !can.download) {
      this.notes.push("Speed was not measured: neither a download nor an upload got through.");
      this.#found("browser", notMeasured("Not run: neither a download nor an upload got through."));
      return;
    }
    if (links.download_only) this.notes.push("Upload was not measured: this replica is only read from.");
    else if (!can.upload) this.notes.push("Upload was not measured, because the check did not pass.");
    if (!can.download) this.notes.push("Download was not measured, because the check did not pass.");
    if (can.download && !links.seed) this.notes.push("Download was not measured, because there is no test file.");
    const result = await this.#inWorker({ type: "start", links, plan: this.plan, can });
    this.figures = result.figures;
    this.troubles = result.troubles;
    this.notes.push(...result.notes);
    this.#found("browser", measureFinding(result));
  }

  #inWorker(message) {
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.workerUrl, { type: "module" });
      const end = (settle, value) => {
        worker.terminate();
        settle(value);
      };
      const on = {
        progress: ({ phase, progress, figures, over, skipped, pause, rate, latency, files, bytes, elapsed }) => {
          if (over) {
            Object.assign(this.figures, phase === "idle" ? figures : { [phase]: figures });
            this.emit({ type: "figures", phase, figures });
          } else if (!skipped) {
            const more = { pause, rate, latency, files, bytes, elapsed };
            this.#stage(phase, 0.25 + 0.7 * progress, "", more);
          }
        },
        // Only the page may ask the site: it knows how.
        join: async (event) => {
          try {
            const body = { upload_id: event.upload_id, etags: event.etags };
            const answer = await this.ask(this.#urls.join, body, this.signal);
            worker.postMessage({ type: "joined", finding: await answer.json() });
          } catch (error) {
            worker.postMessage({ type: "joined", finding: { status: "fail", message: error.message } });
          }
        },
        done: (event) => end(resolve, event),
        stopped: () => end(reject, new DOMException("stopped", "AbortError")),
        failed: (event) => end(reject, new Error(event.message)),
      };
      worker.addEventListener("message", ({ data }) => on[data.type](data));
      worker.addEventListener("error", (event) => {
        end(reject, new Error(`The measurement could not be started: ${event.message || "the Worker's script did not load"}.`));
      });
      this.signal.addEventListener("abort", () => worker.postMessage({ type: "stop" }), { once: true });
      worker.postMessage(message);
    });
  }
}
