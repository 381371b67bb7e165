/* Sending one part: what XMLHttpRequest says, as putPart hands it on. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { OFFLINE, STALL, callSite, putPart, wait } from "../../media/static/media/upload-network.js";

class Request extends EventTarget {
  static last;
  upload = new EventTarget();
  status = 0;
  responseText = "";
  timeout = 0;

  constructor() {
    super();
    Request.last = this;
  }
  open() {}
  send() {}
  abort() {
    this.dispatchEvent(new Event("abort"));
  }
  getResponseHeader() {
    return '"etag"';
  }
}

const URL_OF_PART = "https://bucket.example.com/key?partNumber=1";
let now;

beforeEach(() => {
  globalThis.XMLHttpRequest = Request;
  now = 1000;
  performance.now = () => now;
});

function progress(loaded) {
  Request.last.upload.dispatchEvent(Object.assign(new Event("progress"), { loaded }));
}

test("a part that makes progress is given more time", async () => {
  const seen = [];
  putPart(URL_OF_PART, new Blob(["x"]), {
    onProgress: (loaded) => seen.push(loaded),
    signal: new AbortController().signal,
  });
  assert.equal(Request.last.timeout, STALL);
  now += 45_000;
  progress(7);
  assert.equal(Request.last.timeout, 45_000 + STALL);
  assert.deepEqual(seen, [7]);
});

test("a stalled part counts as one without an answer, to be sent again", async () => {
  const sent = putPart(URL_OF_PART, new Blob(["x"]), {
    onProgress: () => {},
    signal: new AbortController().signal,
  });
  Request.last.dispatchEvent(new Event("timeout"));
  const { status, etag } = await sent;
  assert.deepEqual([status, etag], [0, null]);
});

test("a cancelled part is an AbortError", async () => {
  const controller = new AbortController();
  const sent = putPart(URL_OF_PART, new Blob(["x"]), {
    onProgress: () => {},
    signal: controller.signal,
  });
  controller.abort();
  await assert.rejects(sent, { name: "AbortError" });
});

test("who waits without a network waits until it is back, or long enough", async () => {
  globalThis.window = new EventTarget();
  Object.defineProperty(globalThis, "navigator", { value: { onLine: false }, configurable: true });
  let over = false;
  const waiting = wait(0, new AbortController().signal).then(() => {
    over = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(over, false);
  window.dispatchEvent(new Event("online"));
  await waiting;

  const stopper = new AbortController();
  const cancelled = wait(0, stopper.signal);
  await new Promise((resolve) => setTimeout(resolve, 5));
  stopper.abort();
  await assert.rejects(cancelled, { name: "AbortError" });
  window.dispatchEvent(new Event("online"));

  const [inTime, waited] = [setTimeout, []];
  globalThis.setTimeout = (work, milliseconds) => {
    waited.push(milliseconds);
    return inTime(work, 0);
  };
  await wait(10);
  globalThis.setTimeout = inTime;
  assert.deepEqual(waited, [10, OFFLINE]);
  navigator.onLine = true;
  await wait(0);
});

test("who is logged out is told what to do, and why the site refuses is handed on", async () => {
  globalThis.document = { cookie: "" };
  const refuse = (status, error) => {
    const body = JSON.stringify({ error, message: "for scripts" });
    globalThis.fetch = async () => new Response(body, { status });
    return callSite("POST", "/media/uploads", {});
  };
  await assert.rejects(refuse(401, "not-logged-in"), { status: 401, message: /in another tab/ });
  await assert.rejects(refuse(403, "no-csrf-token"), { message: /Try again here/ });
  await assert.rejects(refuse(400, "bad-file"), { code: "bad-file", message: "for scripts" });
  globalThis.fetch = async () => new Response("<html>", { status: 413 });
  await assert.rejects(callSite("POST", "/media/uploads", {}), { message: /413 without saying/ });
});
