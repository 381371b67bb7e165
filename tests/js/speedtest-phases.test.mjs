// The phases of the speed test's measurement against a pretended S3: what counts, what does not.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { measure } from "../../speedtest/static/speedtest/measure.js";

const KIB = 1024;
const PLAN = {
  streams: 2, idle_requests: 3, idle_dropped: 1, probe_ms: 5, probe_timeout_ms: 200, pause_ms: 0,
  upload: { warm_ms: 20, min_ms: 60, max_ms: 250, cap_bytes: 1e9 },
  download: { warm_ms: 20, min_ms: 60, max_ms: 250, cap_bytes: 1e9 },
  single: { warm_ms: 20, min_ms: 60, max_ms: 250, cap_bytes: 1e9 },
  finish_ms: 500, first_size: 256 * KIB, least_size: 128 * KIB, most_size: 256 * KIB,
  parts_ms: 2000, files: { bytes: 64 * KIB, ms: 400, most: 50, put_streams: 2, get_streams: 2 },
};
const BOTH = { upload: true, download: true };
const BODY = `<Error><Code>EntityTooLarge</Code><Message>Too large.</Message></Error>`;

let puts; // every PUT: {url, size, status, aborted}
let answerPut; // url -> status
let answerGet; // (url, range) -> status
let stored; // url without query -> bytes

class FakeXHR {
  upload = {};
  status = 0;
  responseText = "";

  open(method, url) { this.url = url; }

  getAllResponseHeaders() { return 'ETag: "tag"\r\nx-amz-request-id: REQ1\r\n'; }

  send(body) {
    this.record = { url: this.url, size: body.size, status: 0, aborted: false };
    puts.push(this.record);
    // As measured in Chromium: progress runs ahead of an early refusal.
    this.timers = [
      setTimeout(() => this.upload.onprogress?.({ loaded: Math.floor(body.size / 2) }), 2),
      setTimeout(async () => {
        this.status = this.record.status = answerPut(this.url, puts.length);
        if (this.status >= 300) this.responseText = BODY;
        else (stored[this.url.split("?")[0]] ??= []).push(new Uint8Array(await body.arrayBuffer()));
        this.onload();
      }, 10),
    ];
  }

  abort() {
    this.timers.forEach(clearTimeout);
    this.record.aborted = true;
    this.onabort();
  }
}

function links() {
  const urls = (stream) => Object.fromEntries(
    [128, 256].map((size) => [size * KIB, `https://s3/up-${stream}-${size}`]),
  );
  return {
    seed: { url: "https://s3/seed", bytes: 1024 * KIB },
    uploads: [urls(0), urls(1)],
    small_put: Array.from({ length: 20 }, (_, number) => `https://s3/small?x=${number}`),
    parts: {
      upload_id: "u", read: "https://s3/parts?read",
      parts: [3, 3, 1].map((size, index) => ({ bytes: size * KIB, url: `https://s3/parts?part=${index}` })),
    },
  };
}

function concatenated(chunks) {
  return new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
}

beforeEach(() => {
  puts = [];
  stored = {};
  answerPut = () => 200;
  answerGet = (url, range) => (range ? 206 : 200);
  globalThis.XMLHttpRequest = FakeXHR;
  globalThis.fetch = async (url, { headers, signal }) => {
    await new Promise((resolve) => { setTimeout(resolve, 3); });
    signal.throwIfAborted();
    const range = /bytes=(\d+)-(\d+)/.exec(headers.Range ?? "");
    const status = answerGet(url, headers.Range);
    if (status >= 300) return new Response(BODY, { status });
    const all = url.includes("parts") ? concatenated(stored["https://s3/parts"]) : new Uint8Array(1024 * KIB);
    return new Response(range ? all.slice(+range[1], +range[2] + 1) : all, {
      status, headers: { "x-amz-request-id": "REQ2" },
    });
  };
});

function run(changes = {}) {
  const events = [];
  const asked = {
    links: links(), plan: PLAN, can: BOTH, signal: new AbortController().signal,
    join: async (id, etags) => ({ status: id === "u" && etags.length === 3 ? "pass" : "fail" }),
    emit: (event) => events.push(event), ...changes,
  };
  return measure(asked).then((result) => ({ ...result, events }));
}

test("everything is measured, and bytes are those that were acknowledged", async () => {
  const { figures, troubles, events } = await run();
  assert.deepEqual(troubles, []);
  const acknowledged = puts.filter((one) => one.url.includes("/up-") && one.status === 200);
  const bytes = acknowledged.reduce((sum, one) => sum + one.size, 0);
  assert.equal(figures.upload.bytes + figures.upload_single.bytes, bytes);
  assert.ok(figures.upload.mbps > 0 && figures.download.mbps > 0);
  assert.ok(figures.upload.loaded_median_ms > 0 && figures.download.loaded_median_ms > 0);
  assert.equal(figures.upload_single.loaded_median_ms, undefined);
  assert.ok(figures.upload_single.file_mbps >= figures.upload_single.mbps);
  assert.equal(figures.upload.file_mbps, undefined);
  assert.equal(figures.small_put.files, 20);
  assert.ok(figures.small_get.files_per_s > 0);
  assert.deepEqual([figures.multipart.ok, figures.multipart.broken_off], [true, true]);
  assert.equal(figures.resume.ok, true);
  assert.ok(figures.request_ids.includes("REQ1") && figures.request_ids.includes("REQ2"));
  const shares = events.map((event) => event.progress).filter(Number.isFinite);
  assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
  assert.ok(shares.at(-1) <= 1 && shares.at(-1) > 0.9);
});

