// The page: one test at a time, shown as it goes. Asks the site for the server's checks and for
// links, runs the browser's checks here and the measurement in a Worker.

import { browserChecks, CHECKS as BROWSER_CHECKS } from "./checks.js";
import { fileTime, rateText, sizeText } from "./maths.js";

const byId = (id) => document.getElementById(id);
const form = byId("speedtest-form");
const data = form ? JSON.parse(byId("speedtest-data").textContent) : null;

const STATUS_TEXT = {
  pass: "✓ pass", warn: "! look", fail: "✕ fail", skip: "– not run", wait: "… waiting", run: "… running",
};
const PHASES = {
  idle: "Latency",
  upload: "Upload, several at once",
  upload_single: "Upload, one at a time",
  download: "Download, several at once",
  download_single: "Download, one at a time",
};

// --- The site ---------------------------------------------------------------------------------

/** The site said no: the message is for people. */
class SiteError extends Error {
  constructor(message, answer = {}, status = 0) {
    super(message);
    this.answer = answer;
    this.status = status;
  }
}

async function ask(url, body, signal) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
        "Content-Type": "application/json",
        Accept: "application/json",
      },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new SiteError("This site does not answer. Check your connection and try again.");
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    const fallback = response.status === 401 || response.status === 403
      ? "You are no longer logged in, or may not do this. Reload the page."
      : `The site answered with ${response.status}. Reload the page and try again.`;
    throw new SiteError(answer.message ?? fallback, answer, response.status);
  }
  return response;
}

/** The JSON lines of a streamed answer, one by one. */
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const parts = rest.split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
    if (done) return;
  }
}

// --- What is shown ----------------------------------------------------------------------------

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** One polite live region, at most one message in five seconds: the newest one wins. */
const announcer = {
  last: -Infinity,
  waiting: "",
  timer: 0,
  say(text) {
    this.waiting = text;
    if (this.timer) return;
    const wait = Math.max(0, this.last + 5000 - performance.now());
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.last = performance.now();
      byId("live").textContent = this.waiting;
    }, wait);
  },
};

function documentView([title, text], open) {
  const details = element("details", "st-document");
  details.open = open;
  details.append(element("summary", "", title));
  const pre = element("pre", "", text);
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", title);
  const copy = element("button", "st-button small", "Copy");
  copy.type = "button";
  copy.setAttribute("aria-label", `Copy: ${title}`);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      // Without https there is no clipboard: select it, so that one key press copies.
      getSelection().selectAllChildren(pre);
      copy.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 3000);
  });
  details.append(copy, pre);
  return details;
}

function statusView(status) {
  return element("span", `st-status ${status}`, STATUS_TEXT[status]);
}

function fixView(text) {
  const fix = element("p", "st-fix");
  fix.append(element("strong", "", "What to do: "), text);
  return fix;
}

function findingView(finding) {
  const item = element("li", `st-finding ${finding.status}`);
  item.dataset.check = finding.check;
  const head = element("div", "st-finding-head");
  head.append(statusView(finding.status), element("strong", "", finding.title));
  const facts = [
    Number.isFinite(finding.ms) ? `${Math.round(finding.ms)} ms` : "",
    finding.call,
    finding.code,
  ].filter(Boolean);
  if (facts.length) head.append(element("span", "st-facts", facts.join(" · ")));
  item.append(head);
  if (finding.message) item.append(element("p", "st-message", finding.message));
  if (finding.fix) item.append(fixView(finding.fix));
  for (const text of finding.documents ?? []) item.append(documentView(text, false));
  if (finding.request_id && finding.status !== "pass") {
    item.append(element("p", "st-quiet", `S3 request id ${finding.request_id}`));
  }
  return item;
}

function waitingList(list, checks) {
  list.replaceChildren(
    ...checks.map(([check, title]) => findingView({ check, title, status: "wait" })),
  );
}

function show(list, finding) {
  const place = list.querySelector(`[data-check="${CSS.escape(finding.check)}"]`);
  const view = findingView(finding);
  if (place) place.replaceWith(view);
  else list.append(view);
  const next = list.querySelector(".st-finding.wait .st-status");
  if (next) next.textContent = STATUS_TEXT.run;
}

