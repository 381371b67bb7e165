/* The two things an upload says: JSON to the site, bytes to S3. */

import { errorCode } from "./upload-plan.js";

/** The site refused: its sentence, the HTTP status (0 without an answer) and its word for it. */
export class SiteError extends Error {
  constructor(message, status, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function csrfToken() {
  return /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? "";
}

/** Send JSON to the site and return its JSON; throws SiteError. */
export async function callSite(method, url, body, signal) {
  let response;
  try {
    response = await fetch(url, {
      method,
      signal,
      credentials: "same-origin",
      headers: {
        Accept: "application/json",
        "Content-Type": "application/json",
        "X-CSRFToken": csrfToken(),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new SiteError("The site cannot be reached.", 0);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) {
    return answer;
  }
  const words = OF_THE_SESSION[answer?.error] ?? answer?.message ?? unexplained(response.status);
  throw new SiteError(words, response.status, answer?.error);
}

// What the site says to scripts is of no use here, and reloading the page would end its uploads.
const OF_THE_SESSION = {
  "not-logged-in": "You are logged out. Log in in another tab, then try again here.",
  "no-csrf-token": "You have logged in or out in another tab. Try again here.",
};

function unexplained(status) {
  return `The site answered ${status} without saying why.`;
}

// The page may reach the buckets that were configured when it was opened, and no other.
const barred = new Set();
globalThis.document?.addEventListener("securitypolicyviolation", (event) => {
  if (event.effectiveDirective === "connect-src") {
    barred.add(new URL(event.blockedURI).host);
  }
});

/** Milliseconds without any progress after which a connection counts as broken. */
export const STALL = 60_000;

/**
 * PUT a blob to a signed address. Resolves to {status, etag, code, host, isBarred}; status 0 means
 * that there was no answer that this page may read, `isBarred` that it may not ask this host.
 * Rejects with AbortError only.
 */
export function putPart(url, blob, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const aborted = () => new DOMException("cancelled", "AbortError");
    if (signal.aborted) {
      reject(aborted());
      return;
    }
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    const finish = () => {
      signal.removeEventListener("abort", stop);
      const { host } = new URL(url);
      resolve({
        status: request.status,
        etag: request.status ? request.getResponseHeader("ETag") : null,
        code: errorCode(request.responseText),
        host,
        isBarred: barred.has(host),
      });
    };
    request.open("PUT", url);
    const started = performance.now();
    // A half-open connection says nothing by itself; the limit counts from the start of the request.
    const giveTime = () => {
      request.timeout = performance.now() - started + STALL;
    };
    giveTime();
    request.upload.addEventListener("progress", (event) => {
      giveTime();
      onProgress(event.loaded);
    });
    request.addEventListener("load", finish);
    request.addEventListener("error", finish);
    request.addEventListener("timeout", finish);
    request.addEventListener("abort", () => reject(aborted()));
    signal.addEventListener("abort", stop, { once: true });
    // A blob without a type sends no Content-Type: S3 keeps the one given at the beginning.
    request.send(blob);
  });
}

/** Say whether the bytes of a blob can still be had: a file may change while it is sent. */
export async function isReadable(blob) {
  try {
    await blob.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds that one wait for the network lasts; its own word for being there is not certain. */
export const OFFLINE = 60_000;

function untilOnline() {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, OFFLINE);
    const back = () => {
      clearTimeout(timer);
      resolve();
    };
    window.addEventListener("online", back, { once: true });
  });
}

/**
 * Wait `milliseconds`, and up to OFFLINE for the network where the machine has none: a laptop that
 * sleeps or changes its Wi-Fi goes on by itself. Less when `signal` says that nobody waits any more.
 */
export function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => (navigator.onLine ? resolve() : untilOnline().then(resolve)),
      milliseconds,
    );
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(new DOMException("cancelled", "AbortError"));
      },
      { once: true },
    );
  });
}