for (const status of [403, 413]) {
  test(`an early ${status} is a failure and never a speed`, async () => {
    answerPut = (url) => (url.includes("/up-") ? status : 200);
    const { figures, troubles } = await run();
    assert.equal(figures.upload, undefined);
    assert.equal(figures.upload_single, undefined);
    assert.match(troubles[0].message, new RegExp(`${status} EntityTooLarge`));
    assert.equal(troubles[0].request_id, "REQ1");
    assert.ok(figures.download.mbps > 0, "the other direction is measured all the same");
  });
}

test("a refusal in the middle throws away what came before", async () => {
  answerPut = (url, number) => (url.includes("/up-") && number > 6 ? 403 : 200);
  const { figures, troubles } = await run();
  assert.ok(puts.some((one) => one.status === 200));
  assert.equal(figures.upload, undefined);
  assert.equal(troubles[0].phase, "upload");
});

test("a few failures of the server are repeated and counted as such", async () => {
  answerPut = (url, number) => (url.includes("/up-") && number === 3 ? 503 : 200);
  const { figures } = await run();
  assert.equal(figures.upload.errors, 1);
  const whole = puts.filter((one) => one.url.includes("/up-") && one.status === 200);
  assert.equal(figures.upload.bytes + figures.upload_single.bytes, whole.reduce((sum, one) => sum + one.size, 0));
});

test("a refused download is a failure, and nothing is sent in its stead", async () => {
  answerGet = (url, range) => (url.endsWith("seed") && !range ? 403 : range ? 206 : 200);
  const { figures, troubles } = await run();
  assert.equal(figures.download, undefined);
  assert.deepEqual(troubles.map((one) => one.phase), ["download"]);
});

test("the cap is not passed", async () => {
  const cap = 3 * 256 * KIB;
  const plan = { ...PLAN, upload: { ...PLAN.upload, min_ms: 5000, max_ms: 5000, cap_bytes: cap } };
  const { figures } = await run({ plan });
  assert.ok(figures.upload.bytes <= cap);
  assert.equal(figures.upload.capped, true);
});

test("on a slow line the upload in parts is left out, and said so", async () => {
  const { figures, troubles, notes } = await run({ plan: { ...PLAN, parts_ms: 0.01 } });
  assert.deepEqual([figures.multipart, figures.resume], [undefined, undefined]);
  assert.deepEqual(troubles, []);
  assert.match(notes[0], /upload in parts was left out/);
});

test("an upload in parts that hangs has an end", async () => {
  const send = FakeXHR.prototype.send;
  FakeXHR.prototype.send = function hang(body) {
    if (!this.url.includes("part=2")) return send.call(this, body);
    puts.push(this.record = { url: this.url, size: body.size, status: 0, aborted: false });
    this.timers = [];
    return undefined;
  };
  // node does not wait for the timer of AbortSignal.timeout; browsers do.
  const awake = setInterval(() => {}, 1000);
  const { figures, troubles } = await run({ plan: { ...PLAN, parts_ms: 100 } });
  clearInterval(awake);
  FakeXHR.prototype.send = send;
  assert.equal(figures.multipart, undefined);
  assert.match(troubles[0].message, /longer than 0.3 s/);
  assert.ok(puts.at(-1).aborted);
});

test("changed bytes are found out", async () => {
  const fetched = globalThis.fetch;
  globalThis.fetch = async (url, options) => {
    const answer = await fetched(url, options);
    if (!url.includes("parts")) return answer;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    bytes[5] ^= 1;
    return new Response(bytes, { status: answer.status });
  };
  const { figures, troubles } = await run();
  assert.equal(figures.resume, undefined);
  assert.match(troubles.at(-1).message, /not what was sent/);
});

test("stopping ends every request", async () => {
  const stopping = new AbortController();
  const plan = { ...PLAN, upload: { ...PLAN.upload, min_ms: 60_000, max_ms: 60_000 } };
  const running = run({ plan, signal: stopping.signal, emit: ({ phase, elapsed }) => {
    if (phase === "upload" && elapsed > 0) stopping.abort();
  } });
  await assert.rejects(running, /stopped/);
  const before = puts.length;
  await new Promise((resolve) => { setTimeout(resolve, 40); });
  assert.equal(puts.length, before);
  assert.ok(puts.every((one) => one.status || one.aborted));
});

test("without a test file only what uploads is measured", async () => {
  const given = { ...links(), seed: null };
  const { figures, troubles } = await run({ links: given });
  assert.deepEqual(troubles, []);
  assert.equal(figures.idle_median_ms, undefined);
  assert.equal(figures.upload.loaded_median_ms, undefined);
  assert.ok(figures.upload.mbps > 0);
});

test("bodies cannot be compressed and no two begin alike", async () => {
  const { deflateSync } = await import("node:zlib");
  const { Bodies } = await import("../../speedtest/static/speedtest/network.js");
  const bodies = new Bodies(1 << 20);
  const bytes = async (blob) => Buffer.from(await blob.arrayBuffer());
  const [first, second] = [await bytes(bodies.take(3 << 20)), await bytes(bodies.take(128 * KIB))];
  assert.equal(first.length, 3 << 20);
  assert.ok(deflateSync(first.subarray(0, 1 << 20)).length > 0.999 * (1 << 20));
  assert.notDeepEqual(first.subarray(0, 64), second.subarray(0, 64));
});
