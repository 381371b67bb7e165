// The arithmetic of the speed test: no clock, no network, no page.
// Times are milliseconds, sizes bytes, rates megabits (10^6 bits) per second.

/** Rate of `bytes` in `ms`. */
export function mbps(bytes, ms) {
  return ms > 0 ? (bytes * 8) / (ms * 1000) : 0;
}

/** The value below which a share of the values lies (linear between neighbours). */
export function percentile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

/** Jitter: the mean absolute difference of neighbours. */
export function jitter(values) {
  if (values.length < 2) return null;
  let sum = 0;
  for (let i = 1; i < values.length; i += 1) sum += Math.abs(values[i] - values[i - 1]);
  return sum / (values.length - 1);
}

/**
 * Bytes of acknowledged requests that fall into [from, to]. Each request {start, end, bytes}
 * counts as sent evenly between its start and its acknowledgement.
 */
export function acknowledgedBytes(requests, from, to) {
  let bytes = 0;
  for (const request of requests) {
    const overlap = Math.min(request.end, to) - Math.max(request.start, from);
    if (overlap > 0) bytes += request.bytes * (overlap / (request.end - request.start));
  }
  return bytes;
}

/** Bytes read until `time`, from a log of [time, total], linear between entries. */
export function totalAt(log, time) {
  if (!log.length || time < log[0][0]) return 0;
  let low = 0;
  let high = log.length - 1;
  if (time >= log[high][0]) return log[high][1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (log[middle][0] <= time) low = middle;
    else high = middle;
  }
  const [t0, b0] = log[low];
  const [t1, b1] = log[high];
  return t1 === t0 ? b1 : b0 + ((b1 - b0) * (time - t0)) / (t1 - t0);
}

/** Mean rates of the whole seconds from `from` to `to`; `bytesIn(a, b)` counts bytes. */
export function secondRates(bytesIn, from, to) {
  const rates = [];
  for (let start = from; start + 1000 <= to; start += 1000) {
    rates.push(mbps(bytesIn(start, start + 1000), 1000));
  }
  return rates;
}

/** How far the last four one-second means differ, (max - min) / max; null with fewer. */
export function variation(rates) {
  if (rates.length < 4) return null;
  const last = rates.slice(-4);
  const most = Math.max(...last);
  return most > 0 ? (most - Math.min(...last)) / most : null;
}

/** Half the spread of the last four one-second means by their mean, for “varied ±x %”; or null. */
export function plusMinus(rates) {
  if (rates.length < 4) return null;
  const last = rates.slice(-4);
  const mean = last.reduce((sum, rate) => sum + rate, 0) / 4;
  return mean > 0 ? (Math.max(...last) - Math.min(...last)) / 2 / mean : null;
}

/**
 * Why a phase is over: "cap", "time", "steady", or "" when it goes on.
 * elapsed: since its start; rates: one-second means after the warm-up.
 */
export function stopReason({ elapsed, bytes, rates, minMs, maxMs, capBytes }) {
  if (bytes >= capBytes) return "cap";
  if (elapsed >= maxMs) return "time";
  const differ = variation(rates);
  if (elapsed >= minMs && differ !== null && differ <= 0.05) return "steady";
  return "";
}

/** The next upload's size: towards 0.6 to 2.5 s each, in powers of two within the limits. */
export function nextSize(size, durationMs, least, most) {
  const seconds = durationMs / 1000;
  let wanted = size;
  if (seconds < 0.6) wanted = size * Math.min(4, 1.2 / Math.max(seconds, 0.001));
  else if (seconds > 2.5) wanted = size / 2;
  const power = 2 ** Math.round(Math.log2(wanted));
  return Math.min(most, Math.max(least, power));
}

/** The gauge during uploads: progress events count the send buffer, so they are clamped. */
export function gaugeRate(shown, acknowledged) {
  return acknowledged > 0 ? Math.min(shown, 1.25 * acknowledged) : shown;
}

/**
 * Where the counted window begins: after the warm-up, or when a fifth of the cap is used up
 * (`fifthAt`, null when it was not), whichever is first. A run that ended before has a window of
 * its last three quarters and is called short.
 */
export function windowOf(start, stop, warmMs, fifthAt) {
  let from = start + warmMs;
  if (fifthAt !== null) from = Math.min(from, fifthAt);
  if (stop - from >= 1000) return { from, to: stop, short: false };
  from = Math.min(from, start + (stop - start) / 4);
  return { from, to: stop, short: stop - from < 1000 };
}

/** The figures of a phase; `bytesIn(a, b)` counts bytes of a span. */
export function figures({ bytesIn, start, window, streams, bytes }) {
  const span = window.to - window.from;
  const rates = secondRates(bytesIn, window.from, window.to);
  const differ = variation(rates);
  const warm = window.from - start;
  const rate = mbps(bytesIn(window.from, window.to), span);
  return {
    mbps: rate,
    warm_mbps: warm > 0 ? mbps(bytesIn(start, window.from), warm) : 0,
    warm_seconds: warm / 1000,
    ramp_ms: rampLoss(bytesIn(start, window.from), warm, rate),
    rates: secondRates(bytesIn, start, window.to),
    p10: percentile(rates, 0.1),
    p50: percentile(rates, 0.5),
    p90: percentile(rates, 0.9),
    seconds: span / 1000,
    variation: differ,
    plus_minus: plusMinus(rates),
    steady: differ !== null && differ <= 0.05,
    short: window.short,
    streams,
    bytes,
  };
}

