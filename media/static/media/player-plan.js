/* What to do when a picture, film or sound cannot be loaded. Pure. */

/** Milliseconds after which a link that has worked may simply have expired. */
export const EXPIRY_SUSPECTED = 60000;

/** The site's address for the next load: `tries` makes it one that no cache has seen. */
export function address(base, { fromPrimary, tries }) {
  const url = new URL(base);
  if (fromPrimary) {
    url.searchParams.set("source", "primary");
  }
  if (tries > 0) {
    url.searchParams.set("try", String(tries));
  }
  return url.href;
}

/**
 * After a failure: "again" (ask the site for a new link), "primary" (ask for the bucket that the
 * file was uploaded to) or "give-up".
 *
 * worked: this load had shown something. elapsed: milliseconds since it began.
 * fromPrimary: this load was from that bucket already.
 */
export function nextStep({ worked, elapsed, fromPrimary }) {
  if (worked && elapsed >= EXPIRY_SUSPECTED) {
    return "again";
  }
  return fromPrimary ? "give-up" : "primary";
}
