// Requests of the browser to S3: what went over the wire, without judgement.

/** No answer that a script may see: network, CORS, CSP; the browser does not say which. */
export class NoAnswer extends Error {}

/** The request was stopped, or took longer than its limit. */
export class Stopped extends Error {}

/** fetch() as the tests need it: never cached, never with cookies, with a time limit. */
export async function get(url, { headers = {}, signal, timeoutMs = 15000, mode = "cors" } = {}) {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    return await fetch(url, {
      mode,
      cache: "no-store",
      credentials: "omit",
      redirect: mode === "cors" ? "error" : "follow",
      referrerPolicy: "no-referrer",
      headers,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw new Stopped("stopped");
    if (limit.aborted) throw new Stopped("timeout");
    throw new NoAnswer(error.message);
  }
}

/** GET with its whole body and its duration. */
export async function getBytes(url, options = {}) {
  const start = performance.now();
  const response = await get(url, options);
  let bytes;
  try {
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (options.signal?.aborted) throw new Stopped("stopped");
    throw new NoAnswer(error.message);
  }
  return { status: response.status, headers: response.headers, bytes, ms: performance.now() - start };
}

/** PUT by XMLHttpRequest, the only one that tells how far an upload is. Resolves with any status. */
export function put(url, body, { signal, onProgress, timeoutMs = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const start = performance.now();
    const abort = () => request.abort();
    request.open("PUT", url);
    request.timeout = timeoutMs;
    // A listener on `upload` makes every PUT ask a preflight first, which uploads do anyway.
    request.upload.onprogress = (event) => onProgress?.(event.loaded);
    request.onload = () => {
      signal?.removeEventListener("abort", abort);
      const headers = readableHeaders(request);
      resolve({
        status: request.status,
        text: request.responseText,
        etag: headers.get("etag") ?? null,
        requestId: headers.get("x-amz-request-id") ?? "",
        start,
        end: performance.now(),
      });
    };
    const failed = (error) => () => {
      signal?.removeEventListener("abort", abort);
      reject(error);
    };
    request.onerror = failed(new NoAnswer("no answer"));
    request.ontimeout = failed(new Stopped("timeout"));
    request.onabort = failed(new Stopped("stopped"));
    if (signal?.aborted) {
      reject(new Stopped("stopped"));
      return;
    }
    signal?.addEventListener("abort", abort, { once: true });
    request.send(body);
  });
}

/** The headers that CORS lets the page read; asking for one by name would be an error if not. */
function readableHeaders(request) {
  const pairs = request.getAllResponseHeaders().trim().split(/\r?\n/).map((line) => {
    const at = line.indexOf(":");
    return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()];
  });
  return new Map(pairs);
}

/** <Code> and <Message> of S3's error document. */
export function s3Error(text) {
  const part = (name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text ?? "")?.[1] ?? "";
  return { code: part("Code"), message: part("Message"), requestId: part("RequestId") };
}

/** What an answer that is no success says, in one line. */
export function answerText(status, text) {
  const error = s3Error(text);
  return `${status} ${error.code}${error.message ? `: ${error.message}` : ""}`.trim();
}

/** Incompressible bytes: getRandomValues gives 64 KiB a call. */
export function randomBytes(size) {
  const bytes = new Uint8Array(size);
  for (let offset = 0; offset < size; offset += 65536) {
    crypto.getRandomValues(bytes.subarray(offset, Math.min(size, offset + 65536)));
  }
  return bytes;
}

/** Bodies of any size out of one random buffer, each beginning at another place. */
export class Bodies {
  #blob;
  #offset = 0;

  constructor(size = 8 << 20) {
    this.#blob = new Blob([randomBytes(size)]);
  }

  /** A Blob of `size` bytes; slices only refer to the buffer. */
  take(size) {
    const parts = [];
    let left = size;
    let from = this.#offset;
    while (left > 0) {
      const length = Math.min(left, this.#blob.size - from);
      parts.push(this.#blob.slice(from, from + length));
      left -= length;
      from = (from + length) % this.#blob.size;
    }
    this.#offset = (this.#offset + 1_000_003) % this.#blob.size;
    return new Blob(parts);
  }
}
