// All phases of the measurement, in order. Runs in a Worker.

import * as maths from "./maths.js";
import { Bodies, NoAnswer, Stopped } from "./network.js";
import { PhaseFailed, sleep, SleepWatch } from "./phase.js";
import { measureDownload, measureUpload } from "./rates.js";
import {
  measureIdle, measureMultipart, measureResume, measureSmallGet, measureSmallPut,
} from "./trials.js";

const BROWSER_BOUND_MBPS = 2000;

function reasonOf(error) {
  if (error instanceof PhaseFailed) return error.message;
  if (error instanceof NoAnswer) return "S3 gave no answer that the page may read.";
  if (error instanceof Stopped) return "S3 did not answer in time.";
  return `${error}`;
}

/** How long an upload in parts takes at the measured rate; a part of it goes twice. */
function partsSeconds(sent, { upload }) {
  const sizes = sent.map((body) => body.size);
  const bytes = sizes.reduce((sum, size) => sum + size, 0) + Math.max(...sizes);
  return upload ? maths.fileSeconds(bytes, upload.mbps) : 0;
}

/** The phases that are possible, in order: [name, weight for the progress, pause before]. */
function phasesOf({ links, can }) {
  const phases = [];
  const download = can.download && links.seed;
  if (download) phases.push(["idle", 4, false]);
  if (can.upload) phases.push(["upload", 15, true], ["upload_single", 7, true]);
  if (download) phases.push(["download", 15, true], ["download_single", 7, true]);
  if (can.upload) phases.push(["small_put", 5, true]);
  if (download) phases.push(["small_get", 5, false]);
  if (can.upload && links.parts) phases.push(["multipart", 3, false]);
  if (can.upload && can.download && links.parts) phases.push(["resume", 2, false]);
  return phases;
}

/**
 * Measure all that is possible, in order. `emit` gets {phase, progress, ...}; `join(upload_id,
 * etags)` has the site complete an upload. `only`: names of phases, or nothing for all. Returns {figures, troubles: [{phase, message,
 * request_id}], notes: sentences}.
 * Throws Stopped.
 */
export async function measure({ links, plan, can, join, only, signal, emit }) {
  const figures = {};
  const troubles = [];
  const notes = [];
  const ids = [];
  const flags = new Set();
  const watch = new SleepWatch();
  const bodies = can.upload ? new Bodies() : null;
  const sent = can.upload && links.parts ? links.parts.parts.map(({ bytes }) => bodies.take(bytes)) : [];
  const phases = phasesOf({ links, can }).filter(([name]) => !only || only.includes(name));
  const whole = phases.reduce((sum, [, weight]) => sum + weight, 0);
  let before = 0;

  const run = {
    idle: (send) => measureIdle({ url: links.seed.url, plan, signal, emit: send }),
    upload: (send) => rate("upload", plan.upload, plan.streams, send),
    upload_single: (send) => rate("upload", plan.single, 1, send),
    download: (send) => rate("download", plan.download, plan.streams, send),
    download_single: (send) => rate("download", plan.single, 1, send),
    small_put: (send) => measureSmallPut({ links: links.small_put, plan, bodies, signal, emit: send }),
    small_get: (send) => measureSmallGet({ seed: links.seed, plan, signal, emit: send }),
    multipart: (send) => measureMultipart({ parts: links.parts, sent, join, plan, signal, emit: send }),
    resume: (send) => measureResume({ url: links.parts.read, sent, plan, signal, emit: send }),
  };
  const needs = { upload_single: "upload", small_put: "upload", download_single: "download", small_get: "download", resume: "multipart" };

  async function rate(direction, times, streams, send) {
    const idleMedian = figures.idle_median_ms;
    const common = { streams, plan, idleMedian, signal, emit: send };
    // One stream's latency would tell of the line what several have told already.
    const probe = streams > 1 && can.download && links.seed ? links.seed.url : "";
    if (direction === "upload") {
      return measureUpload({ ...common, links: links.uploads, times, bodies, probe });
    }
    const warm = Math.max(times.warm_ms, Math.min(10 * (idleMedian ?? 0), times.min_ms / 2));
    return measureDownload({ ...common, url: links.seed.url, times: { ...times, warm_ms: warm }, probe });
  }

  for (const [name, weight, pause] of phases) {
    const begin = before;
    before += weight;
    const send = (event) =>
      emit({ phase: name, ...event, progress: (begin + weight * (event.share ?? 0)) / whole });
    // What did not get through before has nothing to add now.
    if (needs[name] && !figures[needs[name]]) continue;
    const seconds = name === "multipart" ? partsSeconds(sent, figures) : 0;
    if (seconds * 1000 > plan.parts_ms) {
      emit({ phase: name, skipped: true });
      notes.push(`The upload in parts was left out: on this line it would take ${Math.round(seconds)} s.`);
      continue;
    }
    try {
      send({ share: 0, pause: pause ? plan.pause_ms : 0 });
      if (pause) await sleep(plan.pause_ms, signal);
      const { ids: seen = [], buffered = false, ...result } = await run[name](send);
      if (buffered) flags.add("buffered");
      if (result.mbps > BROWSER_BOUND_MBPS) flags.add("browser_bound");
      ids.push(...seen);
      if (name === "idle") Object.assign(figures, result);
      else figures[name] = result;
      emit({ phase: name, figures: result, over: true });
    } catch (error) {
      if (signal.aborted) {
        watch.end();
        throw new Stopped("stopped");
      }
      if (error.requestId) ids.push(error.requestId);
      troubles.push({ phase: name, message: reasonOf(error), request_id: error.requestId ?? "" });
    }
  }
  if (watch.end()) flags.add("slept");
  Object.assign(figures, maths.bytesMoved(figures, links.parts), { flags: [...flags], request_ids: ids });
  return { figures, troubles, notes };
}