function settle(list) {
  for (const item of list.querySelectorAll(".st-finding.wait")) {
    const title = item.querySelector("strong").textContent;
    item.replaceWith(findingView({
      check: item.dataset.check, title, status: "skip", message: "Not run: the test ended before.",
    }));
  }
}

function progress(share, phase, step, gauge = "") {
  const percent = Math.round(Math.min(1, share) * 100);
  const bar = byId("bar");
  byId("phase").textContent = phase;
  byId("step").textContent = step;
  byId("gauge").textContent = gauge;
  byId("bar-fill").style.width = `${percent}%`;
  bar.setAttribute("aria-valuenow", percent);
  bar.setAttribute("aria-valuetext", `${percent} %, ${phase}${gauge ? `, ${gauge}` : ""}`);
  announcer.say(`${phase}${gauge ? `: ${gauge}` : ""}`);
}

function figureView(title, value, unit, ...notes) {
  const group = element("div", "st-figure");
  group.append(element("dt", "", title));
  const main = element("dd", "st-value");
  main.append(element("span", "st-big", value), ` ${unit}`);
  group.append(main);
  for (const note of notes.filter(Boolean)) group.append(element("dd", "st-quiet", note));
  return group;
}

function directionView(title, many, one) {
  const spread = many.p10 !== null && many.p10 !== undefined && many.p90 !== undefined
    ? `${rateText(many.p10)} to ${rateText(many.p90)} from second to second` : "";
  const label = many.steady ? "steady"
    : many.variation ? `varied by ${Math.round(many.variation * 100)} %` : "";
  return figureView(
    title, rateText(many.mbps), "Mbit/s",
    `${rateText(many.mbps / 8)} MB/s, ${many.streams} at once${label ? `, ${label}` : ""}`,
    one ? `${rateText(one.mbps)} Mbit/s one at a time` : "",
    spread,
    `a 2 GB file: ${fileTime(2e9, many.mbps)}`,
  );
}

function showFigures(figures, troubles, notes, hidden) {
  const list = byId("figures");
  list.replaceChildren();
  if (figures.download) list.append(directionView("Download", figures.download, figures.download_single));
  if (figures.upload) list.append(directionView("Upload", figures.upload, figures.upload_single));
  if (Number.isFinite(figures.idle_median_ms)) {
    list.append(figureView(
      "Latency", figures.idle_median_ms.toFixed(figures.idle_median_ms < 10 ? 1 : 0), "ms",
      `95 % below ${figures.idle_p95_ms.toFixed(0)} ms, jitter ${figures.jitter_ms.toFixed(1)} ms`,
      `first connection ${figures.first_ms.toFixed(0)} ms`,
    ));
  }
  list.hidden = !list.children.length;
  const said = [...notes];
  for (const trouble of troubles) said.push(`${PHASES[trouble.phase]} was not measured: ${trouble.message}`);
  for (const name of ["upload", "download"]) {
    const one = figures[name];
    if (!one) continue;
    if (one.short) said.push(`${PHASES[name]}: the counted time is under one second, as the limit of bytes was reached; this browser is the bound, not the line.`);
    else if (one.capped) said.push(`${PHASES[name]}: ended at the limit of ${sizeText(data.plan.cap_bytes)}.`);
    if (one.errors) said.push(`${PHASES[name]}: ${one.errors} requests failed and were repeated.`);
    if (one.unfinished) said.push(`${PHASES[name]}: ${one.unfinished} bodies were not acknowledged in time and do not count.`);
  }
  if (hidden) said.push("The tab was hidden for a while: browsers slow hidden tabs down, so the figures may be low.");
  if (figures.bytes_used) said.push(`${sizeText(figures.bytes_used)} were moved between your browser and S3.`);
  byId("notes").replaceChildren(...said.map((text) => element("li", "", text)));
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
  cell("When (UTC)", when);
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

// --- One test ---------------------------------------------------------------------------------

const violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));

let current = null; // the running test

