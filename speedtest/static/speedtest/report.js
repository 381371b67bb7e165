// "Copy for IT": the text of a test, in a box that can be copied from by mouse and keyboard.

import { element } from "./view.js";

/**
 * Fill `place` with the report at `url`. `say(text)` announces to people who do not see the page.
 */
export async function showReport(place, url, say) {
  place.hidden = false;
  place.replaceChildren(element("p", "st-quiet", "Writing the text for IT."));
  let text;
  try {
    const response = await fetch(url, { headers: { Accept: "text/plain" } });
    if (!response.ok) throw new Error(`the site answered with ${response.status}`);
    text = await response.text();
  } catch (error) {
    place.replaceChildren(element("p", "st-quiet", `The text for IT could not be fetched: ${error.message}.`));
    return;
  }
  place.replaceChildren(...reportView(text, url, say));
}

function reportView(text, url, say) {
  const title = element("h2", "", "For IT");
  title.id = "report-title";
  const lead = element(
    "p", "st-quiet",
    "Times, addresses, exact requests, request ids and the documents to paste. No secrets: links are without their signature.",
  );
  const box = element("textarea", "st-report");
  box.id = "report-text";
  box.readOnly = true;
  box.rows = 10;
  box.spellcheck = false;
  box.value = text;
  box.setAttribute("aria-labelledby", "report-title");
  const copy = element("button", "st-button", "Copy for IT");
  copy.type = "button";
  const open = element("a", "", "Open as text");
  open.href = url;
  const told = element("span", "st-quiet");
  copy.addEventListener("click", async () => {
    const copied = await copyText(box);
    told.textContent = copied ? "Copied" : "Selected: press Ctrl+C (⌘C on a Mac)";
    say(told.textContent);
  });
  const buttons = element("div", "st-buttons");
  buttons.append(copy, open, told);
  return [title, lead, buttons, box];
}

/** Copy what a textarea holds. False: it is selected, so that one key press copies it. */
async function copyText(box) {
  try {
    await navigator.clipboard.writeText(box.value);
    return true;
  } catch {
    // Without https, or without the permission, there is no clipboard for scripts.
    box.focus();
    box.select();
    return false;
  }
}
