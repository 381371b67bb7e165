import assert from "node:assert/strict";
import { test } from "node:test";

import { meansAsPoints, niceTop, paths, slots } from "../../speedtest/static/speedtest/chart.js";
import { hints, measureFinding, notesOf, steadiness } from "../../speedtest/static/speedtest/findings.js";
import { outcome } from "../../speedtest/static/speedtest/phases.js";
import { SleepWatch } from "../../speedtest/static/speedtest/phase.js";
import { lines } from "../../speedtest/static/speedtest/site.js";
import { announcer, findingText } from "../../speedtest/static/speedtest/view.js";

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

test("a computer that slept is seen by the seconds that are missing", () => {
  let now = 0;
  const watch = new SleepWatch(() => now);
  for (now = 1000; now < 20_000; now += 1000) watch.look();
  assert.equal(watch.slept, false);
  now += 60_000;
  watch.look();
  now += 1000;
  assert.equal(watch.end(), true);
});

test("a test that the computer slept through is to be started again", () => {
  const troubles = [{ phase: "download", message: "Request has expired.", request_id: "" }];
  assert.match(measureFinding({ figures: { flags: ["slept"] }, troubles }).fix, /asleep.*Start again/);
  assert.doesNotMatch(measureFinding({ figures: { flags: [] }, troubles }).fix, /asleep/);
  assert.match(notesOf({ flags: ["slept"] })[0], /asleep/);
});

test("a finding is copied with all that whoever mends it needs", () => {
  const finding = {
    title: "Upload 1 KiB", status: "fail", message: "S3 said no.", fix: "Let PUT in.", call: "PutObject",
    code: "AccessDenied", request_id: "REQ1", documents: [["Role policy", "{}"]],
  };
  assert.equal(findingText(finding), `Upload 1 KiB: fail
S3 said no.
What to do: Let PUT in.
S3: PutObject, AccessDenied, request id REQ1

Role policy:
{}`);
  assert.equal(findingText({ title: "Clock", status: "warn", message: "90 s ahead." }), "Clock: warn\n90 s ahead.");
});

test("an answer that breaks off is said so, and its lines before are kept", async () => {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"check":"clock"}\n{"che'));
    },
    pull(controller) {
      controller.error(new TypeError("network error"));
    },
  }, { highWaterMark: 0 });
  const seen = [];
  await assert.rejects(async () => {
    for await (const line of lines({ body })) seen.push(line.check);
  }, /The connection to this site broke off/);
  assert.deepEqual(seen, ["clock"]);
});
