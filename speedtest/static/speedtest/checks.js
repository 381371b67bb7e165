// The browser's own checks of a configuration. No page, no clock of its own: yields findings like
// the server's ({check, title, status, ms, call, code, request_id, message, fix, documents}).

import { get, getBytes, put, randomBytes, s3Error, Stopped } from "./network.js";

export const CHECKS = [
  ["context", "This page"],
  ["reach", "Way to the bucket"],
  ["get", "Download 1 KiB"],
  ["put", "Upload 1 KiB"],
  ["readback", "Same bytes back"],
  ["range", "Download a part (Range)"],
  ["multipart", "Multipart upload"],
];
const TITLES = Object.fromEntries(CHECKS);

export async function sha256(bytes) {
  // Pages without https have no crypto.subtle; then the bytes are compared themselves.
  if (!globalThis.crypto?.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function same(a, b) {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** State of the browser's protection of the local network: "granted", "prompt", "denied", "". */
export async function localNetworkState() {
  for (const name of ["local-network-access", "local-network"]) {
    try {
      return (await navigator.permissions.query({ name })).state;
    } catch {
      // This browser does not know the name.
    }
  }
  return "";
}

/** A link without what would let a reader use it. */
export function redacted(url) {
  return url.replace(/([?&]X-Amz-(?:Signature|Credential|Security-Token)=)[^&#]*/gi, "$1REDACTED");
}

/** A request of this browser, fit to be shown; `answer` {status, requestId} or nothing. */
export function sent(method, url, headers = {}, answer = {}) {
  const origin = globalThis.location?.origin;
  return {
    by: "browser",
    time: new Date().toISOString(),
    method,
    url: redacted(url),
    headers: origin ? { Origin: origin, ...headers } : headers,
    status: answer.status ?? 0,
    request_id: answer.requestId ?? "",
  };
}

const VPN = "Connect the VPN or Direct Connect, and let the firewall and the endpoint's security group accept port 443 from here.";

/**
 * Why a request without CORS got no answer. Browsers do not say; it is told from how long it took
 * ([M] in the reference), the state of the local network's protection, and how this site's server
 * sees the same host: {proxy, addresses, private, dns_error, tcp_error, tls_error, issuer}, or null.
 */
export function reachProblem(host, ms, timedOut, localNetwork, view = null) {
  const known = view && !view.proxy;
  const resolves = known && !view.dns_error;
  const where = resolves ? ` (${view.addresses.join(", ")}${view.private ? ", a private address" : ""})` : "";
  if (localNetwork === "denied" && (!resolves || view.private)) {
    return {
      message: `Your browser is not allowed to call ${host}${where}: access to the local network is denied for this site.`,
      fix: "Allow “local network access” for this site in the browser's site settings; on managed computers set the policy LocalNetworkAccessAllowedForUrls.",
    };
  }
  if (timedOut) {
    const server = resolves && !view.tcp_error ? " This server reaches it, so the way from your network is closed." : "";
    return {
      message: `${host}${where} does not answer your browser: packets seem to be dropped on the way.${server}`,
      fix: VPN,
    };
  }
  if (known && view.dns_error) {
    return {
      message: `Neither your browser nor this server can look up ${host} (${view.dns_error}).`,
      fix: "Correct the endpoint's or the bucket's name in S3 Configuration; for a VPC endpoint forward the name to the VPC's resolver (Route 53 inbound endpoint).",
    };
  }
  if (known && view.tls_error) {
    const by = view.issuer ? ` Its issuer is “${view.issuer}”.` : "";
    return {
      message: `Your browser does not trust the certificate of ${host}, and neither does this server (${view.tls_error}).${by}`,
      fix: "Install a certificate from a known authority for that name, or exempt the host from TLS inspection.",
    };
  }
  if (known && /refused/.test(view.tcp_error)) {
    return {
      message: `${host}${where} refuses connections: nothing listens there, or a firewall rejects them.`,
      fix: "Check that the store runs, its port, and the firewall.",
    };
  }
  if (localNetwork === "prompt" && resolves && view.private) {
    return {
      message: `Your browser may not have been allowed yet to call ${host}${where}: it asks before a page calls a private address.`,
      fix: "Answer the browser's question with “Allow” and start again; on managed computers set the policy LocalNetworkAccessAllowedForUrls.",
    };
  }
  if (ms < 30) {
    return {
      message: resolves
        ? `Your browser cannot look up ${host}, or is refused at once; this server finds it${where}.`
        : `Your browser cannot look up ${host}, or the connection was refused at once.`,
      fix: "Check your resolver: for a VPC endpoint forward the name to the VPC's resolver (Route 53 inbound endpoint) in your network too. Check that the store runs.",
    };
  }
  return {
    message: `Your browser cannot connect to ${host}${where}, or does not trust its certificate${known && view.issuer ? `; this server does (issuer “${view.issuer}”)` : ""}.`,
    fix: "Open the address in a tab to see the certificate's error; exempt the host from TLS inspection, and check firewall and proxy.",
  };
}

/**
 * Run the checks. `links` as the site signed them; `replay(what, said)` and `complete(etag)` ask the
 * site; `violations` is the live list of the page's CSP violations.
 *
 * replay("reach") gives the server's view of the host; replay("get" | "range" | "put" | "etag", said)
 * a finding that explains the failure, with `said` = {status, code, message, request_id} where S3's
 * refusal was readable. `fromWorker()` asks the Worker that will measure whether it reaches the host,
 * {reached, blocked by a policy}; null when nothing will be measured.
 */
export async function* browserChecks({
  links, replay, complete, violations, signal, fromWorker = null,
}) {
  const blocked = new Set();
  const host = new URL(links.host).host;

  async function run(check, needs, work) {
    const missing = needs.find((need) => blocked.has(need));
    let finding;
    if (missing) {
      finding = { status: "skip", message: `Not run, because “${TITLES[missing]}” did not pass.` };
    } else {
      const start = performance.now();
      finding = await work();
      if (finding.status !== "skip") finding.ms = Math.round(finding.ms ?? performance.now() - start);
    }
    if (finding.status === "fail" || (finding.status === "skip" && finding.blocks !== false)) {
      blocked.add(check);
    }
    return {
      check, title: TITLES[check], call: "", code: "", request_id: "", fix: "", documents: [], requests: [],
      ...finding,
    };
  }

  /** Whether the page's own policy stopped it. The event comes a moment after the failure. */
  async function stoppedByPolicy() {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    return violations.some((blockedUri) => blockedUri.startsWith(links.host));
  }

  /**
   * A failed request, explained by what the server gets for the same one. `request` is that of the
   * browser ({method, url, headers}), `said` S3's refusal, if it was readable.
   */
  async function explained(what, lead, request, said = null) {
    if (signal.aborted) throw new Stopped("stopped");
    const own = sent(request.method, request.url, request.headers, {
      status: said?.status, requestId: said?.request_id,
    });
    if (!said && await stoppedByPolicy()) return cspFinding();
    let reason;
    try {
      reason = await replay(what, said);
    } catch (problem) {
      if (signal.aborted) throw new Stopped("stopped");
      const told = said ? `S3 said ${[said.status, said.code].join(" ")}: ${said.message}. ` : "";
      reason = { message: `${told}This server could not repeat the request: ${problem.message}` };
    }
    return {
      status: "fail",
      call: request.method,
      code: said?.code || reason.code || "",
      request_id: said?.request_id || reason.request_id || "",
      message: `${lead} ${reason.message}`,
      fix: reason.fix ?? "",
      documents: reason.documents ?? [],
      requests: [own, ...(reason.requests ?? [])],
    };
  }

  /** A readable refusal: its status and error document. */
  function refused(what, lead, request, status, text) {
    const error = s3Error(text);
    return explained(what, lead, request, {
      status, code: error.code || `${status}`, message: error.message, request_id: error.requestId,
    });
  }

  function cspFinding() {
    return {
      status: "fail",
      message: `This site's own Content-Security-Policy blocks S3: connect-src lacks ${links.host}.`,
      fix: "Reload the page: it allows the hosts of all configurations when it is opened. If it stays, a proxy in front of the site replaces the header.",
      documents: [["Content-Security-Policy", `connect-src 'self' ${links.host}`]],
    };
  }

  yield run("context", [], async () => {
    const state = await localNetworkState();
    if (globalThis.document?.visibilityState === "hidden") {
      return {
        status: "warn",
        message: "The tab is hidden: browsers slow hidden tabs down.",
        fix: "Keep the tab in front while the test runs.",
      };
    }
    if (!isSecureContext) {
      return {
        status: "warn",
        message: "The page is not a secure context, so the browser gives it no SHA-256 and may block private addresses.",
        fix: "Serve the site over https.",
      };
    }
    const known = { granted: ", local network access granted", denied: ", local network access denied" }[state] ?? "";
    return { status: "pass", message: `Secure context${known}.` };
  });

  yield run("reach", [], async () => {
    const start = performance.now();
    try {
      await get(`${links.host}/`, { mode: "no-cors", signal, timeoutMs: 10000 });
    } catch (error) {
      if (signal.aborted) throw error;
      const ms = performance.now() - start;
      if (await stoppedByPolicy()) return cspFinding();
      const timedOut = error instanceof Stopped;
      // Without the server's view the time alone has to do.
      const view = await replay("reach").catch(() => null);
      const found = reachProblem(host, ms, timedOut, await localNetworkState(), view);
      return {
        status: "fail", ms, call: "GET (no-cors)", requests: [sent("GET", `${links.host}/`)], ...found,
      };
    }
    const message = `${host} answers: name, connection and certificate are fine.`;
    const worker = fromWorker ? await fromWorker() : null;
    if (worker && !worker.reached) {
      const policy = worker.blocked ? ": the answer of worker.js carries a Content-Security-Policy of its own" : "";
      return {
        status: "warn",
        call: "GET (no-cors)",
        message: `${message} But the Worker that measures does not get there${policy}.`,
        fix: "A proxy in front of the site adds the header to its scripts: let it leave /static/ alone, or allow the host there too.",
        documents: [["Content-Security-Policy", `connect-src 'self' ${links.host}`]],
      };
    }
    return { status: "pass", call: "GET (no-cors)", message };
  });

  yield run("get", ["reach"], async () => {
    const lead = "Your browser may not read from this bucket.";
    if (!links.get) {
      return { status: "skip", blocks: false, message: "Not run: there is no object to read." };
    }
    const headers = links.get.range ? { Range: links.get.range } : {};
    let answer;
    try {
      answer = await getBytes(links.get.url, { headers, signal });
    } catch {
      return explained("get", lead, { method: "GET", url: links.get.url, headers });
    }
    if (answer.status >= 300) {
      const request = { method: "GET", url: links.get.url, headers };
      return refused("get", lead, request, answer.status, new TextDecoder().decode(answer.bytes));
    }
    const digest = links.get.sha256 ? await sha256(answer.bytes) : "";
    if (digest && digest !== links.get.sha256) return changedBytes(answer.ms);
    return { status: "pass", call: "GET", ms: answer.ms, message: `${answer.bytes.length} bytes came back.` };
  });

  const body = randomBytes(links.put.bytes);
  yield run("put", ["reach"], async () => {
    const lead = "Your browser may not upload to this bucket.";
    const request = { method: "PUT", url: links.put.url };
    if (links.download_only) {
      return {
        status: "skip",
        message: "Not run: this is a replica, which the site never uploads to; the site's role, or the bucket's policy or CORS rules, allow no upload.",
      };
    }
    let answer;
    try {
      answer = await put(links.put.url, new Blob([body]), { signal, timeoutMs: 15000 });
    } catch {
      return explained("put", lead, request);
    }
    if (answer.status >= 300) return refused("put", lead, request, answer.status, answer.text);
    return { status: "pass", call: "PUT", request_id: answer.requestId, message: `${body.length} bytes were acknowledged.` };
  });

  function changedBytes(ms) {
    return {
      status: "fail",
      ms,
      message: "Bytes changed on the way: a proxy or antivirus rewrites what passes.",
      fix: `Exempt ${host} from inspection.`,
    };
  }

  yield run("readback", ["put"], async () => {
    const lead = "Your browser may upload, but not read.";
    const request = { method: "GET", url: links.read_back.url };
    let answer;
    try {
      answer = await getBytes(links.read_back.url, { signal });
    } catch {
      return explained("get", lead, request);
    }
    if (answer.status >= 300) {
      return refused("get", lead, request, answer.status, new TextDecoder().decode(answer.bytes));
    }
    const [sent, got] = [await sha256(body), await sha256(answer.bytes)];
    if (sent !== got || !same(body, answer.bytes)) return changedBytes(answer.ms);
    return { status: "pass", call: "GET", ms: answer.ms, message: sent ? "SHA-256 is the same." : "All bytes are the same." };
  });

  yield run("range", ["get"], async () => {
    if (!links.get) {
      return { status: "skip", blocks: false, message: "Not run: there is no object to read." };
    }
    const request = { method: "GET", url: links.get.url, headers: { Range: "bytes=100-199" } };
    let answer;
    try {
      answer = await getBytes(request.url, { headers: request.headers, signal });
    } catch {
      return explained("get", "Your browser may not ask for a part of an object.", request);
    }
    if (answer.status !== 206 || answer.bytes.length !== 100) {
      return {
        status: "fail",
        call: "GET",
        code: `${answer.status}`,
        message: `100 bytes were asked for; ${answer.bytes.length} came with status ${answer.status}.`,
        fix: "A proxy on the way drops the Range header: exempt the S3 host.",
        requests: [sent(request.method, request.url, request.headers, answer)],
      };
    }
    const range = answer.headers.get("Content-Range");
    if (!range) {
      const lead = "Parts come as asked for, but the page may not read Content-Range.";
      return { ...await explained("range", lead, request, null), status: "warn" };
    }
    return { status: "pass", call: "GET", ms: answer.ms, message: `206 with ${range}.` };
  });

  yield run("multipart", ["put"], async () => {
    if (!links.multipart) {
      return { status: "skip", blocks: false, message: "Not run: the site could not begin a multipart upload." };
    }
    const lead = "Your browser could not upload a part.";
    const request = { method: "PUT", url: links.multipart.url };
    let answer;
    try {
      answer = await put(request.url, new Blob([body]), { signal, timeoutMs: 15000 });
    } catch {
      return explained("put", lead, request);
    }
    if (answer.status >= 300) return refused("put", lead, request, answer.status, answer.text);
    if (!answer.etag) {
      return explained("etag", "The part was stored, but the page may not read its ETag.", request);
    }
    let finding;
    try {
      finding = await complete(answer.etag);
    } catch (problem) {
      if (signal.aborted) throw new Stopped("stopped");
      const message = `The part was stored, but this site could not join it: ${problem.message}`;
      return { status: "fail", message };
    }
    return { ...finding, title: TITLES.multipart, ms: undefined };
  });
}
