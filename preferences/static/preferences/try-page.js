/* “Try before saving” answers in place; without this script its buttons open a new tab. */

import { chunksOf, jsonLines, refusal, summaryOf, wordsOf } from "./try.js";

const which = document.getElementById("try-which");
const test = document.getElementById("try-test");
const status = document.getElementById("try-status");
const answer = document.getElementById("try-answer");
const buttons = [which, test].filter(Boolean);

function element(tag, { text = "", className = "", scope = "" } = {}, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  if (scope) made.scope = scope;
  made.append(...children);
  return made;
}

function say(...paragraphs) {
  status.replaceChildren(...paragraphs.map((text) => element("p", { text })));
}

async function ask(button) {
  const response = await fetch(button.formAction, {
    method: "POST",
    body: new FormData(button.form),
    headers: { Accept: "application/json" },
  });
  const type = response.headers.get("Content-Type") ?? "";
  if (!response.ok || !/json/.test(type)) throw new Error(refusal(response.status));
  return response;
}

async function run(button, work) {
  for (const one of buttons) one.disabled = true;
  answer.replaceChildren();
  try {
    await work(button);
  } catch (error) {
    say(error instanceof TypeError ? "The site did not answer. Try again." : error.message);
  } finally {
    for (const one of buttons) one.disabled = false;
    // A disabled button has lost the focus.
    if (document.activeElement === document.body) button.focus();
  }
}

function problemsOf(problems) {
  return problems.map((text) =>
    element("p", { className: "notice" }, element("span", { text: "⚠ " }), text));
}

async function whichBucket(button) {
  const found = await (await ask(button)).json();
  const words = wordsOf(found);
  const choice = element("p", { className: "try-choice" });
  if (words.strong) choice.append(element("strong", { text: words.strong }));
  choice.append(words.rest);
  status.replaceChildren(...problemsOf(found.problems), choice);
  if (words.why) status.append(element("p", { text: words.why }));
}

function tableOf({ name, bucket, region }) {
  const head = ["Check", "Result", "What was found", "Time"].map((text) =>
    element("th", { text, scope: "col" }));
  const body = element("tbody");
  const caption = element("caption", {}, element("strong", { text: name }), ` (bucket ${bucket}, ${region})`);
  answer.append(
    element("table", { className: "try-checks" }, caption, element("thead", {}, element("tr", {}, ...head)), body),
  );
  return body;
}

function rowOf(finding, [mark, words]) {
  const found = element("td", { className: "found" }, element("p", { text: finding.message }));
  if (finding.code) {
    const request = finding.request_id ? `, request ${finding.request_id}` : "";
    found.append(
      element("p", { className: "quiet" }, `${finding.call}: `, element("code", { text: finding.code }), request),
    );
  }
  if (finding.fix) found.append(element("p", { text: finding.fix }));
  for (const [title, text] of finding.documents) {
    found.append(element("details", {}, element("summary", { text: title }), element("pre", { text })));
  }
  const sign = element("span", { text: mark });
  sign.setAttribute("aria-hidden", "true");
  return element(
    "tr",
    { className: finding.status },
    element("th", { text: finding.title, scope: "row" }),
    element("td", { className: "result" }, sign, ` ${words}`),
    found,
    element("td", { className: "time", text: finding.ms === null ? "" : `${finding.ms} ms` }),
  );
}

async function testBuckets(button) {
  say("Testing the buckets …");
  const response = await ask(button);
  const bodies = new Map();
  const statuses = new Map();
  const done = [];
  let words = {};
  for await (const event of jsonLines(chunksOf(response.body))) {
    if (event.configurations) {
      words = event.words;
      answer.append(...problemsOf(event.problems));
      for (const config of event.configurations) {
        bodies.set(config.name, tableOf(config));
        statuses.set(config.name, []);
      }
    } else if (event.finding) {
      statuses.get(event.configuration).push(event.finding.status);
      bodies.get(event.configuration).append(rowOf(event.finding, words[event.finding.status]));
    } else {
      done.push(summaryOf(event.configuration, statuses.get(event.configuration)));
      const left = bodies.size - done.length;
      say(...done, ...(left ? [`Testing ${left} more …`] : []));
    }
  }
  if (!bodies.size) {
    say("Nothing was tested.");
    return;
  }
  if ([...statuses.values()].every((found) => found.includes("fail"))) return;
  const link = element("a", { text: "Speed Test" });
  link.href = answer.dataset.speedtest;
  answer.append(element("p", {}, "The server reached it; browsers may not: run the ", link, "."));
}

for (const [button, work] of [[which, whichBucket], [test, testBuckets]]) {
  button?.addEventListener("click", (event) => {
    event.preventDefault();
    run(button, work);
  });
}
