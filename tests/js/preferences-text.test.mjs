import assert from "node:assert/strict";
import test from "node:test";

import { namesIn, offsetOf } from "../../preferences/static/preferences/text.js";

test("an offset is found by line and column, and never leaves the line", () => {
  const text = "{\n  \"a\": 1\n}";
  assert.equal(offsetOf(text, 1, 1), 0);
  assert.equal(offsetOf(text, 2, 3), 4);
  assert.equal(offsetOf(text, 1, 99), 1);
  assert.equal(offsetOf(text, 3, 2), text.length);
  assert.equal(offsetOf(text, 99, 1), text.length);
});

test("names are read from text as people paste it", () => {
  assert.deepEqual(namesIn('{\n\u200b "main": {"region": "x",},\n "sydney": {},\n}'), [
    "main",
    "sydney",
  ]);
  assert.deepEqual(namesIn(""), []);
});

test("text that cannot be read has no names", () => {
  for (const text of ["{", "[]", "null", "3", '{"a" 1}']) assert.equal(namesIn(text), null);
});
