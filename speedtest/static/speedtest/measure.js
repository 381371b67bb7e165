// The phases of the measurement. Runs in a Worker; speaks to S3 by network.js, counts by maths.js.

import * as maths from "./maths.js";
import { answerText, Bodies, get, getBytes, NoAnswer, put, Stopped } from "./network.js";

const TICK_MS = 200;
const MOST_ERRORS = 4;

/** A phase that cannot go on: the message is for people. */
export class PhaseFailed extends Error {}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new Stopped("stopped"));
      return;
    }
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Stopped("stopped"));
    }, { once: true });
  });
}

/** Idle latency: sequential GETs of one byte. */
export async function measureIdle({ url, plan, signal, emit }) {
  const times = [];
  for (let i = 0; i < plan.idle_requests; i += 1) {
    const answer = await getBytes(url, { headers: { Range: "bytes=0-0" }, signal });
    if (answer.status !== 206) {
      throw new PhaseFailed(`S3 answered a request for one byte with ${answer.status}.`);
    }
    times.push(answer.ms);
    emit({ latency: answer.ms, share: (i + 1) / plan.idle_requests });
  }
  return maths.idleFigures(times, plan.idle_dropped);
}

/** What a phase has in common: errors counted, the stop rule asked, the gauge fed. */
class Phase {
  constructor({ times, plan, signal, emit }) {
    this.times = times;
    this.plan = plan;
    this.signal = signal;
    this.emit = emit;
    this.start = performance.now();
    this.stopAt = null;
    this.reason = "";
    this.fifthAt = null;
    this.errors = 0;
    this.failure = null;
    this.cancel = new AbortController();
    this.abort = AbortSignal.any([signal, this.cancel.signal]);
  }

  get open() {
    return this.stopAt === null && !this.signal.aborted && !this.failure;
  }

  stop(reason) {
    if (this.stopAt !== null) return;
    this.stopAt = performance.now();
    this.reason = reason;
  }

  /** An error is tried again a few times; what S3 refuses for good ends the phase. */
  failed(message, final) {
    this.errors += 1;
    if (final || this.errors > MOST_ERRORS) {
      this.failure ??= new PhaseFailed(message);
      this.cancel.abort();
    }
  }

  /** Watch until the phase is over. `state()` tells {bytes, until, rate, bytesIn}. */
  async watch(state) {
    while (this.open) {
      await sleep(TICK_MS, this.signal).catch(() => {});
      const now = performance.now();
      const { bytes, until, rate, bytesIn } = state(now);
      if (this.fifthAt === null && bytes >= this.plan.cap_bytes / 5) this.fifthAt = now;
      const from = Math.min(this.start + this.times.warm_ms, this.fifthAt ?? Infinity);
      const elapsed = now - this.start;
      this.emit({ rate, bytes, share: Math.min(1, elapsed / this.times.max_ms) });
      const reason = maths.stopReason({
        elapsed,
        bytes,
        rates: maths.secondRates(bytesIn, from, until),
        minMs: this.times.min_ms,
        maxMs: this.times.max_ms,
        capBytes: this.plan.cap_bytes,
      });
      if (reason) this.stop(reason);
    }
    if (this.stopAt === null) this.stop("ended");
  }

  result(bytesIn, bytes, streams) {
    if (this.signal.aborted) throw new Stopped("stopped");
    if (this.failure) throw this.failure;
    const window = maths.windowOf(this.start, this.stopAt, this.times.warm_ms, this.fifthAt);
    return {
      ...maths.figures({ bytesIn, start: this.start, window, streams, bytes }),
      errors: this.errors,
      capped: this.reason === "cap",
    };
  }
}

/**
 * Upload: each stream PUTs one body after another, by one link per stream and size. Only bodies
 * that S3 acknowledged with 2xx count; progress events only move the gauge.
 */
export async function measureUpload({ links, streams, times, plan, bodies, signal, emit }) {
  const phase = new Phase({ times, plan, signal, emit });
  const acknowledged = [];
  const flying = new Map(); // stream -> {start, loaded, size}
  let begun = 0;

  async function stream(index) {
    let size = plan.first_size;
    while (phase.open && begun + size <= plan.cap_bytes) {
      const flight = { start: performance.now(), loaded: 0, size };
      flying.set(index, flight);
      begun += size;
      try {
        const answer = await put(links[index][size], bodies.take(size), {
          signal: phase.abort,
          onProgress: (loaded) => { flight.loaded = loaded; },
        });
        if (answer.status >= 200 && answer.status < 300) {
          acknowledged.push({ start: answer.start, end: answer.end, bytes: size });
          size = maths.nextSize(size, answer.end - answer.start, plan.least_size, plan.most_size);
        } else {
          const said = answerText(answer.status, answer.text);
          phase.failed(`S3 refused an upload: ${said}.`, answer.status < 500);
        }
      } catch (error) {
        if (error instanceof Stopped) return;
        phase.failed("An upload was interrupted, or its answer could not be read.", false);
      } finally {
        flying.delete(index);
      }
    }
    if (phase.open && begun + size > plan.cap_bytes) phase.stop("cap");
  }

  const bytesIn = (from, to) => maths.acknowledgedBytes(acknowledged, from, to);
  const total = () => acknowledged.reduce((sum, request) => sum + request.bytes, 0);
  const gauge = new Gauge();
  const watching = phase.watch((now) => {
    const loaded = [...flying.values()].reduce((sum, f) => sum + f.loaded, 0);
    const shown = gauge.rate(now, total() + loaded);
    const until = Math.min(now, ...[...flying.values()].map((f) => f.start));
    const known = maths.mbps(bytesIn(until - 2000, until), 2000);
    return {
      bytes: total(),
      until,
      rate: maths.gaugeRate(shown, until - phase.start > 2000 ? known : 0),
      bytesIn,
    };
  });
  const running = Promise.all(Array.from({ length: streams }, (_, index) => stream(index)));
  await Promise.race([watching, running]);
  // What is under way may finish: only then are its bytes acknowledged.
  const limit = setTimeout(() => phase.cancel.abort(), plan.finish_ms);
  const unfinished = () => flying.size;
  let left = 0;
  phase.cancel.signal.addEventListener("abort", () => { left = unfinished(); }, { once: true });
  await running;
  clearTimeout(limit);
  phase.stop("ended");
  await watching;
  return { ...phase.result(bytesIn, total(), streams), unfinished: left };
}

