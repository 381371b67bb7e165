import assert from "node:assert/strict";
import test from "node:test";

import { Turns, Upload } from "../../media/static/media/upload.js";

const PART = 4;

/** A site and a bucket in memory; `answers` are what the PUTs of a part get, then 200. */
class Network {
  constructor(answers = {}) {
    this.answers = answers;
    this.calls = [];
    this.puts = [];
    this.waits = [];
    this.active = 0;
    this.most = 0;
    this.siteErrors = [];
    this.readable = true;
  }

  random = () => 1;
  isReadable = async () => this.readable;
  wait = async (milliseconds) => {
    this.waits.push(milliseconds);
  };

  callSite = async (method, url, body) => {
    this.calls.push([method, url, body]);
    const error = this.siteErrors.shift();
    if (error) {
      throw error;
    }
    if (url === "/uploads") {
      const links = { self: "/u", parts: "/u/parts", complete: "/u/complete" };
      return { part_size: PART, links };
    }
    if (url === "/u/parts") {
      return { parts: body.numbers.map((number) => ({ number, url: `https://s3/${number}` })) };
    }
    return { id: 7, body };
  };

  putPart = async (url, blob, { onProgress, signal }) => {
    signal.throwIfAborted();
    this.active += 1;
    this.most = Math.max(this.most, this.active);
    this.puts.push(url);
    onProgress(blob.size / 2);
    await new Promise((resolve) => setImmediate(resolve));
    this.active -= 1;
    signal.throwIfAborted();
    const number = Number(url.split("/").pop());
    const answer = this.answers[number]?.shift();
    return { host: "s3", code: "", etag: null, ...(answer ?? { status: 200, etag: `"${number}"` }) };
  };
}

function upload(network, bytes = 10, turns = new Turns(4)) {
  const file = new File([new Uint8Array(bytes)], "a.mov", { type: "video/quicktime" });
  const seen = [];
  const made = new Upload(file, {
    url: "/uploads",
    network,
    turns,
    onProgress: (sent) => seen.push(sent),
  });
  return { made, seen };
}

const never = () => new AbortController().signal;

test("a file goes up in parts and is completed with their ETags in order", async () => {
  const network = new Network();
  const { made, seen } = upload(network);
  const done = await made.run(never());
  assert.deepEqual(network.calls[0], [
    "POST",
    "/uploads",
    { name: "a.mov", size: 10, type: "video/quicktime" },
  ]);
  assert.deepEqual(done.body.parts, [
    { number: 1, etag: '"1"' },
    { number: 2, etag: '"2"' },
    { number: 3, etag: '"3"' },
  ]);
  assert.equal(seen.at(-1), 10);
});

test("no more parts at once than there are turns, over all files", async () => {
  const network = new Network();
  const turns = new Turns(2);
  const uploads = [upload(network, 20, turns), upload(network, 20, turns)];
  await Promise.all(uploads.map(({ made }) => made.run(never())));
  assert.equal(network.puts.length, 10);
  assert.equal(network.most, 2);
});

test("a small file does not wait for all parts of a large one before it", async () => {
  const turns = new Turns(2);
  const [large, small] = [new Network(), new Network()];
  const running = upload(large, 400, turns).made.run(never());
  while (large.puts.length < 10) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await upload(small, 3, turns).made.run(never());
  assert.ok(large.puts.length < 50, `${large.puts.length} parts went before`);
  await running;
  assert.equal(large.puts.length, 100);
});

test("a part is signed when its turn has come, not before", async () => {
  const network = new Network();
  await upload(network, 12, new Turns(1)).made.run(never());
  const order = network.calls.filter(([, url]) => url === "/u/parts");
  assert.deepEqual(
    order.map(([, , body]) => body.numbers),
    [[1], [2], [3]],
  );
});

test("an expired link is signed again, a busy S3 is asked again", async () => {
  const network = new Network({
    1: [{ status: 403, code: "AccessDenied" }],
    2: [{ status: 503 }, { status: 0 }],
  });
  await upload(network).made.run(never());
  const signed = network.calls.filter(([, url]) => url === "/u/parts");
  assert.equal(signed.length, 6);
  assert.equal(network.waits.length, 3);
});

