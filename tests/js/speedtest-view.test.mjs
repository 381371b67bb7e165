import assert from "node:assert/strict";
import { test } from "node:test";

import { meansAsPoints, niceTop, paths, slots } from "../../speedtest/static/speedtest/chart.js";
import { hints, measureFinding, notesOf, steadiness } from "../../speedtest/static/speedtest/findings.js";
import { outcome } from "../../speedtest/static/speedtest/phases.js";
import { announcer } from "../../speedtest/static/speedtest/view.js";

test("at most one message in five seconds, and the newest", () => {
  let now = 0;
  const timers = [];
  const region = { textContent: "" };
  const say = announcer(region, { now: () => now, later: (run, ms) => timers.push({ run, at: now + ms }) });
  const until = (time) => {
    now = time;
    while (timers.length && timers[0].at <= now) timers.shift().run();
  };
  say("one");
  until(0);
  assert.equal(region.textContent, "one");
  say("two");
  say("three");
  until(4999);
  assert.equal(region.textContent, "one");
  until(5000);
  assert.equal(region.textContent, "three");
});

test("a refused phase makes the measurement fail, with S3's words", () => {
  const troubles = [{ phase: "upload", message: "S3 refused an upload: 413 EntityTooLarge.", request_id: "R" }];
  const finding = measureFinding({ figures: { download: { mbps: 9 } }, troubles });
  assert.equal(finding.status, "fail");
  assert.match(finding.message, /413/);
  assert.equal(finding.request_id, "R");
  assert.equal(measureFinding({ figures: { download: { mbps: 9 } }, troubles: [] }).status, "pass");
});

test("labels say when it varied", () => {
  assert.equal(steadiness({ steady: true, plus_minus: 0.01 }), "steady");
  assert.equal(steadiness({ steady: false, plus_minus: 0.123 }), "varied ±12\u00a0%");
  assert.equal(steadiness({ steady: false, plus_minus: null, short: true }), "very short");
});

test("one stream far below several at a distance is called the window, not bandwidth", () => {
  const figures = { idle_median_ms: 80, download: { mbps: 100 }, download_single: { mbps: 40 } };
  assert.match(hints(figures)[0], /TCP window, not bandwidth/);
  assert.deepEqual(hints({ ...figures, idle_median_ms: 10 }), []);
  assert.deepEqual(hints({ ...figures, download_single: { mbps: 90 } }), []);
});

test("a long queue is named, by direction", () => {
  assert.match(hints({ upload: { mbps: 9, loaded_more_ms: 150 } })[0], /Cap the uploader/);
  assert.match(hints({ download: { mbps: 9, loaded_more_ms: 250 } })[0], /queue/);
  assert.deepEqual(hints({ upload: { mbps: 9, loaded_more_ms: 50 } }), []);
});

test("what spoils the figures is said beside them", () => {
  const said = notesOf({ flags: ["hidden", "offline", "buffered", "browser_bound"] }).join(" ");
  for (const word of [/tab was hidden/, /lost its network/, /antivirus/, /manage.py speedtest/]) assert.match(said, word);
  const upload = { warm_seconds: 1, seconds: 3, capped: true, errors: 2, unfinished: 1, loaded_lost: 3 };
  const notes = notesOf({ upload }).join(" ");
  for (const word of [/limit of bytes after 4.0 s/, /2 requests failed/, /\(1 body\)/, /3 small requests/]) assert.match(notes, word);
  assert.match(notesOf({ upload: { short: true } })[0], /at least/);
  assert.deepEqual(notesOf({}), []);
});

test("outcomes of phases in a few characters", () => {
  assert.equal(outcome("upload", { mbps: 94.2 }), "94.2 Mbit/s");
  assert.equal(outcome("idle", { idle_median_ms: 8.25 }), "8.3 ms");
  assert.equal(outcome("small_put", { files_per_s: 12.4 }), "12 files/s");
  assert.equal(outcome("multipart", { ok: 1, ms: 1234 }), "1.2 s");
});

test("the chart's scale, slots and areas", () => {
  assert.deepEqual([0, 3, 17, 20, 101, 400].map(niceTop), [1, 3, 20, 20, 120, 400]);
  const [a, b] = slots([{ ms: 15_000 }, { ms: 5000 }], 762);
  assert.equal(Math.round((a.to - a.from) / (b.to - b.from)), 3);
  assert.ok(b.to <= 762);
  assert.deepEqual(paths([[0, 1]], a, 1000, 1), { line: "", area: "" });
  const { line, area } = paths([[0, 1], [1000, 1]], a, 1000, 1);
  assert.match(line, /^M[\d.]+ 12.0L[\d.]+ 12.0$/);
  assert.match(area, /^M[\d.]+ \d+L.*Z$/);
  assert.deepEqual(meansAsPoints([4, 6]), [[0, 4], [500, 4], [1500, 6], [2000, 6]]);
  assert.deepEqual(meansAsPoints([]), []);
});
