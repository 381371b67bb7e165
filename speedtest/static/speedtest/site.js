// Requests to this site, without a page.

/** The site said no: the message is for people. */
export class SiteError extends Error {
  constructor(message, answer = {}, status = 0) {
    super(message);
    this.answer = answer;
    this.status = status;
  }
}

/** `ask(url, body, signal)` posts JSON with the form token; anything but success is a SiteError. */
export function siteClient(token) {
  return async function ask(url, body, signal) {
    let response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: {
          "X-CSRFToken": token,
          "Content-Type": "application/json",
          Accept: "application/json",
        },
        body: JSON.stringify(body),
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new SiteError("This site does not answer. Check your connection and try again.");
    }
    if (!response.ok) {
      const answer = await response.json().catch(() => ({}));
      const fallback = response.status === 401 || response.status === 403
        ? "You are no longer logged in, or may not do this. Reload the page."
        : `The site answered with ${response.status}. Reload the page and try again.`;
      throw new SiteError(answer.message ?? fallback, answer, response.status);
    }
    return response;
  };
}

/** The JSON lines of a streamed answer, one by one. */
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const parts = rest.split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
    if (done) return;
  }
}
