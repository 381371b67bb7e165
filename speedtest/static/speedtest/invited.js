// The test for whoever holds a link: one button, progress, and the result in plain words. What a
// test does is in run.js.

import { PHASES } from "./findings.js";
import { rateText } from "./maths.js";
import { SpeedTest } from "./run.js";
import { siteClient } from "./site.js";
import { announcer, element } from "./view.js";

const byId = (id) => document.getElementById(id);
const form = byId("invited-form");
const data = JSON.parse(byId("invited-data").textContent);
const token = form.elements.csrfmiddlewaretoken.value;
const say = announcer(byId("live"));
const STAGES = {
  start: "Starting", prepare: "Preparing", browser: "Looking for the way", cleanup: "Cleaning up",
  ...PHASES,
};

const violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));

let current = null; // the running test

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

function showProblem(message, action) {
  const place = byId("problem");
  place.replaceChildren();
  if (!message) return;
  const note = element("p", "message error", message);
  if (action) note.append(" ", action);
  place.append(note);
}

async function startTest(end = "") {
  if (current) return;
  showProblem("");
  byId("result").hidden = true;
  const test = new SpeedTest({
    ask: siteClient(token),
    start: data.start,
    asked: { mode: "standard" },
    workerUrl: form.dataset.worker,
    violations,
    emit: (event) => { if (event.type === "stage") showStage(event); },
  });
  current = test;
  if (document.hidden) test.flags.add("hidden");
  setRunning(true);
  byId("stop").focus();
  let answer = null;
  try {
    answer = await test.execute(end ? { end } : {});
  } catch (error) {
    failed(error);
  }
  current = null;
  setRunning(false);
  if (answer?.told) showResult(answer.told);
  else byId("start").focus();
}

function failed(error) {
  let action = null;
  if (error.answer?.running) {
    action = element("button", "button", "End that test and start this one");
    action.type = "button";
    action.addEventListener("click", () => startTest(error.answer.running));
  }
  const message = error.status === 404 ? "This test was ended from another tab." : error.message;
  showProblem(message, action);
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
byId("start").disabled = false;
byId("stop").addEventListener("click", () => {
  byId("stop").disabled = true;
  byId("stop").textContent = "Stopping …";
  current?.stop();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) current?.flags.add("hidden");
});
addEventListener("offline", () => current?.flags.add("offline"));
addEventListener("pagehide", () => current?.leave(token));