// A tab that takes a test over tells the one that runs it.
const otherTabs = new BroadcastChannel("speedtest");
otherTabs.addEventListener("message", ({ data: event }) => {
  if (current?.run && event.end === current.run) stop();
});

function measureInWorker(message, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(form.dataset.worker, { type: "module" });
    const end = (settle, value) => {
      worker.terminate();
      settle(value);
    };
    worker.addEventListener("message", ({ data: event }) => {
      if (event.type === "progress") onProgress(event);
      else if (event.type === "done") end(resolve, event);
      else if (event.type === "stopped") end(reject, new DOMException("stopped", "AbortError"));
      else end(reject, new Error(event.message));
    });
    worker.addEventListener("error", (event) => {
      end(reject, new Error(`The measurement could not be started: ${event.message || "the Worker's script did not load"}.`));
    });
    signal.addEventListener("abort", () => worker.postMessage({ type: "stop" }), { once: true });
    worker.postMessage(message);
  });
}

async function runServerChecks(test) {
  const list = byId("server-findings");
  waitingList(list, data.checks);
  progress(0.02, "Checks from this server", "");
  const response = await ask(test.urls.server, {}, test.signal);
  let done = 0;
  for await (const finding of lines(response)) {
    show(list, finding);
    done += 1;
    progress(0.02 + 0.13 * (done / data.checks.length), "Checks from this server", finding.title);
  }
}

async function prepareLinks(test) {
  progress(0.16, "Preparing", "Signing links for your browser.");
  for await (const event of lines(await ask(test.urls.prepare, {}, test.signal))) {
    if (event.progress) progress(0.17, "Preparing", event.progress);
    if (event.problem) throw new SiteError(event.problem);
    if (event.links) return event.links;
  }
  throw new SiteError("The site ended its answer before the links were signed. Try again.");
}

async function runBrowserChecks(test, links) {
  const list = byId("browser-findings");
  const json = (response) => response.json();
  const checks = browserChecks({
    links,
    violations,
    signal: test.signal,
    replay: (what) => ask(test.urls.replay, { what }, test.signal).then(json),
    complete: (etag) =>
      ask(test.urls.complete, { upload_id: links.multipart.upload_id, etag }, test.signal).then(json),
  });
  let done = 0;
  for await (const finding of checks) {
    test.findings.push(finding);
    show(list, finding);
    done += 1;
    progress(0.18 + 0.07 * (done / BROWSER_CHECKS.length), "Checks from your browser", finding.title);
  }
}

async function runMeasurement(test, links) {
  const passed = (...checks) => checks.some((check) =>
    test.findings.some((f) => f.check === check && (f.status === "pass" || f.status === "warn")));
  const can = { upload: passed("put"), download: passed("get", "readback") };
  if (!can.upload && !can.download) {
    test.notes.push("Speed was not measured: neither a download nor an upload got through.");
    return;
  }
  if (!can.upload) test.notes.push("Upload was not measured, because the check did not pass.");
  if (!can.download) test.notes.push("Download was not measured, because the check did not pass.");
  if (can.download && !links.seed) test.notes.push("Download was not measured, because there is no test file.");
  const result = await measureInWorker({ type: "start", links, plan: data.plan, can }, test.signal, (event) => {
    if (event.over) return;
    const gauge = event.rate !== undefined ? `${rateText(event.rate)} Mbit/s`
      : event.latency !== undefined ? `${event.latency.toFixed(0)} ms` : "";
    progress(
      0.25 + 0.7 * event.progress, PHASES[event.phase],
      event.pause ? `A pause of ${event.pause / 1000} s, so that one phase does not disturb the next.`
        : event.bytes ? `${sizeText(event.bytes)} so far` : "",
      gauge,
    );
  });
  test.figures = result.figures;
  test.troubles = result.troubles;
}

async function runTest(test) {
  await runServerChecks(test);
  waitingList(byId("browser-findings"), BROWSER_CHECKS);
  let links;
  try {
    links = await prepareLinks(test);
  } catch (error) {
    if (!(error instanceof SiteError)) throw error;
    test.notes.push(`${error.message} So your browser could not be tested.`);
    return;
  }
  test.notes.push(...links.notes);
  await runBrowserChecks(test, links);
  if (test.mode === "standard") await runMeasurement(test, links);
}

