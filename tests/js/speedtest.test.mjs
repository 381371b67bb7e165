import assert from "node:assert/strict";
import { test } from "node:test";

import * as maths from "../../speedtest/static/speedtest/maths.js";
import { reachProblem } from "../../speedtest/static/speedtest/checks.js";

const near = (actual, wanted, tolerance = 1e-9) =>
  assert.ok(Math.abs(actual - wanted) <= tolerance, `${actual} is not ${wanted}`);

test("a rate is decimal megabits per second", () => {
  near(maths.mbps(1_000_000, 1000), 8);
  assert.equal(maths.mbps(1000, 0), 0);
});

test("percentiles lie between neighbours", () => {
  assert.equal(maths.percentile([], 0.5), null);
  near(maths.percentile([4, 1, 3, 2], 0.5), 2.5);
  near(maths.percentile([10, 20], 0.95), 19.5);
});

test("jitter is the mean difference of neighbours", () => {
  near(maths.jitter([10, 14, 10, 16]), (4 + 4 + 6) / 3);
  assert.equal(maths.jitter([10]), null);
});

test("bytes of an acknowledged request are spread over its time", () => {
  const requests = [{ start: 0, end: 1000, bytes: 1000 }, { start: 1000, end: 3000, bytes: 1000 }];
  near(maths.acknowledgedBytes(requests, 500, 2000), 500 + 500);
  near(maths.acknowledgedBytes(requests, 5000, 6000), 0);
  near(maths.acknowledgedBytes(requests, 0, 3000), 2000);
});

test("what was not acknowledged is not counted", () => {
  near(maths.acknowledgedBytes([], 0, 1000), 0);
});

test("totals are linear between the log's entries", () => {
  const log = [[0, 0], [100, 50], [300, 250]];
  near(maths.totalAt(log, 200), 150);
  near(maths.totalAt(log, 50), 25);
  near(maths.totalAt(log, 999), 250);
  near(maths.totalAt(log, -1), 0);
});

test("the headline is bytes in the window by the window, warm-up dropped", () => {
  // 1 s at nothing, then 4 s at 1 MB/s.
  const log = [[0, 0], [1000, 0], [5000, 4_000_000]];
  const bytesIn = (a, b) => maths.totalAt(log, b) - maths.totalAt(log, a);
  const window = maths.windowOf(0, 5000, 1000, null);
  const result = maths.figures({ bytesIn, start: 0, window, streams: 4, bytes: 4_000_000 });
  near(result.mbps, 8);
  near(result.warm_mbps, 0);
  near(result.p50, 8);
  assert.equal(result.steady, true);
  assert.equal(result.short, false);
});

test("a half rate halves the figure", () => {
  const rate = (bytes) => {
    const log = [[0, 0], [10_000, bytes]];
    const bytesIn = (a, b) => maths.totalAt(log, b) - maths.totalAt(log, a);
    const window = maths.windowOf(0, 10_000, 2000, null);
    return maths.figures({ bytesIn, start: 0, window, streams: 4, bytes }).mbps;
  };
  near(rate(10_000_000) / rate(5_000_000), 2);
});

test("the window begins at a fifth of the cap on fast lines, and short ones are named", () => {
  assert.deepEqual(maths.windowOf(0, 10_000, 2500, null), { from: 2500, to: 10_000, short: false });
  assert.deepEqual(maths.windowOf(0, 3000, 2500, 600), { from: 600, to: 3000, short: false });
  assert.deepEqual(maths.windowOf(0, 800, 2500, 700), { from: 200, to: 800, short: true });
});

test("the stop rule: cap, hard stop, steadiness, but not before its time", () => {
  const base = { elapsed: 9000, bytes: 1, rates: [10, 10, 10, 10], minMs: 8000, maxMs: 15_000, capBytes: 100 };
  assert.equal(maths.stopReason(base), "steady");
  assert.equal(maths.stopReason({ ...base, elapsed: 7999 }), "");
  assert.equal(maths.stopReason({ ...base, rates: [10, 10, 10, 9.4] }), "");
  assert.equal(maths.stopReason({ ...base, rates: [1, 10, 10, 10, 9.6] }), "steady");
  assert.equal(maths.stopReason({ ...base, rates: [10, 10, 10] }), "");
  assert.equal(maths.stopReason({ ...base, rates: [], elapsed: 15_000 }), "time");
  assert.equal(maths.stopReason({ ...base, bytes: 100 }), "cap");
});

