import assert from "node:assert/strict";
import test from "node:test";

import { duration, size } from "../../media/static/media/format.js";
import {
  backOff,
  cut,
  errorCode,
  partProblem,
  speed,
  together,
  verdict,
} from "../../media/static/media/upload-plan.js";

test("the parts of a file are the file", () => {
  assert.deepEqual(cut(10, 4), [
    { number: 1, start: 0, end: 4 },
    { number: 2, start: 4, end: 8 },
    { number: 3, start: 8, end: 10 },
  ]);
  assert.deepEqual(cut(8, 8), [{ number: 1, start: 0, end: 8 }]);
  assert.deepEqual(cut(0, 8), []);
});

test("what an answer to a part means", () => {
  assert.equal(verdict(200, '"abc"'), "done");
  assert.equal(verdict(200, null), "stop");
  assert.equal(verdict(403, null), "sign");
  for (const status of [0, 400, 429, 500, 503]) {
    assert.equal(verdict(status, null), "retry", String(status));
  }
  assert.equal(verdict(404, null), "stop");
});

test("the wait grows, is spread, and has an end", () => {
  assert.equal(backOff(1, 0), 250);
  assert.equal(backOff(1, 1), 500);
  assert.equal(backOff(3, 1), 2000);
  assert.equal(backOff(20, 1), 15000);
});

test("every failure has a sentence that names what to look at", () => {
  assert.match(partProblem({ status: 0, host: "b.example" }), /b\.example.*CORS/);
  assert.match(partProblem({ status: 200, etag: null }), /expose ETag/);
  assert.match(partProblem({ status: 403, code: "AccessDenied" }), /AccessDenied.*role/);
  assert.match(partProblem({ status: 503, code: "SlowDown" }), /503 \(SlowDown\)/);
  assert.match(partProblem({ status: 404, code: "NoSuchBucket" }), /404 \(NoSuchBucket\)/);
  assert.match(partProblem({ status: 404, code: "NoSuchUpload" }), /no longer knows this upload/);
});

test("S3's error code is read from its XML", () => {
  assert.equal(errorCode("<Error><Code>AccessDenied</Code></Error>"), "AccessDenied");
  assert.equal(errorCode("<html>"), "");
  assert.equal(errorCode(""), "");
});

test("speed is bytes over the time between the first and the last sample", () => {
  assert.equal(speed([{ at: 0, bytes: 0 }, { at: 500, bytes: 1000 }]), 2000);
  assert.equal(speed([{ at: 0, bytes: 9 }]), 0);
  assert.equal(speed([{ at: 5, bytes: 0 }, { at: 5, bytes: 9 }]), 0);
});

test("sizes and times in words", () => {
  assert.equal(size(1), "1 byte");
  assert.equal(size(17), "17 bytes");
  assert.equal(size(1536), "1.5 KB");
  assert.equal(size(64 * 1024 * 1024), "64.0 MB");
  assert.equal(size(5 * 1024 ** 4), "5.0 TB");
  assert.equal(duration(59.6), "60 s");
  assert.equal(duration(600), "10 min");
  assert.equal(duration(7200), "2 h");
});

test("all files together are told in one sentence", () => {
  const file = (state, sent = 0) => ({ state, sent, size: 2048 });
  assert.equal(
    together([file("done", 2048), file("running", 1024), file("waiting")]),
    "1 of 3 files uploaded · 3.0 KB of 6.0 KB",
  );
  assert.equal(
    together([file("done", 2048), file("failed", 1024), file("refused"), file("cancelled", 1024)]),
    "1 of 3 files uploaded · 3.0 KB of 6.0 KB · 2 not uploaded · 1 cancelled",
  );
  assert.equal(together([file("done", 2048), file("done", 2048)]), "2 of 2 files uploaded");
});
