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