async function finish(test, state) {
  progress(0.97, "Clean-up", "Removing the test objects.");
  test.figures.hidden = test.hidden;
  const answer = await ask(test.urls.finish, { state, findings: test.findings, figures: test.figures });
  test.finished = true;
  return answer.json();
}

function setRunning(running) {
  byId("start").hidden = running;
  byId("start-hint").hidden = running;
  byId("stop").hidden = !running;
  byId("stop").disabled = false;
  byId("stop").textContent = "Stop";
  for (const field of form.querySelectorAll("select, input[type=radio]")) field.disabled = running;
  byId("progress").hidden = !running;
}

function showProblem(message, action) {
  const place = byId("problem");
  place.replaceChildren();
  if (!message) return;
  const note = element("p", "st-note fail", message);
  if (action) note.append(" ", action);
  place.append(note);
}

async function startTest(end = "") {
  if (current) return;
  showProblem("");
  const test = {
    mode: form.elements.mode.value,
    configuration: form.elements.configuration.value,
    findings: [], figures: {}, troubles: [], notes: [],
    hidden: document.hidden, finished: false, urls: null,
    stopping: new AbortController(),
  };
  test.signal = test.stopping.signal;
  current = test;
  setRunning(true);
  byId("stop").focus();
  byId("result").hidden = true;
  byId("cleanup").hidden = true;
  byId("columns").hidden = false;
  waitingList(byId("server-findings"), data.checks);
  waitingList(byId("browser-findings"), BROWSER_CHECKS);
  progress(0.01, "Starting", "");
  let state = "done";
  try {
    const begun = await (await ask(data.start, {
      configuration: test.configuration, mode: test.mode, end,
    })).json();
    test.urls = begun.urls;
    test.run = begun.run;
    if (end) otherTabs.postMessage({ end });
    await runTest(test);
  } catch (error) {
    if (test.signal.aborted) {
      state = "stopped";
    } else {
      state = "failed";
      test.notes.push(error.message);
      if (!test.urls) {
        notBegun(error);
        return;
      }
    }
  }
  settle(byId("server-findings"));
  settle(byId("browser-findings"));
  byId("stop").disabled = true;
  try {
    showResult(test, await finish(test, state));
  } catch (error) {
    if (error.status === 404) showProblem("This test was ended from another tab.");
    else showProblem(`${error.message} The test objects could not be removed now; the next test removes what is older than an hour.`);
  }
  current = null;
  setRunning(false);
}

function notBegun(error) {
  current = null;
  setRunning(false);
  byId("columns").hidden = true;
  let action = null;
  if (error.answer?.running) {
    action = element("button", "st-button small", "End that test and start this one");
    action.type = "button";
    action.addEventListener("click", () => startTest(error.answer.running));
  }
  showProblem(error.message, action);
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
  for (const text of answer.leading?.documents ?? []) remedy.append(documentView(text, true));
  const cleanup = byId("cleanup-findings");
  cleanup.replaceChildren(...answer.cleanup.map((finding) => findingView(finding)));
  byId("cleanup").hidden = false;
  showFigures(test.figures, test.troubles, test.notes, test.hidden);
  historyRow(answer.row);
  verdict.focus();
  verdict.scrollIntoView({ block: "start" });
}

function stop() {
  if (!current || current.stopping.signal.aborted) return;
  byId("stop").disabled = true;
  byId("stop").textContent = "Stopping …";
  current.stopping.abort();
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    startTest();
  });
  byId("stop").addEventListener("click", stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  document.addEventListener("visibilitychange", () => {
    if (current && document.hidden) current.hidden = true;
  });
  addEventListener("pagehide", () => {
    if (!current?.urls || current.finished) return;
    current.stopping.abort();
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.append("result", JSON.stringify({ state: "left", findings: current.findings.map(
      ({ documents, ...finding }) => finding,
    ) }));
    navigator.sendBeacon(current.urls.finish, body);
  });
}
