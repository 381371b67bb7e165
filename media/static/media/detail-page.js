/* The page of a media file: its player, and where it would come from as time goes by. */

import { keepGoing } from "./player.js";
import { nextAsk } from "./source-plan.js";

// Back to what was searched for, where this page was opened from there.
const back = document.getElementById("back");
if (document.referrer.split("?")[0] === back.href) back.href = document.referrer;

const shown = document.querySelector("[data-shown]");
const news = document.getElementById("player-news");
if (shown) {
  keepGoing(shown, (text) => {
    news.textContent = text;
    news.hidden = false;
  });
}

const panel = document.getElementById("source");
const badge = document.getElementById("source-badge");
const words = document.getElementById("source-words");
const sourceNews = document.getElementById("source-news");
let asked = 0;
let timer = 0;

async function fetchSource(query = "") {
  const response = await fetch(panel.dataset.url + query, {
    headers: { Accept: "application/json" },
    credentials: "same-origin",
  });
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.message);
  }
  return answer;
}

function show(answer) {
  badge.textContent = answer.configuration;
  badge.className = `badge ${answer.source}`;
  words.textContent = answer.words;
}

async function ask() {
  try {
    const answer = await fetchSource();
    const changed = answer.reason !== panel.dataset.reason;
    asked = changed ? 0 : asked + 1;
    const moved = answer.configuration !== badge.textContent;
    panel.dataset.reason = answer.reason;
    show(answer);
    if (changed) {
      // Only news is read out: the sentence itself changes with every look, by the file's age.
      sourceNews.textContent = `It ${moved ? "now" : "still"} comes from ${answer.configuration}. ${answer.words}`;
    }
    plan(answer.changes_in);
  } catch {
    asked += 1;
    plan(null);
  }
}

function plan(changesIn) {
  clearTimeout(timer);
  if (!document.hidden) {
    timer = setTimeout(ask, nextAsk(changesIn, asked));
  }
}

plan(panel.dataset.changesIn ? Number(panel.dataset.changesIn) : null);
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) {
    ask();
  }
});

const form = document.getElementById("source-for");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const output = document.getElementById("source-for-answer");
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value.trim()) {
      query.set(name, value.trim());
    }
  }
  try {
    const answer = await fetchSource(`?${query}`);
    output.textContent = `${answer.configuration}: ${answer.words}`;
  } catch (error) {
    output.textContent = error.message;
  }
});
