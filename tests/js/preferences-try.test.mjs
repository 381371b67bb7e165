import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chunksOf, jsonLines, refusal, summaryOf, wordsOf,
} from "../../preferences/static/preferences/try.js";

const MAIN = { problems: [], configuration: "main", place: "(bucket m, us-east-1)", otherwise: "", why: "So." };

async function all(iterable) {
  const found = [];
  for await (const one of iterable) found.push(one);
  return found;
}

test("an answer in words", () => {
  assert.deepEqual(wordsOf(MAIN), { strong: "main", rest: " (bucket m, us-east-1).", why: "Why: So." });
});

test("an answer that depends on the copy names both", () => {
  const { rest } = wordsOf({ ...MAIN, otherwise: "sydney (bucket s, ap-southeast-2)" });
  assert.equal(rest, " (bucket m, us-east-1), when the copy is there; otherwise sydney (bucket s, ap-southeast-2).");
});

test("no answer says so", () => {
  assert.equal(wordsOf({ ...MAIN, configuration: "" }).rest, "This cannot be answered with these values.");
});

test("lines come out whole, however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode('{"a":"✓"}\n{"b":2}\n');
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const chunks = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, cut));
        controller.enqueue(bytes.slice(cut));
        controller.close();
      },
    });
    assert.deepEqual(await all(jsonLines(chunksOf(chunks))), [{ a: "✓" }, { b: 2 }]);
  }
});

test("a line that ends early is an error and no silence", async () => {
  await assert.rejects(all(jsonLines([new TextEncoder().encode('{"a":1}\n{"b"')])), /ended early/);
});

test("how a test went, in words", () => {
  assert.equal(summaryOf("main", ["pass", "skip"]), "main: works.");
  assert.equal(summaryOf("main", ["pass", "warn"]), "main: works; one thing to look at.");
  assert.equal(summaryOf("main", ["warn", "warn"]), "main: works; 2 things to look at.");
  assert.equal(summaryOf("main", ["fail", "warn", "pass"]), "main: 1 check failed.");
  assert.equal(summaryOf("main", ["fail", "fail"]), "main: 2 checks failed.");
});

test("what was refused says what to do", () => {
  assert.match(refusal(401), /Log in/);
  assert.match(refusal(403), /reload/);
  assert.match(refusal(500), /status 500/);
});
