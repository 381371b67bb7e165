/* The page Site Preferences works without this script; it adds focus, places, names, Enter
   and a question before typed text is lost. */

import { namesIn, offsetOf } from "./text.js";

const summary = document.getElementById("error-summary");
if (summary) summary.focus();

for (const link of document.querySelectorAll("#error-summary a[href^='#']")) {
  link.addEventListener("click", (event) => {
    const field = document.getElementById(link.hash.slice(1));
    if (!field) return;
    event.preventDefault();
    const category = field.closest("details");
    if (category) category.open = true;
    field.focus();
    if (link.dataset.line && field.tagName === "TEXTAREA") showPlace(field, link.dataset);
  });
}

function showPlace(field, { line, column }) {
  const offset = offsetOf(field.value, Number(line), Number(column) || 1);
  field.setSelectionRange(offset, offset);
  const lineHeight = parseFloat(getComputedStyle(field).lineHeight) || 18;
  field.scrollTop = Math.max(0, (Number(line) - 4) * lineHeight);
}

const configuration = document.getElementById("id_s3_configuration");
const names = document.getElementById("configuration-names");
if (configuration) {
  configuration.addEventListener("change", () => {
    const found = namesIn(configuration.value);
    if (found === null) return;
    names.replaceChildren(
      ...found.map((name) => {
        const option = document.createElement("option");
        option.value = name;
        return option;
      }),
    );
  });
}

/* The form's first button, which Enter presses, saves nothing by itself: without this script it
   can't be told which field Enter was pressed in. */
document.getElementById("enter")?.addEventListener("click", (event) => {
  event.preventDefault();
  const asked = document.activeElement.closest(".try");
  document.getElementById(asked ? "try-which" : "save").click();
});

const form = document.getElementById("sitepreferences_form");
let leaving = false;
form.addEventListener("submit", () => {
  leaving = true;
});
for (const link of document.querySelectorAll("[data-discards]")) {
  link.addEventListener("click", () => {
    leaving = true;
  });
}
window.addEventListener("beforeunload", (event) => {
  const typed = "unsaved" in form.dataset || [...form.elements].some(isChanged);
  if (typed && !leaving) event.preventDefault();
});

function isChanged(field) {
  if (!field.name || field.name.startsWith("try_") || field.type === "hidden") return false;
  return field.type === "checkbox"
    ? field.checked !== field.defaultChecked
    : "defaultValue" in field && field.value !== field.defaultValue;
}
