// Pieces of the page that tests are shown with.

export const STATUS_TEXT = {
  pass: "✓ pass", warn: "! look", fail: "✕ fail", skip: "– not run", wait: "… waiting", run: "… running",
};

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Speaks through one polite live region, at most once in five seconds: the newest message wins. */
export function announcer(region, { every = 5000, now = () => performance.now(), later = setTimeout } = {}) {
  let last = -Infinity;
  let waiting = "";
  let timer = 0;
  return function say(text) {
    if (text === waiting) return;
    waiting = text;
    if (timer) return;
    timer = later(() => {
      timer = 0;
      last = now();
      region.textContent = waiting;
    }, Math.max(0, last + every - now()));
  };
}

/**
 * `showProblem(message, action)` of a page: says in `place` what went wrong, with a way out of it
 * beside it; without a message it clears the place.
 */
export function problemTeller(place, className = "st-note fail") {
  return function showProblem(message, action) {
    place.replaceChildren();
    if (!message) return;
    const note = element("p", className, message);
    if (action) note.append(" ", action);
    place.append(note);
  };
}

export const END_THAT = "End that test and start this one";

/** A button beside a problem; `act` is the way out of it. */
export function againButton(text, act, className = "st-button small") {
  const button = element("button", className, text);
  button.type = "button";
  button.addEventListener("click", act, { once: true });
  return button;
}

export function documentView([title, text], open) {
  const details = element("details", "st-document");
  details.open = open;
  details.append(element("summary", "", title));
  const pre = element("pre", "", text);
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", title);
  details.append(copyButton(title, text, pre), pre);
  return details;
}

/** Copies `text`; without a clipboard it selects what is in `shown`. */
function copyButton(title, text, shown) {
  const copy = element("button", "st-button small", "Copy");
  copy.type = "button";
  copy.setAttribute("aria-label", `Copy: ${title}`);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      // Without https there is no clipboard: select it, so that one key press copies.
      getSelection().selectAllChildren(shown);
      copy.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 3000);
  });
  return copy;
}

/** A finding as text, for whoever has to mend it. */
export function findingText({ title, status, message, fix, call, code, request_id: id, documents = [] }) {
  const s3 = [call, code, id && `request id ${id}`].filter(Boolean).join(", ");
  return [
    `${title}: ${status}`,
    message,
    fix && `What to do: ${fix}`,
    s3 && `S3: ${s3}`,
    ...documents.map(([name, text]) => `\n${name}:\n${text}`),
  ].filter(Boolean).join("\n");
}

export function statusView(status) {
  return element("span", `st-status ${status}`, STATUS_TEXT[status]);
}

export function fixView(text) {
  const fix = element("p", "st-fix");
  fix.append(element("strong", "", "What to do: "), text);
  return fix;
}

/** A link to where the remedy is filled in, [text, address]. */
export function actionView([text, address]) {
  const link = element("a", "", text);
  link.href = address;
  const line = element("p", "st-fix");
  line.append(link);
  return line;
}

export function findingView(finding) {
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
  item.append(...(finding.actions ?? []).map(actionView));
  for (const text of finding.documents ?? []) item.append(documentView(text, false));
  if (finding.request_id && finding.status !== "pass") {
    item.append(element("p", "st-quiet", `S3 request id ${finding.request_id}`));
  }
  if (finding.status === "fail" || finding.status === "warn") {
    head.append(copyButton(finding.title, findingText(finding), item));
  }
  return item;
}

/** A list of checks that wait, [[check, title], ...]. */
export function waitingList(list, checks) {
  list.replaceChildren(
    ...checks.map(([check, title]) => findingView({ check, title, status: "wait" })),
  );
}

/** Put a finding into its place of the list; the next one is shown as running. */
export function show(list, finding) {
  const place = list.querySelector(`[data-check="${CSS.escape(finding.check)}"]`);
  const view = findingView(finding);
  if (place) place.replaceWith(view);
  else list.append(view);
  const next = list.querySelector(".st-finding.wait .st-status");
  if (next) next.textContent = STATUS_TEXT.run;
}

/** What still waits was not run. */
export function settle(list) {
  for (const item of list.querySelectorAll(".st-finding.wait")) {
    const title = item.querySelector("strong").textContent;
    item.replaceWith(findingView({
      check: item.dataset.check, title, status: "skip", message: "Not run: the test ended before.",
    }));
  }
}

/** Act on a click on Stop. The second one of a double click on Start lands there, too: not that. */
export function onStop(button, act) {
  button.addEventListener("click", (event) => {
    if (event.detail < 2) act();
  });
}
