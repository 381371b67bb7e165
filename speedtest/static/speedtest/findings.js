// What the measurement found, as words: no page, no network.

export const PHASES = {
  idle: "Latency",
  upload: "Upload, several at once",
  upload_single: "Upload, one at a time",
  download: "Download, several at once",
  download_single: "Download, one at a time",
  small_put: "Small files up",
  small_get: "Small files down",
  multipart: "Upload in parts",
  resume: "Download in halves",
};

function finding(status, message, more = {}) {
  return {
    check: "measure", title: "Measurement", status, call: "", code: "", request_id: "", message,
    fix: "", documents: [], ...more,
  };
}

/** The finding when there was nothing to measure. */
export function notMeasured(message) {
  return finding("skip", message);
}

/** The measurement as one finding of the browser's column: refused is a failure, not a speed. */
export function measureFinding({ figures, troubles }) {
  if (troubles.length) {
    const said = troubles.map(({ phase, message }) => `${PHASES[phase]}: ${message}`).join(" ");
    return finding("fail", said, {
      request_id: troubles.find((trouble) => trouble.request_id)?.request_id ?? "",
      fix: figures.flags?.includes("slept")
        ? "The computer was asleep during the test, and the test's links live for 15 minutes only. Start again, and keep it awake."
        : "Small requests passed before, so something ends the larger or later ones: a proxy's limit of size, an expired link, or S3 asking to slow down.",
    });
  }
  const measured = Object.keys(PHASES).filter((phase) =>
    (phase === "idle" ? Number.isFinite(figures.idle_median_ms) : figures[phase]));
  return finding("pass", `${measured.length} phases were measured.`);
}

/** "steady", or how much it varied; without a word when there was too little to say. */
export function steadiness({ steady, plus_minus: plusMinus, short }) {
  if (steady) return "steady";
  if (Number.isFinite(plusMinus)) return `varied ±${Math.max(1, Math.round(plusMinus * 100))}\u00a0%`;
  return short ? "very short" : "too short to tell how steady";
}

/** What the figures suggest to do; sentences. */
export function hints(figures) {
  const said = [];
  const latency = figures.idle_median_ms ?? 0;
  for (const name of ["download", "upload"]) {
    const [many, one] = [figures[name], figures[`${name}_single`]];
    if (many && one && latency >= 40 && one.mbps < 0.6 * many.mbps) {
      said.push(`One ${name} at a time gets ${Math.round((100 * one.mbps) / many.mbps)} % of several at once, at ${latency.toFixed(0)} ms: distance and TCP window, not bandwidth. A nearer region, a replica or parallel transfers help.`);
    }
  }
  if (figures.upload?.loaded_more_ms >= 100) {
    said.push(`While uploading, everything else waits ${figures.upload.loaded_more_ms.toFixed(0)} ms longer: uploads will stutter playback. Cap the uploader below the line's rate.`);
  }
  if (figures.download?.loaded_more_ms >= 200) {
    said.push(`While downloading, everything else waits ${figures.download.loaded_more_ms.toFixed(0)} ms longer: the line's queue is long. A router with queue management (SQM) helps.`);
  }
  return said;
}

function count(number, one, several = `${one}s`) {
  return `${number} ${number === 1 ? one : several}`;
}

/** What has to be known to read the figures right; sentences. */
export function notesOf(figures) {
  const said = [];
  for (const name of ["upload", "download"]) {
    const one = figures[name];
    if (!one) continue;
    if (one.short) said.push(`${PHASES[name]}: the counted time is under one second; take the figure as “at least”.`);
    else if (one.capped) said.push(`${PHASES[name]}: ended at the limit of bytes after ${(one.warm_seconds + one.seconds).toFixed(1)} s.`);
    if (one.errors) said.push(`${PHASES[name]}: ${count(one.errors, "request")} failed and went again.`);
    if (one.unfinished) said.push(`${PHASES[name]}: what was still under way at the end was not acknowledged in time (${count(one.unfinished, "body", "bodies")}) and does not count.`);
    if (one.loaded_lost) said.push(`${PHASES[name]}: ${count(one.loaded_lost, "small request")} beside it got no answer in 4 s.`);
  }
  const flags = figures.flags ?? [];
  if (flags.includes("hidden")) said.push("The tab was hidden for a while: browsers slow hidden tabs down, so the figures may be low.");
  if (flags.includes("offline")) said.push("The browser lost its network for a while (or a VPN was switched): the figures are a mixture.");
  if (flags.includes("slept")) said.push("The computer was asleep for a while, or the browser had put the tab to sleep: the figures are a mixture. Start again.");
  if (flags.includes("buffered")) said.push("Uploads stood at 100 % well before S3 had them: an antivirus, an inspecting proxy or a VPN takes them in first. Progress bars of uploads run ahead here; the figures do not.");
  if (flags.includes("browser_bound")) said.push("Above 2 Gbit/s the browser is the bound; use the command: manage.py speedtest.");
  return said;
}
