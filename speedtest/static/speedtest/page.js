// The page: one test at a time, shown as it goes. What a test does is in run.js.

import { showAfterwards } from "./afterwards.js";
import { CHECKS as BROWSER_CHECKS } from "./checks.js";
import { RateChart } from "./chart.js";
import { PHASES } from "./findings.js";
import { rateText, sizeText } from "./maths.js";
import { PhaseList } from "./phases.js";
import { showFigures, showNotes, showTable } from "./result.js";
import { showReport } from "./report.js";
import { SpeedTest } from "./run.js";
import { siteClient } from "./site.js";
import { onEnded, reloadWhenBack, tellEnded } from "./tabs.js";
import {
  actionView, againButton, announcer, documentView, element, END_THAT, findingView, fixView, onStop,
  problemTeller, settle, show, statusView, waitingList,
} from "./view.js";

const byId = (id) => document.getElementById(id);
const form = byId("speedtest-form");
const data = form ? JSON.parse(byId("speedtest-data").textContent) : null;
const token = form?.elements.csrfmiddlewaretoken.value;
const STAGES = {
  start: "Starting", server: "Checks from this server", prepare: "Preparing",
  browser: "Checks from your browser", cleanup: "Clean-up", ...PHASES,
};
const COLUMN_CHECKS = [...BROWSER_CHECKS, ["measure", "Measurement"]];

const violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));

let current = null; // the running test
let untold = null; // one whose end the site has not been told
const say = form ? announcer(byId("live")) : null;
const showProblem = problemTeller(byId("problem"));
const chart = form ? new RateChart(byId("chart")) : null;
const phases = form ? new PhaseList(byId("phases")) : null;

// --- While it runs ----------------------------------------------------------------------------

function gaugeText({ rate, latency, files }) {
  if (rate !== undefined) return `${rateText(rate)} Mbit/s`;
  if (latency !== undefined) return `${latency.toFixed(0)} ms`;
  return files === undefined ? "" : `${files.toFixed(files < 10 ? 1 : 0)} files/s`;
}

function stepText({ step, pause, bytes }) {
  if (pause) return `A pause of ${pause / 1000} s, so that one phase does not disturb the next.`;
  return step || (bytes ? `${sizeText(bytes)} so far` : "");
}

function showStage(event) {
  const percent = Math.round(Math.min(1, event.share) * 100);
  const title = STAGES[event.stage];
  const gauge = gaugeText(event);
  const bar = byId("bar");
  byId("phase").textContent = title;
  byId("step").textContent = stepText(event);
  byId("gauge").textContent = gauge;
  byId("bar-fill").style.width = `${percent}%`;
  bar.setAttribute("aria-valuenow", percent);
  bar.setAttribute("aria-valuetext", `${percent} %, ${title}${gauge ? `, ${gauge}` : ""}`);
  say(`${title}${gauge ? `: ${gauge}` : ""}`);
  if (!PHASES[event.stage]) return;
  phases.running(event.stage, gauge);
  if (event.rate === undefined) return;
  byId("chart-frame").hidden = false;
  chart.add(event.stage, event.elapsed, event.rate, mostMs(event.stage));
}

function mostMs(phase) {
  return (phase.endsWith("_single") ? current.plan.single : current.plan[phase]).max_ms;
}

function showEvent(event, end) {
  if (event.type === "begun" && end) tellEnded(end);
  if (event.type === "stage") showStage(event);
  else if (event.type === "finding") show(byId(`${event.column}-findings`), event.finding);
  else if (event.type === "figures") {
    phases.done(event.phase, event.figures);
    if (event.figures.rates) chart.settle(event.phase, event.figures);
  }
}

function setRunning(running) {
  byId("start").hidden = running;
  byId("start-hint").hidden = running;
  byId("stop").hidden = !running;
  byId("stop").disabled = false;
  byId("stop").textContent = "Stop";
  for (const field of form.querySelectorAll(".st-field")) field.hidden = running;
  byId("testing").hidden = !running;
  byId("progress").hidden = !running;
}

// --- One test ---------------------------------------------------------------------------------

async function startTest(end = "") {
  if (current) return;
  showProblem("");
  const mode = form.elements.mode.value;
  const checks = mode === "quick" ? BROWSER_CHECKS : COLUMN_CHECKS;
  const test = new SpeedTest({
    ask: siteClient(token),
    start: data.start,
    asked: { configuration: form.elements.configuration.value, mode },
    workerUrl: form.dataset.worker,
    serverChecks: data.checks.length,
    violations,
    emit: (event) => showEvent(event, end),
  });
  current = test;
  if (document.hidden) test.flags.add("hidden");
  const { selectedOptions: [chosen] } = form.elements.configuration;
  byId("testing").textContent = `${chosen.textContent.trim()} · ${mode}`;
  setRunning(true);
  byId("stop").focus();
  byId("result").hidden = true;
  byId("chart-frame").hidden = true;
  byId("cleanup").hidden = true;
  byId("report").hidden = true;
  byId("columns").hidden = false;
  byId("data-table").replaceChildren();
  chart.clear();
  phases.reset(mode !== "quick");
  waitingList(byId("server-findings"), data.checks);
  waitingList(byId("browser-findings"), checks);
  untold = null;
  await untilTheEnd(test, () => test.execute(end ? { end } : {}));
}