/** What the begin cost: `ms` went by, but at `rate` its bytes would have taken less. */
export function rampLoss(bytes, ms, rate) {
  return rate > 0 ? Math.max(0, ms - (bytes * 8) / (rate * 1000)) : 0;
}

/**
 * What one large file gets, out of one stream's bodies {start, end, bytes}: a body is acknowledged a
 * round trip after its last byte, which a file costs once and bodies each. Those that were begun
 * before `from` are the slow beginning. {} when no body was begun later.
 */
export function fileFigures(requests, from, roundTrip) {
  const bytes = (list) => list.reduce((sum, one) => sum + one.bytes, 0);
  const time = (list) =>
    list.reduce((sum, one) => sum + Math.max(1, one.end - one.start - roundTrip), 0);
  const counted = requests.filter((one) => one.start >= from);
  const before = requests.filter((one) => one.start < from);
  if (!counted.length) return {};
  const rate = mbps(bytes(counted), time(counted));
  return { file_mbps: rate, ramp_ms: rampLoss(bytes(before), time(before), rate) };
}

/**
 * Latency under load out of probes {start, ms, lost} since `from`; the first of all sets a
 * connection up and does not count. A lost probe counts as the time it was waited for.
 */
export function loadedFigures(probes, from, idleMedian) {
  const counted = probes.slice(1).filter((probe) => probe.start >= from);
  if (!counted.length) return {};
  const times = counted.map((probe) => probe.ms);
  const median = percentile(times, 0.5);
  const more = idleMedian === undefined ? null : Math.max(0, median - idleMedian);
  return {
    loaded_median_ms: median,
    loaded_p95_ms: percentile(times, 0.95),
    loaded_more_ms: more,
    loaded_lost: counted.filter((probe) => probe.lost).length,
    grade: grade(more),
  };
}

/** A mark for how much a full line delays everything else, in milliseconds. */
export function grade(more) {
  if (more === null) return "";
  const limits = [[5, "A+"], [30, "A"], [60, "B"], [200, "C"], [400, "D"]];
  return limits.find(([limit]) => more < limit)?.[1] ?? "F";
}

/** A socket's own buffer may take a whole body of up to this size: those tell nothing. */
const SOCKET_BUFFER = 4 << 20;

/**
 * Whether uploads were taken in well before S3 had them: {start, full, end, bytes}, `full` when
 * progress stood at 100 %. So it is when that holds for most of the bytes of larger bodies.
 */
export function wasBuffered(requests) {
  let late = 0;
  let all = 0;
  for (const { start, full, end, bytes } of requests) {
    if (bytes <= SOCKET_BUFFER) continue;
    all += bytes;
    if (full !== null && end - full > Math.max(1000, 0.2 * (end - start))) late += bytes;
  }
  return all > 0 && late > all / 2;
}

/** Files a second from their requests {start, end}: each counts evenly over its time. */
export function filesPerSecond(requests, from, to) {
  const files = requests.map(({ start, end }) => ({ start, end, bytes: 1 }));
  return to > from ? acknowledgedBytes(files, from, to) / ((to - from) / 1000) : 0;
}

/** Idle latency out of the times of sequential requests; the first ones set the connection up. */
export function idleFigures(times, dropped) {
  const counted = times.slice(dropped);
  return {
    first_ms: times.length ? times[0] : null,
    idle_median_ms: percentile(counted, 0.5),
    idle_p95_ms: percentile(counted, 0.95),
    jitter_ms: jitter(counted),
  };
}

/** What the phases moved, each way; `parts` are the multipart upload's links. */
export function bytesMoved(figures, parts) {
  const file = (group) => (group ? group.files * group.bytes : 0);
  const object = (parts?.parts ?? []).reduce((sum, part) => sum + part.bytes, 0);
  const up = (figures.upload?.bytes ?? 0) + (figures.upload_single?.bytes ?? 0)
    + file(figures.small_put) + (figures.multipart ? object : 0);
  const down = (figures.download?.bytes ?? 0) + (figures.download_single?.bytes ?? 0)
    + file(figures.small_get) + (figures.resume ? object : 0);
  return { bytes_up: up, bytes_down: down, bytes_used: up + down };
}

/** Bytes for people, decimal. */
export function sizeText(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(bytes >= 1e7 ? 0 : 1)} MB`;
  if (bytes >= 1e3) return `${(bytes / 1e3).toFixed(0)} kB`;
  return `${Math.round(bytes)} bytes`;
}

/** A rate for people, with MB/s beside Mbit/s. */
export function rateText(rate) {
  if (rate === null || rate === undefined) return "–";
  return rate >= 99.95 ? rate.toFixed(0) : rate.toFixed(1);
}

/** Seconds for a file of `bytes` at `rate`, after a beginning that costs `lossMs`. */
export function fileSeconds(bytes, rate, lossMs = 0) {
  return rate > 0 ? lossMs / 1000 + (bytes * 8) / (rate * 1e6) : null;
}

/** "1 min 27 s" for a file of `bytes` at `rate`, after a beginning that costs `lossMs`. */
export function fileTime(bytes, rate, lossMs = 0) {
  const seconds = fileSeconds(bytes, rate, lossMs);
  if (seconds === null) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}
