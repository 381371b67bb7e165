// The browser's own checks of a configuration. No page, no clock of its own: yields findings like
// the server's ({check, title, status, ms, call, code, request_id, message, fix, documents}).

import { answerText, get, getBytes, NoAnswer, put, randomBytes, s3Error, Stopped } from "./network.js";

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

/** Why a request without CORS got no answer, from how long it took. [M] in the reference. */
export function reachProblem(host, ms, timedOut, localNetwork) {
  if (localNetwork === "denied") {
    return {
      message: `Your browser is not allowed to call ${host}: access to the local network is denied for this site.`,
      fix: "Allow “local network access” for this site in the browser's site settings; on managed computers set the policy LocalNetworkAccessAllowedForUrls.",
    };
  }
  if (timedOut) {
    return {
      message: `${host} does not answer your browser: packets seem to be dropped on the way.`,
      fix: "Connect the VPN or Direct Connect, and let the firewall and the endpoint's security group accept port 443 from here.",
    };
  }
  if (ms < 30) {
    return {
      message: `Your browser cannot look up ${host}, or the connection was refused at once.`,
      fix: "Check the name; for a VPC endpoint forward it to the VPC's resolver. Check that the store runs.",
    };
  }
  return {
    message: `Your browser cannot connect to ${host}, or does not trust its certificate.`,
    fix: "Open the address in a tab to see the certificate's error; exempt the host from TLS inspection, and check firewall and proxy.",
  };
}

/**
 * Run the checks. `links` as the site signed them; `replay(what)` and `complete(etag)` ask the
 * site; `violations` is the live list of the page's CSP violations.
 */
export async function* browserChecks({ links, replay, complete, violations, signal }) {
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
      check, title: TITLES[check], call: "", code: "", request_id: "", fix: "", documents: [],
      ...finding,
    };
  }

  /** A failed request, explained by what the server gets for the same one. */
  async function explained(what, lead, error) {
    if (error instanceof Stopped && signal.aborted) throw error;
    const csp = violations.find((blockedUri) => blockedUri.startsWith(links.host));
    if (csp) return cspFinding();
    let reason;
    try {
      reason = await replay(what);
    } catch (problem) {
      reason = { message: `This server could not repeat the request: ${problem.message}` };
    }
    return {
      status: "fail",
      call: what === "get" ? "GET" : "PUT",
      code: reason.code ?? "",
      request_id: reason.request_id ?? "",
      message: `${lead} ${reason.message}`,
      fix: reason.fix ?? "",
      documents: reason.documents ?? [],
    };
  }

  async function refused(what, lead, status, text) {
    const error = s3Error(text);
    const finding = await explained(what, lead, null);
    finding.code = error.code || `${status}`;
    finding.request_id = error.requestId || finding.request_id;
    finding.message = `${lead} S3 said ${answerText(status, text)}.`;
    return finding;
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
      if (violations.some((uri) => uri.startsWith(links.host))) return cspFinding();
      const ms = performance.now() - start;
      const timedOut = error instanceof Stopped;
      return { status: "fail", call: "GET (no-cors)", ...reachProblem(host, ms, timedOut, await localNetworkState()) };
    }
    return { status: "pass", call: "GET (no-cors)", message: `${host} answers: name, connection and certificate are fine.` };
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
    } catch (error) {
      return explained("get", lead, error);
    }
    if (answer.status >= 300) {
      return refused("get", lead, answer.status, new TextDecoder().decode(answer.bytes));
    }
    const digest = links.get.sha256 ? await sha256(answer.bytes) : "";
    if (digest && digest !== links.get.sha256) return changedBytes(answer.ms);
    return { status: "pass", call: "GET", ms: answer.ms, message: `${answer.bytes.length} bytes came back.` };
  });

  const body = randomBytes(links.put.bytes);
  yield run("put", ["reach"], async () => {
    const lead = "Your browser may not upload to this bucket.";
    if (links.download_only) {
      return {
        status: "skip",
        message: "Not run: this is a replica, which the site never uploads to, and S3 refused the server's upload.",
      };
    }
    let answer;
    try {
      answer = await put(links.put.url, new Blob([body]), { signal, timeoutMs: 15000 });
    } catch (error) {
      return explained("put", lead, error);
    }
    if (answer.status >= 300) return refused("put", lead, answer.status, answer.text);
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
    let answer;
    try {
      answer = await getBytes(links.read_back.url, { signal });
    } catch (error) {
      return explained("get", "Your browser may upload, but not read.", error);
    }
    if (answer.status >= 300) {
      return refused("get", "Your browser may upload, but not read.", answer.status, new TextDecoder().decode(answer.bytes));
    }
    const [sent, got] = [await sha256(body), await sha256(answer.bytes)];
    if (sent !== got || !same(body, answer.bytes)) return changedBytes(answer.ms);
    return { status: "pass", call: "GET", ms: answer.ms, message: sent ? "SHA-256 is the same." : "All bytes are the same." };
  });

  yield run("range", ["get"], async () => {
    if (!links.get) {
      return { status: "skip", blocks: false, message: "Not run: there is no object to read." };
    }
    let answer;
    try {
      answer = await getBytes(links.get.url, { headers: { Range: "bytes=100-199" }, signal });
    } catch (error) {
      return explained("get", "Your browser may not ask for a part of an object.", error);
    }
    if (answer.status !== 206 || answer.bytes.length !== 100) {
      return {
        status: "fail",
        call: "GET",
        code: `${answer.status}`,
        message: `100 bytes were asked for; ${answer.bytes.length} came with status ${answer.status}.`,
        fix: "A proxy on the way drops the Range header: exempt the S3 host.",
      };
    }
    const range = answer.headers.get("Content-Range");
    if (!range) {
      return {
        status: "warn",
        call: "GET",
        message: "Parts come as asked for, but the page may not read Content-Range.",
        fix: "Add Content-Range to ExposeHeaders of the bucket's CORS rules.",
      };
    }
    return { status: "pass", call: "GET", ms: answer.ms, message: `206 with ${range}.` };
  });

  yield run("multipart", ["put"], async () => {
    if (!links.multipart) {
      return { status: "skip", blocks: false, message: "Not run: the site could not begin a multipart upload." };
    }
    let answer;
    try {
      answer = await put(links.multipart.url, new Blob([body]), { signal, timeoutMs: 15000 });
    } catch (error) {
      return explained("put", "Your browser could not upload a part.", error);
    }
    if (answer.status >= 300) {
      return refused("put", "Your browser could not upload a part.", answer.status, answer.text);
    }
    if (!answer.etag) {
      return explained("etag", "The part was stored, but the page may not read its ETag.", null);
    }
    const finding = await complete(answer.etag);
    return { ...finding, title: TITLES.multipart, ms: undefined };
  });
}