/** Wait for the site's answer to the end of a test, by `ask()`, and show it. */
async function untilTheEnd(test, ask) {
  let answer = null;
  try {
    answer = await ask();
  } catch (error) {
    if (!test.begun) {
      notBegun(error);
      return;
    }
    notTold(test, error);
  }
  settle(byId("server-findings"));
  settle(byId("browser-findings"));
  current = null;
  setRunning(false);
  if (answer) showResult(test, answer);
}

/** What was measured is shown all the same, and may be stored when the site is there again. */
function notTold(test, error) {
  if (test.finished) {
    showProblem(error.message);
    return;
  }
  untold = test;
  byId("result").hidden = false;
  byId("result").className = "st-card st-result warn";
  byId("verdict").replaceChildren(statusView("warn"), " What was measured is not stored yet.");
  for (const part of ["remedy", "afterwards"]) byId(part).replaceChildren();
  showFigures(byId("figures"), test.figures);
  showNotes(byId("notes"), test);
  const again = againButton("Clean up and store the result", () => {
    showProblem("");
    current = test;
    setRunning(true);
    untilTheEnd(test, () => test.tell());
  });
  showProblem(`${error.message} The result is not stored, and the test objects are not removed yet; the next test removes what is older than an hour.`, again);
  again.focus();
}

function notBegun(error) {
  current = null;
  setRunning(false);
  byId("columns").hidden = true;
  const running = error.answer?.running;
  showProblem(error.message, running && againButton(END_THAT, () => startTest(running)));
  byId("start").focus();
}

function showResult(test, answer) {
  const verdict = byId("verdict");
  byId("result").hidden = false;
  byId("result").className = `st-card st-result ${answer.verdict.status}`;
  verdict.replaceChildren(statusView(answer.verdict.status), ` ${answer.verdict.text}`);
  const remedy = byId("remedy");
  remedy.replaceChildren();
  if (answer.leading?.fix) remedy.append(fixView(answer.leading.fix));
  remedy.append(...(answer.leading?.actions ?? []).map(actionView));
  for (const text of answer.leading?.documents ?? []) remedy.append(documentView(text, true));
  byId("cleanup-findings").replaceChildren(...answer.cleanup.map(findingView));
  byId("cleanup").hidden = false;
  showFigures(byId("figures"), test.figures);
  showNotes(byId("notes"), test);
  showAfterwards(byId("afterwards"), answer.afterwards);
  if (chart.empty) byId("chart-frame").hidden = true;
  else showTable(byId("data-table"), test.figures);
  chart.draw();
  historyRow(answer.row);
  showReport(byId("report"), answer.report, say);
  verdict.focus();
  verdict.scrollIntoView({ block: "start" });
}

function historyRow(row) {
  const line = element("tr");
  const cell = (label, ...content) => {
    const made = element("td");
    made.dataset.label = label;
    made.append(...content);
    line.append(made);
    return made;
  };
  const when = element("time", "", row.when);
  when.dateTime = row.iso;
  const link = element("a");
  link.href = row.url;
  link.append(when);
  cell("When (UTC)", link);
  cell("Configuration", row.configuration);
  cell("Result", statusView(row.status), " ", element("span", "st-verdict", row.verdict));
  cell("Download", row.download).className = "st-number";
  cell("Upload", row.upload).className = "st-number";
  cell("Latency", row.latency).className = "st-number";
  cell("Who, from where", row.who, element("br"), element("span", "st-quiet", row.address));
  byId("history").tBodies[0].prepend(line);
  byId("history").hidden = false;
  byId("no-history").hidden = true;
}

function stop() {
  if (!current || current.signal.aborted) return;
  byId("stop").disabled = true;
  byId("stop").textContent = "Stopping …";
  current.stop();
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    startTest();
  });
  onStop(byId("stop"), stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) current?.flags.add("hidden");
  });
  addEventListener("offline", () => current?.flags.add("offline"));
  addEventListener("pagehide", () => (current ?? untold)?.leave(token));
  onEnded((run) => {
    if (current?.run === run) stop();
  });
  reloadWhenBack();
  // Before, a click would have sent the form away as a page does without scripts.
  byId("start").disabled = false;
}
