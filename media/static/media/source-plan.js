/* When to ask again where a file would come from. Pure. */

/**
 * Milliseconds to wait before asking again: shortly after the announced change, else less and less
 * often. `changesIn` is in seconds or null, `asked` the number of times asked without news.
 */
export function nextAsk(changesIn, asked) {
  const patient = Math.min(10000 * 1.5 ** asked, 120000);
  if (changesIn === null) {
    return Math.round(patient);
  }
  return Math.round(Math.min(Math.max(changesIn * 1000 + 500, 1000), 120000));
}