test("upload sizes go by how long the last one took, in powers of two within the limits", () => {
  const KIB = 1024;
  const MIB = 1024 * KIB;
  const next = (size, ms) => maths.nextSize(size, ms, 128 * KIB, 32 * MIB);
  assert.equal(next(256 * KIB, 10), MIB); // times four at most
  assert.equal(next(MIB, 500), 2 * MIB); // 1.2 / 0.5 = 2.4
  assert.equal(next(MIB, 1000), MIB);
  assert.equal(next(MIB, 3000), 512 * KIB);
  assert.equal(next(128 * KIB, 9000), 128 * KIB);
  assert.equal(next(32 * MIB, 10), 32 * MIB);
});

test("the gauge never shows more than a quarter above what was acknowledged", () => {
  assert.equal(maths.gaugeRate(100, 10), 12.5);
  assert.equal(maths.gaugeRate(9, 10), 9);
  assert.equal(maths.gaugeRate(100, 0), 100);
});

test("idle latency drops the requests that set the connection up", () => {
  const result = maths.idleFigures([200, 60, 20, 22, 21], 2);
  assert.equal(result.first_ms, 200);
  assert.equal(result.idle_median_ms, 21);
  near(result.jitter_ms, 1.5);
});

test("sizes, rates and times for people", () => {
  assert.equal(maths.sizeText(999), "999 bytes");
  assert.equal(maths.sizeText(67_108_864), "67 MB");
  assert.equal(maths.sizeText(1_200_000), "1.2 MB");
  assert.equal(maths.rateText(94.26), "94.3");
  assert.equal(maths.rateText(940.2), "940");
  assert.equal(maths.rateText(99.97), "100");
  assert.equal(maths.rateText(undefined), "–");
  assert.equal(maths.fileTime(2e9, 184), "1 min 27 s");
  assert.equal(maths.fileTime(2e9, 0), "–");
  assert.equal(maths.fileTime(2e9, 2000), "8.0 s");
  assert.equal(maths.fileTime(2e9, 2), "2 h 13 min");
  assert.equal(maths.fileTime(1e9, 67), "1 min 59 s");
});

test("silence, speed and denial of a failed connection mean different things", () => {
  assert.match(reachProblem("b.example", 3, false, "").message, /cannot look up/);
  assert.match(reachProblem("b.example", 300, false, "").message, /certificate/);
  assert.match(reachProblem("b.example", 10_000, true, "").message, /dropped/);
  assert.match(reachProblem("b.example", 3, false, "denied").fix, /LocalNetworkAccess/);
});

test("what the beginning cost is the time that the headline rate would not have needed", () => {
  // 1 MB in the first 2 s at a headline of 8 Mbit/s (1 MB/s): one second was lost.
  near(maths.rampLoss(1_000_000, 2000, 8), 1000);
  assert.equal(maths.rampLoss(3_000_000, 2000, 8), 0);
  assert.equal(maths.rampLoss(0, 2000, 0), 0);
  near(maths.fileSeconds(1_000_000, 8, 1500), 2.5);
  assert.equal(maths.fileSeconds(1, 0), null);
  assert.equal(maths.fileTime(1_000_000, 8, 1500), "2.5 s");
});

test("a file pays the round trip of its acknowledgement once, bodies each", () => {
  // 1 MB a second at a round trip of 100 ms; the first body was slow.
  const bodies = [
    { start: 0, end: 600, bytes: 250_000 },
    { start: 600, end: 1700, bytes: 1_000_000 },
    { start: 1700, end: 2800, bytes: 1_000_000 },
  ];
  const { file_mbps: rate, ramp_ms: ramp } = maths.fileFigures(bodies, 500, 100);
  near(rate, 8);
  near(ramp, 250);
  assert.deepEqual(maths.fileFigures(bodies, 5000, 100), {});
});

test("latency under load: the first probe and the warm-up do not count, lost ones do", () => {
  const probes = [
    { start: 0, ms: 900, lost: false },
    { start: 400, ms: 800, lost: false },
    { start: 3000, ms: 60, lost: false },
    { start: 3400, ms: 80, lost: false },
    { start: 3800, ms: 4000, lost: true },
  ];
  const figures = maths.loadedFigures(probes, 2500, 20);
  assert.equal(figures.loaded_median_ms, 80);
  assert.equal(figures.loaded_more_ms, 60);
  assert.equal(figures.loaded_lost, 1);
  assert.ok(figures.loaded_p95_ms > 3000);
  assert.equal(figures.grade, "C");
  assert.deepEqual(maths.loadedFigures(probes.slice(0, 2), 2500, 20), {});
  assert.equal(maths.loadedFigures(probes, 2500, undefined).loaded_more_ms, null);
});

