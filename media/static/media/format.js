/* Sizes and times in words. Pure. */

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

/** Bytes as a person reads them, with the steps of 1024 that the server's pages use. */
export function size(bytes) {
  if (bytes === 1) {
    return "1 byte";
  }
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Seconds as "45 s", "3 min", "2 h". */
export function duration(seconds) {
  if (seconds < 120) {
    return `${Math.max(0, Math.round(seconds))} s`;
  }
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
