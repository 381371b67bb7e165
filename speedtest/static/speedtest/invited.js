// The test for whoever holds a link: one button, progress, and the result in plain words. What a
// test does is in run.js.

import { PHASES } from "./findings.js";
import { rateText } from "./maths.js";
import { SpeedTest } from "./run.js";
import { siteClient } from "./site.js";
import { onEnded, reloadWhenBack, tellEnded } from "./tabs.js";
import { againButton, announcer, element, END_THAT, onStop, problemTeller } from "./view.js";

const byId = (id) => document.getElementById(id);
const form = byId("invited-form");
const data = JSON.parse(byId("invited-data").textContent);
const token = form.elements.csrfmiddlewaretoken.value;
const say = announcer(byId("live"));
const showProblem = problemTeller(byId("problem"), "message error");
const STAGES = {
  start: "Starting", prepare: "Preparing", browser: "Looking for the way", cleanup: "Cleaning up",
  ...PHASES,
};

const violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));

let current = null; // the running test
let untold = null; // one whose end the site has not been told

function showStage(event) {
  const percent = Math.round(Math.min(1, event.share) * 100);
  const rate = event.rate === undefined ? "" : `${rateText(event.rate)} Mbit/s`;
  const title = STAGES[event.stage];
  byId("stage").textContent = title;
  byId("gauge").textContent = rate;
  byId("bar-fill").style.width = `${percent}%`;
  byId("bar").setAttribute("aria-valuenow", percent);
  byId("bar").setAttribute("aria-valuetext", `${percent} %, ${title}`);
  say(`${percent} %, ${title}`);
}

function setRunning(running) {
  byId("start").hidden = running;
  byId("stop").hidden = !running;
  byId("stop").disabled = false;
  byId("stop").textContent = "Stop";
  byId("progress").hidden = !running;
}

async function startTest(end = "") {
  if (current) return;
  showProblem("");
  byId("result").hidden = true;
  const test = new SpeedTest({
    ask: siteClient(token, "This page is too old, or cookies are off. Load it again."),
    start: data.start,
    asked: { mode: "standard" },
    workerUrl: form.dataset.worker,
    violations,
    emit: (event) => {
      if (event.type === "stage") showStage(event);
      else if (event.type === "begun" && end) tellEnded(end);
    },
  });
  current = test;
  if (document.hidden) test.flags.add("hidden");
  setRunning(true);
  byId("stop").focus();
  untold = null;
  await untilTheEnd(test, () => test.execute(end ? { end } : {}));
}

/** Wait for the site's answer to the end of a test, by `ask()`, and show it. */
async function untilTheEnd(test, ask) {
  let answer = null;
  try {
    answer = await ask();
  } catch (error) {
    failed(test, error);
  }
  current = null;
  setRunning(false);
  if (answer) showResult(answer.told);
  else (byId("problem").querySelector("button") ?? byId("start")).focus();
}

function failed(test, error) {
  const running = error.answer?.running;
  if (running) {
    const again = againButton(END_THAT, () => startTest(running), "button");
    showProblem(error.message, again);
  } else if (test.begun && !test.finished) {
    untold = test;
    showProblem(`${error.message} The result has not been sent yet.`, againButton("Send it again", () => {
      showProblem("");
      current = test;
      setRunning(true);
      untilTheEnd(test, () => test.tell());
    }, "button"));
  } else {
    showProblem(error.message);
  }
}

function showResult({ status, title, sentences }) {
  byId("result").className = `invited-result ${status}`;
  byId("result").hidden = false;
  byId("verdict").textContent = title;
  byId("sentences").replaceChildren(...sentences.map((text) => element("li", "", text)));
  byId("start").textContent = "Test again";
  byId("verdict").focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  startTest();
});
onStop(byId("stop"), () => {
  byId("stop").disabled = true;
  byId("stop").textContent = "Stopping …";
  current?.stop();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) current?.flags.add("hidden");
});
addEventListener("offline", () => current?.flags.add("offline"));
addEventListener("pagehide", () => (current ?? untold)?.leave(token));
onEnded((run) => {
  if (current?.run === run) current.stop();
});
reloadWhenBack();
// Before, a click would have sent the form away as a page does without scripts.
byId("start").disabled = false;
