import assert from "node:assert/strict";
import { test } from "node:test";

import { reachProblem, redacted, sent } from "../../speedtest/static/speedtest/checks.js";

const HOST = "vpce-1.example";
const VIEW = {
  proxy: false, addresses: ["10.0.3.4"], private: true, dns_error: "", tcp_error: "", tls_error: "", issuer: "Amazon",
};
const PUBLIC = { ...VIEW, addresses: ["52.216.1.1"], private: false };

for (const [name, ms, timedOut, permission, view, message, fix] of [
  ["a denied permission", 3, false, "denied", VIEW, /not allowed to call vpce-1.example \(10.0.3.4, a private address\)/, /LocalNetworkAccessAllowedForUrls/],
  ["a denied permission does not concern public hosts", 3, false, "denied", PUBLIC, /cannot look up/, /resolver/],
  ["an unanswered question", 3, false, "prompt", VIEW, /may not have been allowed yet/, /Allow/],
  ["dropped packets, server reaches it", 10_000, true, "", VIEW, /packets seem to be dropped.*This server reaches it, so the way from your network is closed/, /VPN or Direct Connect/],
  ["dropped packets for all", 10_000, true, "", { ...VIEW, tcp_error: "did not answer in time" }, /dropped on the way\.$/, /security group accept port 443/],
  ["a name that nobody knows", 3, false, "", { ...VIEW, addresses: [], private: false, dns_error: "Name or service not known" }, /Neither your browser nor this server can look up vpce-1.example \(Name or service/, /Route 53 inbound endpoint/],
  ["a name that only the server knows", 3, false, "", PUBLIC, /cannot look up vpce-1.example, or is refused at once; this server finds it \(52.216.1.1\)/, /in your network too/],
  ["an untrusted certificate, however fast it came", 3, false, "", { ...PUBLIC, tls_error: "self-signed certificate", issuer: "Zscaler" }, /does not trust the certificate of vpce-1.example, and neither does this server \(self-signed certificate\).*“Zscaler”/, /exempt the host from TLS inspection/],
  ["a certificate that only the browser distrusts", 200, false, "", PUBLIC, /does not trust its certificate; this server does \(issuer “Amazon”\)/, /TLS inspection/],
  ["a closed port", 2, false, "", { ...PUBLIC, tcp_error: "x refused the connection" }, /refuses connections/, /store runs/],
  ["a server behind a proxy knows nothing", 3, false, "", { proxy: true }, /cannot look up/, /resolver/],
  ["without the server's view the time decides", 300, false, "", null, /cannot connect .* or does not trust/, /in a tab/],
]) {
  test(`no answer: ${name}`, () => {
    const found = reachProblem(HOST, ms, timedOut, permission, view);
    assert.match(found.message, message);
    assert.match(found.fix, fix);
  });
}

test("a link is shown without what would let a reader use it", () => {
  const shown = redacted(
    "https://b.example/k?X-Amz-Algorithm=A&X-Amz-Credential=AKIA%2F1&X-Amz-Security-Token=t%3D&partNumber=1&X-Amz-Signature=abc",
  );
  assert.equal(
    shown,
    "https://b.example/k?X-Amz-Algorithm=A&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&partNumber=1&X-Amz-Signature=REDACTED",
  );
});

test("a request that got no answer has the status 0", () => {
  const one = sent("PUT", "https://b.example/k?X-Amz-Signature=abc");
  assert.deepEqual([one.by, one.method, one.status, one.request_id], ["browser", "PUT", 0, ""]);
  assert.doesNotMatch(one.url, /abc/);
});
