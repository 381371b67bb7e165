// The browser's estimators on the logs that the server's have to agree on; see
// tests/unit/test_speedtest_estimators.py.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as maths from "../../speedtest/static/speedtest/maths.js";

const shared = JSON.parse(readFileSync(new URL("./estimators.json", import.meta.url)));

function near(actual, wanted) {
  if (typeof wanted === "number" && typeof actual === "number") {
    assert.ok(Math.abs(actual - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `${actual} is not ${wanted}`);
  } else if (Array.isArray(wanted)) {
    assert.equal(actual.length, wanted.length);
    wanted.forEach((one, index) => near(actual[index], one));
  } else if (wanted && typeof wanted === "object") {
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(wanted).sort());
    for (const key of Object.keys(wanted)) near(actual[key], wanted[key]);
  } else {
    assert.equal(actual, wanted);
  }
}

function phase(one) {
  const bytesIn = one.log
    ? (from, to) => maths.totalAt(one.log, to) - maths.totalAt(one.log, from)
    : (from, to) => maths.acknowledgedBytes(
      one.requests.map(([start, end, bytes]) => ({ start, end, bytes })), from, to);
  const window = maths.windowOf(one.start, one.stop, one.warm_ms, one.fifth_at);
  const probes = one.probes.map(([start, ms, lost]) => ({ start, ms, lost }));
  return {
    ...maths.figures({ bytesIn, start: one.start, window, streams: one.streams, bytes: one.bytes }),
    ...maths.loadedFigures(probes, window.from, one.idle_median ?? undefined),
  };
}

test("the phases' figures", () => {
  for (const one of shared.phases) near(phase(one), one.wanted);
});

test("the stop rule", () => {
  for (const { wanted, ...one } of shared.stops) {
    assert.equal(maths.stopReason({
      elapsed: one.elapsed, bytes: one.bytes, rates: one.rates,
      minMs: one.min_ms, maxMs: one.max_ms, capBytes: one.cap_bytes,
    }), wanted);
  }
});

test("the next size, idle latency, files a second, bytes moved", () => {
  for (const [size, ms, least, most, wanted] of shared.sizes) {
    assert.equal(maths.nextSize(size, ms, least, most), wanted);
  }
  for (const { times, dropped, wanted } of shared.idle) near(maths.idleFigures(times, dropped), wanted);
  for (const { requests, from, to, wanted } of shared.files) {
    near(maths.filesPerSecond(requests.map(([start, end]) => ({ start, end })), from, to), wanted);
  }
  for (const { figures, parts, wanted } of shared.moved) {
    near(maths.bytesMoved(figures, { parts: parts.map((bytes) => ({ bytes })) }), wanted);
  }
});