/** Download: each stream reads the seed over and over; bytes count when they have been read. */
export async function measureDownload({ url, streams, times, plan, signal, emit }) {
  const phase = new Phase({ times, plan, signal, emit });
  const log = [[phase.start, 0]];
  let total = 0;

  function read(bytes) {
    total += bytes;
    const now = performance.now();
    if (now - log[log.length - 1][0] >= 5) log.push([now, total]);
    else log[log.length - 1][1] = total;
  }

  async function stream() {
    while (phase.open) {
      try {
        const response = await get(url, { signal: phase.abort, timeoutMs: 120000 });
        if (!response.ok) {
          const said = answerText(response.status, await response.text());
          phase.failed(`S3 refused a download: ${said}.`, response.status < 500);
          continue;
        }
        const reader = response.body.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          read(value.byteLength);
          if (!phase.open) {
            await reader.cancel();
            break;
          }
        }
      } catch (error) {
        if (phase.abort.aborted || error instanceof Stopped) return;
        const what = error instanceof NoAnswer ? "got no answer" : "was interrupted";
        phase.failed(`A download ${what}.`, false);
      }
    }
  }

  const bytesIn = (from, to) => maths.totalAt(log, to) - maths.totalAt(log, from);
  const gauge = new Gauge();
  const watching = phase.watch((now) => ({
    bytes: total,
    until: now,
    rate: gauge.rate(now, total),
    bytesIn,
  }));
  const running = Promise.all(Array.from({ length: streams }, stream));
  await Promise.race([watching, running]);
  phase.stop("ended");
  phase.cancel.abort();
  await running;
  await watching;
  return phase.result(bytesIn, total, streams);
}

/** The rate of the last second, for the gauge. */
class Gauge {
  #log = [];

  rate(now, total) {
    this.#log.push([now, total]);
    while (this.#log.length > 2 && this.#log[0][0] < now - 1000) this.#log.shift();
    const [then, before] = this.#log[0];
    return Math.max(0, maths.mbps(total - before, now - then));
  }
}

/** All phases that are possible, in order; `emit` gets {phase, ...}, the answer is the figures. */
export async function measure({ links, plan, can, signal, emit }) {
  const figures = {};
  const troubles = [];
  let moved = 0;
  const bodies = can.upload ? new Bodies() : null;
  const phases = [];
  if (can.download && links.seed) phases.push(["idle", 0.06]);
  if (can.upload) phases.push(["upload", 0.3], ["upload_single", 0.12]);
  if (can.download && links.seed) phases.push(["download", 0.3], ["download_single", 0.12]);
  const whole = phases.reduce((sum, [, weight]) => sum + weight, 0);
  let before = 0;
  for (const [name, weight] of phases) {
    const send = (event) =>
      emit({ phase: name, ...event, progress: (before + weight * (event.share ?? 0)) / whole });
    const single = name.endsWith("_single");
    const direction = name.split("_")[0];
    const streams = single ? 1 : plan.streams;
    const times = { ...(single ? plan.single : plan[direction]) };
    send({ share: 0 });
    try {
      if (name === "idle") {
        Object.assign(figures, await measureIdle({ url: links.seed.url, plan, signal, emit: send }));
      } else if (single && figures[direction] === undefined) {
        // One stream has nothing to add where four did not get through.
      } else {
        if (plan.pause_ms) send({ share: 0, pause: plan.pause_ms });
        await sleep(plan.pause_ms, signal);
        if (direction === "upload") {
          figures[name] = await measureUpload(
            { links: links.uploads, streams, times, plan, bodies, signal, emit: send },
          );
        } else {
          const roundTrip = figures.idle_median_ms ?? 0;
          times.warm_ms = Math.max(times.warm_ms, Math.min(10 * roundTrip, times.min_ms / 2));
          figures[name] = await measureDownload(
            { url: links.seed.url, streams, times, plan, signal, emit: send },
          );
        }
        moved += figures[name].bytes;
      }
    } catch (error) {
      if (error instanceof Stopped && signal.aborted) throw error;
      const reason = error instanceof PhaseFailed ? error.message
        : error instanceof NoAnswer ? "S3 gave no answer that the page may read."
        : error instanceof Stopped ? "S3 did not answer in time." : `${error}`;
      troubles.push({ phase: name, message: reason });
    }
    emit({ phase: name, figures: figures[name] ?? null, over: true });
    before += weight;
  }
  figures.bytes_used = moved;
  return { figures, troubles };
}
