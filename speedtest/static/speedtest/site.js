// Requests to this site, without a page.

/** The site said no: the message is for people. */
export class SiteError extends Error {
  constructor(message, answer = {}, status = 0) {
    super(message);
    this.answer = answer;
    this.status = status;
  }
}

const LOGGED_OUT = "You are no longer logged in. Log in again in another tab of this browser.";

/** The form token: the cookie's where there is one, for a new log-in in another tab changes it. */
export function formToken(token) {
  return /(?:^|; )csrftoken=([^;]+)/.exec(globalThis.document?.cookie ?? "")?.[1] ?? token;
}

/**
 * `ask(url, body, signal)` posts JSON with the form token; anything but success is a SiteError.
 * `loggedOut`: what to say when the site does not know who asks.
 */
export function siteClient(token, loggedOut = LOGGED_OUT) {
  return async function ask(url, body, signal) {
    let response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: {
          "X-CSRFToken": formToken(token),
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
    return checked(response, loggedOut);
  };
}

/** The response when it is a success; anything else is thrown as a SiteError. */
export async function checked(response, loggedOut = LOGGED_OUT) {
  if (response.ok) return response;
  const { status } = response;
  const answer = await response.json().catch(() => ({}));
  const fallback = status === 403 ? "You may not do this (any more)."
    : `The site answered with ${status}.`;
  throw new SiteError(status === 401 ? loggedOut : answer.message ?? fallback, answer, status);
}

/** The JSON lines of a streamed answer, one by one. */
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new SiteError("The connection to this site broke off. Start the test again.");
    });
    rest += value ?? "";
    const parts = rest.split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
    if (done) return;
  }
}
