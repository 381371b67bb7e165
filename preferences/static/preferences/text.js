/* Text of the S3 Configuration field: places and names, without the page. */

/** Return the offset in `text` of a line and column, both counted from 1. */
export function offsetOf(text, line, column) {
  let start = 0;
  for (let number = 1; number < line; number += 1) {
    const end = text.indexOf("\n", start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const end = text.indexOf("\n", start);
  return Math.min(start + column - 1, end < 0 ? text.length : end);
}

/** Return the names of the configurations in `text`, or null while it cannot be read. */
export function namesIn(text) {
  const cleaned = text
    .replace(/[\u200b-\u200d\u2060\ufeff\u00ad]/g, "")
    .replace(/,(\s*[}\]])/g, "$1");
  try {
    const value = JSON.parse(cleaned || "{}");
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.keys(value)
      : null;
  } catch {
    return null;
  }
}