test("a part that is refused again and again stops the upload with a sentence", async () => {
  const refused = Array(9).fill({ status: 403, code: "AccessDenied" });
  const network = new Network({ 2: refused });
  const { made } = upload(network);
  await assert.rejects(made.run(never()), { message: /AccessDenied/, fromS3: true });
  assert.equal(network.puts.filter((url) => url.endsWith("/2")).length, 3);
});

test("a dead network is tried five times", async () => {
  const network = new Network({ 1: Array(9).fill({ status: 0 }) });
  await assert.rejects(upload(network, 3).made.run(never()), { message: /CORS/ });
  assert.equal(network.puts.length, 5);
});

test("once a part has arrived, an outage of half a minute is waited for", async () => {
  const network = new Network({ 2: Array(9).fill({ status: 503 }) });
  await upload(network, 8, new Turns(1)).made.run(never());
  const waited = network.waits.reduce((total, milliseconds) => total + milliseconds, 0);
  // By the shortest draw of chance, half of it.
  assert.ok(waited / 2 > 30000);
  const away = Array(9).fill(Object.assign(new Error("away"), { status: 0 }));
  const { made } = upload(new Network(), 3);
  made.network.putPart = async () => {
    made.network.siteErrors = away;
    return { status: 200, etag: "e" };
  };
  assert.equal((await made.run(never())).id, 7);
});

test("an ETag that cannot be read is not tried again", async () => {
  const network = new Network({ 1: [{ status: 200, etag: null }] });
  await assert.rejects(upload(network, 3).made.run(never()), { message: /expose ETag/ });
  assert.equal(network.puts.length, 1);
});

test("a file that was changed meanwhile is not blamed on the network", async () => {
  const network = new Network({ 1: [{ status: 0 }] });
  network.readable = false;
  await assert.rejects(upload(network, 3).made.run(never()), { message: /changed, moved or deleted/ });
});

test("trying again sends only the parts that are missing", async () => {
  const network = new Network({ 2: Array(10).fill({ status: 0 }) });
  const { made } = upload(network, 12, new Turns(1));
  await assert.rejects(made.run(never()));
  network.puts.length = 0;
  await made.run(never());
  assert.deepEqual(network.puts, ["https://s3/2", "https://s3/3"]);
  assert.equal(network.calls.filter(([, url]) => url === "/uploads").length, 1);
});

test("cancelling stops the parts and tells the site", async () => {
  const network = new Network();
  const stopper = new AbortController();
  const { made } = upload(network, 40, new Turns(1));
  const running = made.run(stopper.signal);
  await new Promise((resolve) => setImmediate(resolve));
  stopper.abort();
  await assert.rejects(running, { name: "AbortError" });
  const sent = network.puts.length;
  await made.cancel();
  assert.deepEqual(network.calls.at(-1), ["DELETE", "/u", undefined]);
  assert.ok(sent < 10);
  assert.equal(network.puts.length, sent);
});

test("cancelling while the upload is being begun still removes it", async () => {
  const network = new Network();
  const stopper = new AbortController();
  const { made } = upload(network);
  const running = made.run(stopper.signal);
  stopper.abort();
  await Promise.all([assert.rejects(running, { name: "AbortError" }), made.cancel()]);
  assert.equal(network.calls.at(-1)[0], "DELETE");
  assert.equal(network.puts.length, 0);
});

test("a site that is away for a moment is asked again; a refusal is not", async () => {
  const network = new Network();
  const away = Object.assign(new Error("away"), { status: 503 });
  const refused = Object.assign(new Error("empty"), { status: 400 });
  network.siteErrors = [away];
  await upload(network, 3).made.run(never());
  network.siteErrors = [refused];
  await assert.rejects(upload(network, 3).made.run(never()), { message: "empty" });
  assert.equal(network.waits.length, 1);
});
