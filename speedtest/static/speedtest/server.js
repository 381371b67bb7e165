// The page "From this server": starts a run in the background and asks how far it is.

import { rateText } from "./maths.js";
import { showReport } from "./report.js";
import { showFigures, showNotes } from "./result.js";
import { checked, siteClient } from "./site.js";
import { tellEnded } from "./tabs.js";
import {
  againButton, announcer, END_THAT, findingView, onStop, problemTeller, settle, show, statusView, waitingList,
} from "./view.js";

const AGAIN_MS = 1000;
const form = document.getElementById("server-form");
const find = (id) => document.getElementById(id);

function gaugeText({ rate, latency, files }) {
  if (rate !== undefined) return `${rateText(rate)} Mbit/s`;
  if (latency !== undefined) return `${latency.toFixed(0)} ms`;
  return files === undefined ? "" : `${files.toFixed(1)} files/s`;
}

function setUp() {
  const data = JSON.parse(find("server-data").textContent);
  const ask = siteClient(form.elements.csrfmiddlewaretoken.value);
  const say = announcer(find("live"));
  const showProblem = problemTeller(find("problem"));
  let watched = null;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!watched) start();
  });
  onStop(find("stop"), async () => {
    if (!watched) return;
    setStopping(true);
    try {
      await ask(watched.stop, {});
    } catch (error) {
      setStopping(false);
      showProblem(error.message);
    }
  });
  // Before, a click would have sent the form away as a page does without scripts.
  find("start").disabled = false;
  if (data.running) take(data.running);

  /** `end`: id of a test that is ended for this one. */
  async function start(end = "") {
    find("problem").replaceChildren();
    const asked = { configuration: form.elements.configuration.value, mode: form.elements.mode.value };
    try {
      const begun = await (await ask(data.start, end ? { ...asked, end } : asked)).json();
      if (end) tellEnded(end);
      take(begun);
    } catch (error) {
      const running = error.answer?.running;
      showProblem(error.message, running && againButton(END_THAT, () => start(running)));
    }
  }

  function setStopping(stopping) {
    find("stop").disabled = stopping;
    find("stop").textContent = stopping ? "Stopping …" : "Stop";
  }

  function take(run) {
    if (!watched) begin();
    watched = run.over ? null : run;
    for (const finding of run.findings) show(find("findings"), finding);
    if (run.over) {
      end(run);
      return;
    }
    showProgress(run.progress);
    setTimeout(look, AGAIN_MS);
  }

  async function look() {
    try {
      const answer = await fetch(watched.look, { headers: { Accept: "application/json" } });
      const run = await (await checked(answer)).json();
      find("problem").replaceChildren();
      take(run);
    } catch (error) {
      showProblem(error.status ? error.message : "This site does not answer. Asking again.");
      // A result that was deleted does not come back.
      if (error.status === 404) setRunning(false);
      else setTimeout(look, 5 * AGAIN_MS);
    }
  }

  function begin() {
    setRunning(true);
    find("result").hidden = true;
    find("report").hidden = true;
    find("checks").hidden = false;
    waitingList(find("findings"), data.checks);
    find("stop").focus();
  }

  function setRunning(running) {
    find("start").hidden = running;
    find("stop").hidden = !running;
    setStopping(false);
    find("progress").hidden = !running;
    for (const field of form.querySelectorAll("select, input[type=radio]")) field.disabled = running;
  }

  function showProgress(progress) {
    const percent = Math.round(100 * (progress.share ?? 0));
    const title = progress.title ?? "Starting";
    find("phase").textContent = title;
    find("gauge").textContent = gaugeText(progress);
    find("step").textContent = progress.text ?? "";
    find("bar-fill").style.width = `${percent}%`;
    find("bar").setAttribute("aria-valuenow", percent);
    find("bar").setAttribute("aria-valuetext", `${percent} %, ${title}`);
    say(title);
  }

  function end(run) {
    setRunning(false);
    settle(find("findings"));
    find("findings").append(...run.cleanup.map(findingView));
    find("result").className = `st-card st-result ${run.verdict.status}`;
    find("verdict").replaceChildren(statusView(run.verdict.status), ` ${run.configuration}: ${run.verdict.text}`);
    showFigures(find("figures"), run.figures);
    showNotes(find("notes"), { figures: run.figures, troubles: [], notes: [] });
    find("result").hidden = false;
    showReport(find("report"), run.report, say);
    find("verdict").focus();
  }
}

if (form) setUp();
