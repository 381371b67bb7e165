// What the phases of the measurement share: waiting, errors, the stop rule, latency meanwhile.

import * as maths from "./maths.js";
import { answerText, getBytes, NoAnswer, Stopped } from "./network.js";

const TICK_MS = 200;
const MOST_ERRORS = 4;

/** A phase that cannot go on: the message is for people. */
export class PhaseFailed extends Error {
  constructor(message, requestId = "") {
    super(message);
    this.requestId = requestId;
  }
}

export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const stopped = () => {
      clearTimeout(timer);
      reject(new Stopped("stopped"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stopped);
      resolve();
    }, ms);
    if (signal.aborted) stopped();
    else signal.addEventListener("abort", stopped, { once: true });
  });
}

const WATCH_MS = 1000;
const SLEPT_MS = 15_000;

/** Sees that the computer slept, or the browser froze the tab: far more than a second went by. */
export class SleepWatch {
  slept = false;
  #last;

  constructor(now = Date.now) {
    this.now = now;
    this.#last = now();
    this.timer = setInterval(() => this.look(), WATCH_MS);
  }

  look() {
    const now = this.now();
    if (now - this.#last > SLEPT_MS) this.slept = true;
    this.#last = now;
  }

  end() {
    clearInterval(this.timer);
    this.look();
    return this.slept;
  }
}

export const accepted = (status) => status >= 200 && status < 300;

/** Latency under load: 1-byte GETs one after another, at most one each `probe_ms`, until aborted. */
async function probeLatency({ url, plan, signal }) {
  const probes = [];
  while (!signal.aborted) {
    const start = performance.now();
    try {
      const timeoutMs = plan.probe_timeout_ms;
      const answer = await getBytes(url, { headers: { Range: "bytes=0-0" }, signal, timeoutMs });
      if (answer.status === 206) probes.push({ start, ms: answer.ms, lost: false });
    } catch (error) {
      if (!(error instanceof NoAnswer || error instanceof Stopped)) throw error;
      if (!signal.aborted) probes.push({ start, ms: plan.probe_timeout_ms, lost: true });
    }
    const wait = Math.max(0, start + plan.probe_ms - performance.now());
    await sleep(wait, signal).catch(() => {}); // the loop's condition sees that it was stopped
  }
  return probes;
}

/** Errors of requests: what S3 refuses for good ends the phase, other things are tried again. */
export class Errors {
  count = 0;
  failure = null;

  constructor(cancel) {
    this.cancel = cancel;
  }

  add(message, { final = false, requestId = "" } = {}) {
    this.count += 1;
    if (final || this.count > MOST_ERRORS) {
      this.failure ??= new PhaseFailed(message, requestId);
      this.cancel.abort();
    }
  }

  refused(what, status, text, requestId) {
    const message = `S3 refused ${what}: ${answerText(status, text)}.`;
    this.add(message, { final: status < 500, requestId });
  }
}

/** What the phases with a rate have in common: the stop rule, the gauge, the latency meanwhile. */
export class Phase {
  constructor({ times, plan, signal, emit, probe }) {
    this.times = times;
    this.signal = signal;
    this.emit = emit;
    this.start = performance.now();
    this.stopAt = null;
    this.reason = "";
    this.fifthAt = null;
    this.ids = [];
    this.cancel = new AbortController();
    this.abort = AbortSignal.any([signal, this.cancel.signal]);
    this.errors = new Errors(this.cancel);
    this.quiet = new AbortController();
    const until = AbortSignal.any([this.abort, this.quiet.signal]);
    this.probing = probe ? probeLatency({ url: probe, plan, signal: until }) : Promise.resolve([]);
  }

  get open() {
    return this.stopAt === null && !this.signal.aborted && !this.errors.failure;
  }

  stop(reason) {
    if (this.stopAt !== null) return;
    this.stopAt = performance.now();
    this.reason = reason;
    this.quiet.abort();
  }

  /** Remember a few of S3's request ids, for its support. */
  seen(requestId) {
    if (requestId && this.ids.length < 2) this.ids.push(requestId);
  }

  /** Watch until the phase is over. `state()` tells {bytes, until, rate, bytesIn}. */
  async watch(state) {
    while (this.open) {
      await sleep(TICK_MS, this.abort).catch(() => {}); // `open` sees that it was stopped
      const now = performance.now();
      const { bytes, until, rate, bytesIn } = state(now);
      if (this.fifthAt === null && bytes >= this.times.cap_bytes / 5) this.fifthAt = now;
      const from = Math.min(this.start + this.times.warm_ms, this.fifthAt ?? Infinity);
      const elapsed = now - this.start;
      this.emit({ rate, bytes, elapsed, share: Math.min(1, elapsed / this.times.max_ms) });
      const reason = maths.stopReason({
        elapsed,
        bytes,
        rates: maths.secondRates(bytesIn, from, until),
        minMs: this.times.min_ms,
        maxMs: this.times.max_ms,
        capBytes: this.times.cap_bytes,
      });
      if (reason) this.stop(reason);
    }
  }

  async result(bytesIn, bytes, streams, idleMedian) {
    this.quiet.abort();
    const probes = await this.probing;
    if (this.signal.aborted) throw new Stopped("stopped");
    if (this.errors.failure) throw this.errors.failure;
    const window = maths.windowOf(this.start, this.stopAt, this.times.warm_ms, this.fifthAt);
    return {
      ...maths.figures({ bytesIn, start: this.start, window, streams, bytes }),
      ...maths.loadedFigures(probes, window.from, idleMedian),
      from_ms: performance.timeOrigin + window.from,
      errors: this.errors.count,
      capped: this.reason === "cap",
      ids: this.ids,
    };
  }
}

/** The rate of the last second, for the gauge. */
export class Gauge {
  #log = [];

  rate(now, total) {
    this.#log.push([now, total]);
    while (this.#log.length > 2 && this.#log[0][0] < now - 1000) this.#log.shift();
    const [then, before] = this.#log[0];
    return Math.max(0, maths.mbps(total - before, now - then));
  }
}