test("grades go by the added delay", () => {
  const grades = [0, 5, 30, 60, 200, 400].map(maths.grade);
  assert.deepEqual(grades, ["A+", "A", "B", "C", "D", "F"]);
  assert.equal(maths.grade(null), "");
});

test("uploads that stand at 100 % long before S3 answers were buffered on the way", () => {
  const body = (full, end, bytes = 8 << 20) => ({ start: 0, full, end, bytes });
  assert.equal(maths.wasBuffered([body(500, 3000)]), true);
  assert.equal(maths.wasBuffered([body(2500, 3000)]), false);
  assert.equal(maths.wasBuffered([body(8000, 9500)]), false); // under a fifth of the transfer
  assert.equal(maths.wasBuffered([body(500, 3000), body(2500, 3000), body(2500, 3000)]), false);
  assert.equal(maths.wasBuffered([body(null, 3000)]), false);
  // A socket's own buffer takes small bodies at once, which says nothing about the way.
  assert.equal(maths.wasBuffered([body(10, 3000, 1 << 20)]), false);
  assert.equal(maths.wasBuffered([]), false);
});

test("files a second count what was under way by its share", () => {
  const files = [{ start: 0, end: 500 }, { start: 500, end: 1000 }, { start: 900, end: 1100 }];
  near(maths.filesPerSecond(files, 0, 1000), 2.5);
  assert.equal(maths.filesPerSecond([], 0, 0), 0);
});

test("half the spread by the mean is what “varied” says", () => {
  near(maths.plusMinus([1, 90, 110, 100, 100]), 0.1);
  assert.equal(maths.plusMinus([1, 2, 3]), null);
});

test("bytes moved are those that were acknowledged or read", () => {
  const figures = {
    upload: { bytes: 100 }, upload_single: { bytes: 10 }, download: { bytes: 1000 },
    small_put: { files: 3, bytes: 7 }, small_get: { files: 2, bytes: 7 }, multipart: { ok: true },
  };
  const parts = { parts: [{ bytes: 5 }, { bytes: 1 }] };
  assert.deepEqual(maths.bytesMoved(figures, parts), { bytes_up: 137, bytes_down: 1014, bytes_used: 1151 });
  assert.equal(maths.bytesMoved({}, null).bytes_used, 0);
});

// --- The estimators on links that are known ---------------------------------------------------

/** Streams that share `rate` bytes a ms and choose sizes as the page does; acknowledged bodies. */
function simulatedUpload(rate, seconds, { streams = 4, slowStartMs = 0 } = {}) {
  const done = [];
  const flights = Array.from({ length: streams }, () => ({ start: 0, size: 256 << 10, left: 256 << 10 }));
  for (let now = 0; now < seconds * 1000; now += 1) {
    const share = (rate * Math.min(1, slowStartMs ? now / slowStartMs : 1)) / streams;
    for (const flight of flights) {
      flight.left -= share;
      if (flight.left > 0) continue;
      const end = now + 1;
      done.push({ start: flight.start, end, bytes: flight.size });
      const size = maths.nextSize(flight.size, end - flight.start, 128 << 10, 32 << 20);
      Object.assign(flight, { start: end, size, left: size });
    }
  }
  return done;
}

function uploadRate(rate, options) {
  const done = simulatedUpload(rate, 20, options);
  const bytesIn = (from, to) => maths.acknowledgedBytes(done, from, to);
  const window = maths.windowOf(0, 12_000, 2500, null);
  return maths.figures({ bytesIn, start: 0, window, streams: 4, bytes: 0 }).mbps;
}

for (const mbit of [2, 20, 100, 400]) {
  test(`uploads at ${mbit} Mbit/s are measured within 1 %, and at half the rate half of it`, () => {
    const bytesPerMs = mbit * 125;
    const whole = uploadRate(bytesPerMs);
    near(whole / mbit, 1, 0.01);
    near(uploadRate(bytesPerMs / 2) / whole, 0.5, 0.01);
    // A slow beginning is not in the window (as long as bodies are shorter than the warm-up).
    if (mbit >= 20) near(uploadRate(bytesPerMs, { slowStartMs: 2000 }) / mbit, 1, 0.02);
  });
}
