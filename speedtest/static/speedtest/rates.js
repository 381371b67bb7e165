// The phases with a rate: uploads and downloads, by one stream or several.

import * as maths from "./maths.js";
import { get, NoAnswer, put, Stopped } from "./network.js";
import { accepted, Gauge, Phase } from "./phase.js";

/**
 * Upload: each stream PUTs one body after another, by one link per stream and size. Only bodies
 * that S3 acknowledged with 2xx count; progress events only move the gauge.
 */
export async function measureUpload({ links, streams, times, plan, bodies, probe, idleMedian, signal, emit }) {
  const phase = new Phase({ times, plan, signal, emit, probe });
  const acknowledged = [];
  const flying = new Map(); // stream -> {start, loaded, size, full}
  let begun = 0;

  async function stream(index) {
    let size = plan.first_size;
    while (phase.open && begun + size <= times.cap_bytes) {
      const flight = { start: performance.now(), loaded: 0, size, full: null };
      flying.set(index, flight);
      begun += size;
      try {
        const answer = await put(links[index][size], bodies.take(size), {
          signal: phase.abort,
          onProgress: (loaded) => {
            flight.loaded = loaded;
            if (loaded >= size) flight.full ??= performance.now();
          },
        });
        if (accepted(answer.status)) {
          const { start, end } = answer;
          acknowledged.push({ start, end, full: flight.full, bytes: size });
          phase.seen(answer.requestId);
          size = maths.nextSize(size, end - start, plan.least_size, plan.most_size);
        } else {
          phase.errors.refused("an upload", answer.status, answer.text, answer.requestId);
        }
      } catch (error) {
        if (error instanceof Stopped) return;
        if (!(error instanceof NoAnswer)) throw error;
        phase.errors.add("An upload was interrupted, or its answer could not be read.");
      } finally {
        flying.delete(index);
      }
    }
    if (phase.open) phase.stop("cap");
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
  let unfinished = 0;
  const limit = setTimeout(() => {
    unfinished = flying.size;
    phase.cancel.abort();
  }, plan.finish_ms);
  await running;
  clearTimeout(limit);
  phase.stop("ended");
  await watching;
  const result = await phase.result(bytesIn, total(), streams, idleMedian);
  const from = phase.start + result.warm_seconds * 1000;
  return {
    ...result,
    ...streams === 1 ? maths.fileFigures(acknowledged, from, idleMedian ?? 0) : {},
    unfinished,
    buffered: maths.wasBuffered(acknowledged),
  };
}

/** Download: each stream reads the seed over and over; bytes count when they have been read. */
export async function measureDownload({ url, streams, times, plan, probe, idleMedian, signal, emit }) {
  const phase = new Phase({ times, plan, signal, emit, probe });
  const log = [[phase.start, 0]];
  let total = 0;

  function read(bytes) {
    total += bytes;
    const now = performance.now();
    if (now - log[log.length - 1][0] >= 5) log.push([now, total]);
    else log[log.length - 1][1] = total;
    if (total >= times.cap_bytes) phase.stop("cap");
  }

  async function stream() {
    while (phase.open) {
      try {
        const response = await get(url, { signal: phase.abort, timeoutMs: 120000 });
        const requestId = response.headers.get("x-amz-request-id") ?? "";
        if (!response.ok) {
          phase.errors.refused("a download", response.status, await response.text(), requestId);
          continue;
        }
        phase.seen(requestId);
        const reader = response.body.getReader();
        while (phase.open) {
          const { done, value } = await reader.read();
          if (done) break;
          read(value.byteLength);
        }
        // Without this the rest would be sent all the same.
        if (!phase.open) await reader.cancel();
      } catch (error) {
        if (phase.abort.aborted) return;
        const what = error instanceof NoAnswer ? "got no answer"
          : error instanceof Stopped ? "took too long" : "was interrupted";
        phase.errors.add(`A download ${what}.`);
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
  return phase.result(bytesIn, total, streams, idleMedian);
}
