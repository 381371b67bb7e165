// The chart of the measurement: rates over time, one area a phase, and the table behind it.

import { PHASES } from "./findings.js";
import { rateText } from "./maths.js";
import { element } from "./view.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const PAD = { top: 12, right: 8, bottom: 26, left: 44 };
const GAP = 10;

const STEPS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];

/** The top of the scale for values up to `most`: a round number whose half is round, too. */
export function niceTop(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return STEPS.find((step) => step * power >= most) * power;
}

/** Where each phase's slot begins and ends, in pixels: as wide as it is long. */
export function slots(phases, width) {
  const room = width - PAD.left - PAD.right - GAP * Math.max(0, phases.length - 1);
  const whole = phases.reduce((sum, phase) => sum + phase.ms, 0) || 1;
  let at = PAD.left;
  return phases.map((phase) => {
    const from = at;
    at += (room * phase.ms) / whole + GAP;
    return { from, to: at - GAP };
  });
}

/** The line through points [[ms, rate], ...] in a slot, and the area below; "" for fewer than two. */
export function paths(points, slot, ms, top) {
  if (points.length < 2) return { line: "", area: "" };
  const x = (time) => (slot.from + ((slot.to - slot.from) * Math.min(time, ms)) / ms).toFixed(1);
  const base = HEIGHT - PAD.bottom;
  const y = (rate) => (base - ((base - PAD.top) * Math.min(rate, top)) / top).toFixed(1);
  const along = points.map(([time, rate]) => `${x(time)} ${y(rate)}`).join("L");
  return { line: `M${along}`, area: `M${x(points[0][0])} ${base}L${along}L${x(points.at(-1)[0])} ${base}Z` };
}

/** One-second means as points: each stands in the middle of its second. */
export function meansAsPoints(rates) {
  if (!rates.length) return [];
  const middle = rates.map((rate, index) => [index * 1000 + 500, rate]);
  return [[0, rates[0]], ...middle, [rates.length * 1000, rates.at(-1)]];
}

function shape(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/**
 * A chart in the <svg> element. `plan` says how long phases may take, so that the scale of time
 * stands still while they run.
 */
export class RateChart {
  #phases = []; // {name, ms, points, headline, warmMs}

  constructor(svg) {
    this.svg = svg;
    addEventListener("resize", () => this.draw());
  }

  clear() {
    this.#phases = [];
    this.draw();
  }

  /** The gauge's value, `elapsed` ms after the phase's begin; a phase may take up to `most` ms. */
  add(name, elapsed, rate, most) {
    this.#phase(name, most).points.push([elapsed, rate]);
    this.draw();
  }

  /** A phase is over: its measured one-second means take the place of the gauge's values. */
  settle(name, figures) {
    const phase = this.#phase(name, 0);
    phase.points = meansAsPoints(figures.rates ?? []);
    phase.ms = Math.max(1000, (figures.warm_seconds + figures.seconds) * 1000);
    phase.warmMs = figures.warm_seconds * 1000;
    phase.headline = figures.mbps;
    this.draw();
  }

  get empty() {
    return this.#phases.every((phase) => phase.points.length < 2);
  }

  #phase(name, most) {
    let phase = this.#phases.find((one) => one.name === name);
    if (!phase) this.#phases.push(phase = { name, ms: most, points: [], headline: null, warmMs: 0 });
    return phase;
  }

  draw() {
    const width = this.svg.clientWidth || 640;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const top = niceTop(Math.max(0, ...this.#phases.flatMap(({ points }) => points.map(([, rate]) => rate))));
    const base = HEIGHT - PAD.bottom;
    const y = (rate) => base - ((base - PAD.top) * rate) / top;
    const shapes = [];
    for (const share of [0, 0.5, 1]) {
      const line = { x1: PAD.left, x2: width - PAD.right, y1: y(share * top), y2: y(share * top), class: "st-grid" };
      shapes.push(shape("line", line));
      shapes.push(shape("text", { x: PAD.left - 6, y: y(share * top) + 4, class: "st-axis", "text-anchor": "end" }, `${+(share * top).toPrecision(3)}`));
    }
    const places = slots(this.#phases, width);
    this.#phases.forEach((phase, index) => {
      const slot = places[index];
      const x = (time) => slot.from + ((slot.to - slot.from) * time) / phase.ms;
      const { line, area } = paths(phase.points, slot, phase.ms, top);
      shapes.push(shape("path", { d: area, class: `st-area ${phase.name}` }));
      shapes.push(shape("path", { d: line, class: `st-line ${phase.name}` }));
      if (phase.headline !== null) {
        if (phase.warmMs) {
          shapes.push(shape("rect", { x: slot.from, y: PAD.top, width: x(phase.warmMs) - slot.from, height: base - PAD.top, class: "st-warm" }));
        }
        const level = { x1: x(phase.warmMs), x2: slot.to, y1: y(phase.headline), y2: y(phase.headline), class: `st-level ${phase.name}` };
        shapes.push(shape("line", level));
      }
      const [direction, how] = phase.name.split("_");
      const label = slot.to - slot.from > 84 ? `${direction === "upload" ? "↑ up" : "↓ down"}${how ? ", 1 stream" : ""}`
        : `${direction === "upload" ? "↑" : "↓"}${how ? " 1" : ""}`;
      shapes.push(shape("text", { x: (slot.from + slot.to) / 2, y: HEIGHT - 8, class: "st-axis", "text-anchor": "middle" }, label));
    });
    this.svg.replaceChildren(...shapes);
  }
}

/** The numbers behind the chart: a row a second, warm-up marked. */
export function rateTable(figures) {
  const table = element("table", "st-table");
  const head = element("thead");
  const titles = element("tr");
  for (const text of ["Phase", "Second", "Mbit/s", "Counted"]) {
    const cell = element("th", "", text);
    cell.scope = "col";
    titles.append(cell);
  }
  head.append(titles);
  const body = element("tbody");
  for (const name of ["upload", "upload_single", "download", "download_single"]) {
    const { rates = [], warm_seconds: warm = 0 } = figures[name] ?? {};
    rates.forEach((rate, index) => {
      const row = element("tr");
      for (const text of [PHASES[name], `${index + 1}`, rateText(rate), index + 1 > warm ? "yes" : "warm-up"]) {
        row.append(element("td", "", text));
      }
      body.append(row);
    });
  }
  table.append(head, body);
  return table;
}
