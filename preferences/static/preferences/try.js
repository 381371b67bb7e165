/* “Try before saving”: answers as plain values, without the page. */

/** Return the parts of the answer to “Which bucket?”: `strong` is its name, "" without an answer. */
export function wordsOf(answer) {
  if (!answer.configuration) {
    return { strong: "", rest: "This cannot be answered with these values.", why: "" };
  }
  const otherwise = answer.otherwise
    ? `, when the copy is there; otherwise ${answer.otherwise}`
    : "";
  return {
    strong: answer.configuration,
    rest: ` ${answer.place}${otherwise}.`,
    why: `Why: ${answer.why}`,
  };
}

/** Yield the chunks of a response's body (not every browser iterates over it by itself). */
export async function* chunksOf(body) {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** Yield the values of JSON lines as their bytes come; a line that ends early is an error. */
export async function* jsonLines(chunks) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
  if (rest.trim()) throw new Error("the answer ended early");
}

/** Return in words how the test of one configuration went, by its findings' statuses. */
export function summaryOf(name, statuses) {
  const count = (status) => statuses.filter((one) => one === status).length;
  const [failed, warned] = [count("fail"), count("warn")];
  if (failed) return `${name}: ${failed} ${failed === 1 ? "check" : "checks"} failed.`;
  if (warned) return `${name}: works; ${warned === 1 ? "one thing" : `${warned} things`} to look at.`;
  return `${name}: works.`;
}

/** Return in words what an answer that is no 200 means. */
export function refusal(status) {
  if (status === 401) return "You have been logged out. Log in in another tab, then try again.";
  if (status === 403) return "You may not do this, or the page is too old: reload it and try again.";
  return `The site could not answer (status ${status}). Try again.`;
}
