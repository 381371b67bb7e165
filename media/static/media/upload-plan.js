/* What an upload does next. Pure: no network, no page, no clock. */

import { size } from "./format.js";

export const PARTS_AT_ONCE = 4;
export const FILES_AT_ONCE = 3;
export const MOST_TRIES = 5;

/**
 * Tries where part of the file has arrived already: the bucket and its CORS rules are in order, so
 * what fails passes, such as a site that restarts or a VPN that reconnects. A minute of waiting.
 */
export const TRIES_UNDER_WAY = 10;

/** The byte ranges of a file of `size` bytes cut as the site has planned it. */
export function cut(size, partSize) {
  const parts = [];
  for (let start = 0; start < size; start += partSize) {
    parts.push({ number: parts.length + 1, start, end: Math.min(start + partSize, size) });
  }
  return parts;
}

/** What a finished PUT of a part means: "done", "sign" (a new link), "retry" or "stop". */
export function verdict(status, etag) {
  if (status >= 200 && status < 300) {
    return etag ? "done" : "stop";
  }
  if (status === 403) {
    return "sign";
  }
  // 0: no answer. 400 RequestTimeout, 408, 429 and 5xx are S3's ways to ask for another try.
  return status === 0 || status === 400 || status === 408 || status === 429 || status >= 500
    ? "retry"
    : "stop";
}

/** Milliseconds to wait before try number `tries` + 1; `random` is in 0..1. */
export function backOff(tries, random) {
  const longest = Math.min(500 * 2 ** (tries - 1), 15000);
  return Math.round(longest * (0.5 + random / 2));
}

/** S3's code for an upload that is over: no part of it will ever be taken again. */
export const GONE = "NoSuchUpload";

/** The sentence for a part that S3 has refused or that never arrived. */
export function partProblem({ status, etag, code, host, isBarred }) {
  if (isBarred) {
    return (
      "Site Preferences have changed since this page was opened, and it may not send to " +
      `${host}. Reload the page, then upload the file again.`
    );
  }
  if (status === 0) {
    return (
      `This browser got no answer from ${host}. Either the connection is down, or the bucket's ` +
      "CORS rules do not allow this site."
    );
  }
  if (status >= 200 && status < 300 && !etag) {
    return (
      "S3 took the part, but this browser may not read its ETag: the bucket's CORS rules must " +
      "expose ETag."
    );
  }
  const reason = code ? ` (${code})` : "";
  if (status === 403) {
    return `S3 refused the part${reason}: the site's role may not write there, or a clock is wrong.`;
  }
  if (code === GONE) {
    return "S3 no longer knows this upload: it was cleaned up. Try again to begin anew.";
  }
  if (status >= 500 || status === 429) {
    return `S3 is not well at the moment: it answered ${status}${reason} several times.`;
  }
  return `S3 answered ${status}${reason} to a part.`;
}

/** The error code in one of S3's XML answers, "" when there is none. */
export function errorCode(xml) {
  return /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(xml || "")?.[1] ?? "";
}

/** Bytes a second over the last seconds, from [{at (ms), bytes}] in order; 0 when unknown. */
export function speed(samples) {
  if (samples.length < 2) {
    return 0;
  }
  const first = samples[0];
  const last = samples[samples.length - 1];
  return last.at > first.at ? ((last.bytes - first.bytes) * 1000) / (last.at - first.at) : 0;
}

/** Whether a file in this state of the page may still be uploaded. */
export const isOpen = (state) => ["waiting", "running", "failed"].includes(state);

/** All files of the page in one sentence, from [{state, sent, size}]; bytes of cancelled ones are left out. */
export function together(files) {
  const wanted = files.filter(({ state }) => state !== "cancelled");
  const count = (...states) => wanted.filter(({ state }) => states.includes(state)).length;
  const sum = (name) => wanted.reduce((total, file) => total + file[name], 0);
  const words = [`${count("done")} of ${wanted.length} files uploaded`];
  if (wanted.some(({ state }) => isOpen(state))) {
    words.push(`${size(sum("sent"))} of ${size(sum("size"))}`);
  }
  if (count("failed", "refused")) {
    words.push(`${count("failed", "refused")} not uploaded`);
  }
  if (files.length > wanted.length) {
    words.push(`${files.length - wanted.length} cancelled`);
  }
  return words.join(" · ");
}
