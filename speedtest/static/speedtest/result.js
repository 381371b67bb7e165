// The figures of a test for people: cards, hints, notes and the chart with its table.

import { hints, notesOf, PHASES, steadiness } from "./findings.js";
import { fileTime, rateText, sizeText } from "./maths.js";
import { rateTable } from "./chart.js";
import { element } from "./view.js";

/** rows: [label, value]; those without a value are left out. */
function card(kind, title, value, unit, rows) {
  const group = element("div", `st-figure ${kind}`);
  group.append(element("dt", "", title));
  const main = element("dd", "st-value");
  main.append(element("span", "st-big", value), ` ${unit}`);
  group.append(main);
  for (const [label, text] of rows.filter(([, text]) => text)) {
    const row = element("dd", "st-row");
    row.append(element("span", "st-quiet", label), " ", element("span", "st-row-value", text));
    group.append(row);
  }
  return group;
}

function direction(name, title, figures) {
  const many = figures[name];
  const one = figures[`${name}_single`];
  const connect = Math.max(0, (figures.first_ms ?? 0) - (figures.idle_median_ms ?? 0));
  const file = (rate) => fileTime(2e9, rate.file_mbps ?? rate.mbps, connect + (rate.ramp_ms ?? 0));
  const loaded = many.loaded_median_ms;
  return card(name, title, rateText(many.mbps), "Mbit/s", [
    [`${many.streams} at once`, `${rateText(many.mbps / 8)} MB/s, ${steadiness(many)}`],
    ["One at a time", one && `${rateText(one.mbps)} Mbit/s`],
    ["Second to second", many.rates?.length > 3 && `${rateText(many.p10)} to ${rateText(many.p90)} Mbit/s`],
    ["A file of 2 GB", `${file(many)}${one ? `; one at a time ${file(one)}` : ""}`],
    ["Latency meanwhile", Number.isFinite(loaded)
      && `${loaded.toFixed(0)} ms${many.grade ? `, grade ${many.grade}` : ""}`],
  ]);
}

function latency(figures) {
  const { idle_median_ms: median, idle_p95_ms: p95, jitter_ms: jitter, first_ms: first } = figures;
  return card("latency", "Latency, idle", median.toFixed(median < 10 ? 1 : 0), "ms", [
    ["95 % within", `${p95.toFixed(0)} ms`],
    ["Jitter", jitter < 1 ? "under 1 ms" : `${jitter.toFixed(1)} ms`],
    ["First connection", `${first.toFixed(0)} ms`],
    ["Upload in parts", figures.multipart && `✓ ${figures.multipart.broken_off ? "one broken off and repeated" : "joined"}`],
    ["Download in halves", figures.resume && "✓ same bytes"],
  ]);
}

function files(figures) {
  const { small_put: put, small_get: got } = figures;
  const rate = (one) => one.files_per_s.toFixed(one.files_per_s < 10 ? 1 : 0);
  const times = (one) => `half in ${one.p50_ms.toFixed(0)} ms, 95 % in ${one.p95_ms.toFixed(0)} ms`;
  return card("files", "Small files (64 KiB)", rate(got ?? put), got ? "downloads a second" : "uploads a second", [
    ["Downloads", got && times(got)],
    ["Uploads", put && `${rate(put)} a second, ${times(put)}`],
    ["120 thumbnails", got && `${(120 / got.files_per_s).toFixed(1)} s`],
  ]);
}

/** The cards into the <dl>. */
export function showFigures(list, figures) {
  list.replaceChildren();
  if (figures.download) list.append(direction("download", "Download", figures));
  if (figures.upload) list.append(direction("upload", "Upload", figures));
  if (Number.isFinite(figures.idle_median_ms)) list.append(latency(figures));
  if (figures.small_get || figures.small_put) list.append(files(figures));
  list.hidden = !list.children.length;
}

/** Hints and notes into the <ul>; what was not measured comes first. */
export function showNotes(list, { figures, troubles, notes }) {
  const lines = [
    ...notes.map((text) => ["note", text]),
    ...troubles.map(({ phase, message }) => ["trouble", `${PHASES[phase]} was not measured: ${message}`]),
    ...hints(figures).map((text) => ["hint", text]),
    ...notesOf(figures).map((text) => ["note", text]),
  ];
  if (figures.bytes_used) {
    lines.push(["note", `${sizeText(figures.bytes_up)} went up and ${sizeText(figures.bytes_down)} came down.`]);
  }
  list.replaceChildren(...lines.map(([kind, text]) => element("li", kind, text)));
}

/** The table behind the chart, and S3's request ids; closed. */
export function showTable(place, figures) {
  const details = element("details", "st-data");
  details.append(element("summary", "", "The chart as a table"));
  const frame = element("div", "st-scroll");
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "One-second means");
  frame.append(rateTable(figures));
  details.append(frame);
  const ids = figures.request_ids ?? [];
  if (ids.length) details.append(element("p", "st-quiet", `S3 request ids: ${ids.join(", ")}`));
  place.replaceChildren(details);
}
