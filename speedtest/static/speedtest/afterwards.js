// What a result means for this site's files, and beside earlier tests: as the site has worked out.

import { element } from "./view.js";

/** Into `place`: {times: [{what, download, upload}], compared: [{title, text, dropped}], page}. */
export function showAfterwards(place, { times, compared, page }) {
  place.replaceChildren();
  if (times.length) place.append(timesTable(times));
  const notes = element("ul", "st-notes");
  for (const { title, text, dropped } of compared) {
    notes.append(element("li", dropped ? "trouble" : "note", `${title}. ${text}`));
  }
  const link = element("a", "", "This result's page");
  link.href = page;
  const more = element("p", "st-below");
  more.append(link);
  place.append(notes, more);
}

function timesTable(times) {
  const table = element("table", "st-table st-words");
  table.createCaption().textContent = "Time for a file";
  const head = table.createTHead().insertRow();
  for (const text of ["What", "Download", "Upload"]) {
    const cell = element("th", "", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const { what, download, upload } of times) {
    const row = body.insertRow();
    const cell = element("th", "", what);
    cell.scope = "row";
    row.append(cell, element("td", "", download), element("td", "", upload));
  }
  return table;
}
