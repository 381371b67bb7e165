import assert from "node:assert/strict";
import test from "node:test";

import { EXPIRY_SUSPECTED, address, nextStep } from "../../media/static/media/player-plan.js";
import { nextAsk } from "../../media/static/media/source-plan.js";

test("what does not load is asked from the primary once", () => {
  assert.equal(nextStep({ worked: false, elapsed: 10, fromPrimary: false }), "primary");
  assert.equal(nextStep({ worked: false, elapsed: 10, fromPrimary: true }), "give-up");
});

test("what has played for a while gets a new link, from either bucket", () => {
  const elapsed = EXPIRY_SUSPECTED;
  assert.equal(nextStep({ worked: true, elapsed, fromPrimary: false }), "again");
  assert.equal(nextStep({ worked: true, elapsed, fromPrimary: true }), "again");
});

test("a new link that fails at once is not asked for over and over", () => {
  assert.equal(nextStep({ worked: true, elapsed: 10, fromPrimary: false }), "primary");
  assert.equal(nextStep({ worked: true, elapsed: 10, fromPrimary: true }), "give-up");
});

test("addresses keep what they ask for", () => {
  const base = "https://site.example/media/7/download?disposition=inline";
  assert.equal(
    address(base, { fromPrimary: true, tries: 2 }),
    `${base}&source=primary&try=2`,
  );
  assert.equal(address(base, { fromPrimary: false, tries: 0 }), base);
});

test("the page asks shortly after the announced change, else ever less often", () => {
  assert.equal(nextAsk(15, 0), 15500);
  assert.equal(nextAsk(0.01, 0), 1000);
  assert.equal(nextAsk(86400, 0), 120000);
  assert.equal(nextAsk(null, 0), 10000);
  assert.equal(nextAsk(null, 2), 22500);
  assert.equal(nextAsk(null, 50), 120000);
});
