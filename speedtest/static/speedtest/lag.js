// The page "Replication lag": start, look again and again, say what came out.

import { siteClient } from "./site.js";
import { onStop, statusView } from "./view.js";

const ANNOUNCE_MS = 10_000;

const form = document.getElementById("lag-form");
if (form) setUp();

function setUp() {
  const data = JSON.parse(document.getElementById("lag-data").textContent);
  const find = (id) => document.getElementById(id);
  const ask = siteClient(form.elements.csrfmiddlewaretoken.value);
  let watched = null;
  let timer = 0;
  let announced = 0;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    find("problem").textContent = "";
    find("result").hidden = true;
    find("start").disabled = true;
    await take(() => post(data.start));
  });
  onStop(find("stop"), async () => {
    if (!watched) return;
    clearTimeout(timer);
    await take(() => post(watched.stop));
  });
  // Before, a click would have sent the form away as a page does without scripts.
  find("start").disabled = false;
  if (data.watched) show(data.watched);

  async function take(asking) {
    try {
      show(await asking());
    } catch (error) {
      find("problem").textContent = error.message;
      find("start").disabled = false;
      if (watched) wait(5);
    }
  }

  function show(lag) {
    watched = lag.over ? null : lag;
    find("start").hidden = Boolean(watched);
    find("start").disabled = false;
    find("stop").hidden = !watched;
    find("watch").hidden = !watched;
    find("result").hidden = !lag.over;
    if (lag.over) {
      const none = find("not-measured");
      if (none) none.textContent = "The one above is the first.";
      const verdict = find("verdict");
      find("result").className = `st-card st-result ${lag.status}`;
      verdict.replaceChildren(statusView(lag.status), ` ${lag.message}`);
      verdict.focus();
      return;
    }
    find("problem").textContent = "";
    find("waited").textContent = `Waiting for the marker: ${Math.round(lag.waited)} s`;
    const source = lag.source_status ? `S3 says ${lag.source_status} on the primary.` : "";
    find("said").textContent = lag.message || source;
    if (Date.now() - announced > ANNOUNCE_MS) {
      announced = Date.now();
      find("live").textContent = find("waited").textContent;
    }
    wait(lag.again_in);
  }

  function wait(seconds) {
    clearTimeout(timer);
    timer = setTimeout(() => take(() => post(watched.look)), seconds * 1000);
  }

  async function post(url) {
    return (await ask(url, {})).json();
  }
}
