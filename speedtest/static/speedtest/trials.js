// The phases without a rate: latency, small files, an upload in parts, a download in halves.

import * as maths from "./maths.js";
import { answerText, get, getBytes, NoAnswer, put, Stopped } from "./network.js";
import { accepted, Errors, PhaseFailed } from "./phase.js";

/** Idle latency: sequential GETs of one byte. */
export async function measureIdle({ url, plan, signal, emit }) {
  const times = [];
  for (let i = 0; i < plan.idle_requests; i += 1) {
    const answer = await getBytes(url, { headers: { Range: "bytes=0-0" }, signal });
    if (answer.status !== 206) {
      const said = answerText(answer.status, new TextDecoder().decode(answer.bytes));
      throw new PhaseFailed(`S3 answered a request for one byte with ${said}.`);
    }
    times.push(answer.ms);
    emit({ latency: answer.ms, share: (i + 1) / plan.idle_requests });
  }
  return maths.idleFigures(times, plan.idle_dropped);
}

/**
 * Small files: `send(number)` moves one and resolves with {status, text, requestId, start, end}.
 * For `files.ms`, or until `most` were begun; what is under way may finish.
 */
async function measureFiles({ what, send, streams, files, finishMs, signal, emit }) {
  const cancel = new AbortController();
  const abort = AbortSignal.any([signal, cancel.signal]);
  const errors = new Errors(cancel);
  const done = [];
  const start = performance.now();
  const closing = start + files.ms;
  let next = 0;
  let stopAt = null;

  async function stream() {
    while (!abort.aborted && performance.now() < closing && next < files.most) {
      const number = next;
      next += 1;
      try {
        const answer = await send(number, abort);
        if (accepted(answer.status)) done.push(answer);
        else errors.refused(what, answer.status, answer.text, answer.requestId);
      } catch (error) {
        if (abort.aborted) return;
        if (!(error instanceof NoAnswer || error instanceof Stopped)) throw error;
        errors.add(`S3 gave no answer to ${what}.`);
      }
      const now = performance.now();
      const rate = done.length / ((now - start) / 1000);
      emit({ files: rate, share: Math.min(1, (now - start) / files.ms) });
    }
    // The streams are no longer all at work from here on.
    stopAt ??= performance.now();
  }

  const limit = setTimeout(() => cancel.abort(), files.ms + finishMs);
  await Promise.all(Array.from({ length: streams }, stream));
  clearTimeout(limit);
  if (signal.aborted) throw new Stopped("stopped");
  if (errors.failure) throw errors.failure;
  if (!done.length) throw new PhaseFailed(`S3 gave no answer to ${what} in time.`);
  const times = done.map((one) => one.end - one.start);
  return {
    files_per_s: maths.filesPerSecond(done, start, stopAt),
    p50_ms: maths.percentile(times, 0.5),
    p95_ms: maths.percentile(times, 0.95),
    files: done.length,
    bytes: files.bytes,
    streams,
    errors: errors.count,
  };
}

export function measureSmallPut({ links, plan, bodies, signal, emit }) {
  const files = { ...plan.files, most: Math.min(plan.files.most, links.length) };
  return measureFiles({
    what: "a small upload",
    send: (number, abort) => put(links[number], bodies.take(files.bytes), { signal: abort }),
    streams: files.put_streams,
    files,
    finishMs: plan.finish_ms,
    signal,
    emit,
  });
}

export function measureSmallGet({ seed, plan, signal, emit }) {
  const { files } = plan;
  const places = Math.max(1, Math.floor(seed.bytes / files.bytes));
  return measureFiles({
    what: "a small download",
    send: async (number, abort) => {
      const first = (number % places) * files.bytes;
      const last = Math.min(seed.bytes, first + files.bytes) - 1;
      const start = performance.now();
      const answer = await getBytes(seed.url, {
        headers: { Range: `bytes=${first}-${last}` }, signal: abort,
      });
      const text = accepted(answer.status) ? "" : new TextDecoder().decode(answer.bytes);
      return { status: answer.status, text, requestId: "", start, end: start + answer.ms };
    },
    streams: files.get_streams,
    files,
    finishMs: plan.finish_ms,
    signal,
    emit,
  });
}

/** Break a PUT off once some of it is under way. Resolves with whether that came in time. */
async function breakOff(url, body, signal) {
  const breaking = new AbortController();
  try {
    await put(url, body, {
      signal: AbortSignal.any([signal, breaking.signal]),
      onProgress: () => breaking.abort(),
    });
    return false;
  } catch (error) {
    if (signal.aborted || !(error instanceof Stopped)) throw error;
    return true;
  }
}

/** Ends with PhaseFailed when `work(signal)` takes longer than `ms`. */
async function within(ms, signal, work) {
  const limit = AbortSignal.timeout(ms);
  try {
    return await work(AbortSignal.any([signal, limit]));
  } catch (error) {
    if (limit.aborted && !signal.aborted) throw new PhaseFailed(`It took longer than ${ms / 1000} s.`);
    throw error;
  }
}

/** An upload in parts: read each ETag, break part 2 off and repeat it, have the site join them. */
export function measureMultipart({ parts, sent, join, plan, signal, emit }) {
  return within(3 * plan.parts_ms, signal, (limited) =>
    uploadParts({ parts, sent, join, signal: limited, emit }));
}

async function uploadParts({ parts, sent, join, signal, emit }) {
  const start = performance.now();
  const etags = [];
  let brokenOff = false;
  for (const [index, { url }] of parts.parts.entries()) {
    if (index === 1) brokenOff = await breakOff(url, sent[index], signal);
    const answer = await put(url, sent[index], { signal });
    if (!accepted(answer.status)) {
      const said = answerText(answer.status, answer.text);
      throw new PhaseFailed(`S3 refused part ${index + 1}: ${said}.`, answer.requestId);
    }
    if (!answer.etag) throw new PhaseFailed("The page may not read a part's ETag (ExposeHeaders of the CORS rules).");
    etags.push(answer.etag);
    emit({ share: (index + 1) / (parts.parts.length + 1) });
  }
  const finding = await join(parts.upload_id, etags);
  if (signal.aborted) throw new Stopped("stopped");
  if (finding.status !== "pass") throw new PhaseFailed(finding.message, finding.request_id);
  return { ok: true, ms: performance.now() - start, broken_off: brokenOff };
}

/** Read the object back in two halves, each compared with what was sent. */
export function measureResume({ url, sent, plan, signal, emit }) {
  return within(3 * plan.parts_ms, signal, (limited) => readHalves({ url, sent, signal: limited, emit }));
}

async function readHalves({ url, sent, signal, emit }) {
  const whole = new Blob(sent);
  const half = Math.floor(whole.size / 2);
  const start = performance.now();
  for (const [first, end] of [[0, half], [half, whole.size]]) {
    const headers = { Range: `bytes=${first}-${end - 1}` };
    const response = await get(url, { headers, signal, timeoutMs: 120000 });
    if (response.status !== 206) {
      const said = answerText(response.status, await response.text());
      throw new PhaseFailed(`A half was asked for by Range; S3 answered ${said}.`);
    }
    let at = first;
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      // Chunk by chunk: the whole object is never held.
      const wanted = new Uint8Array(await whole.slice(at, at + value.length).arrayBuffer());
      if (wanted.length !== value.length || !value.every((byte, i) => byte === wanted[i])) {
        await reader.cancel();
        throw new PhaseFailed("What came back is not what was sent: something on the way changes bytes.");
      }
      at += value.length;
      emit({ share: at / whole.size });
    }
    if (at !== end) throw new PhaseFailed(`A half ended after ${at - first} of ${end - first} bytes.`);
  }
  return { ok: true, ms: performance.now() - start };
}
