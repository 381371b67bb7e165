/* One upload from beginning to end. Knows no page; network and waiting are handed in. */

import {
  GONE,
  MOST_TRIES,
  PARTS_AT_ONCE,
  TRIES_UNDER_WAY,
  backOff,
  cut,
  partProblem,
  verdict,
} from "./upload-plan.js";

/** A number of turns: at most `count` holders at a time, first come first served. */
export class Turns {
  constructor(count) {
    this.free = count;
    this.waiting = [];
  }

  async take(work) {
    if (this.free > 0) {
      this.free -= 1;
    } else {
      await new Promise((resolve) => this.waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) {
        next();
      } else {
        this.free += 1;
      }
    }
  }
}

/** S3 has not taken a part; `isGone` says that it will take no part of this upload any more. */
export class PartError extends Error {
  constructor(answer) {
    super(partProblem(answer));
    this.isGone = answer.code === GONE;
    // Makes the page mention the speed test, which knows nothing of this upload or this page.
    this.fromS3 = !this.isGone && !answer.isBarred;
  }
}

const isPassing = (error) => error.status === 0 || (error.status >= 502 && error.status <= 504);

export class Upload {
  /**
   * file: a File. url: where uploads begin. network: {callSite, putPart, isReadable, wait, random}.
   * turns: shared by all uploads of the page. onProgress(bytes): called with what has been sent.
   */
  constructor(file, { url, network, turns, onProgress = () => {} }) {
    this.file = file;
    this.url = url;
    this.network = network;
    this.turns = turns;
    this.onProgress = onProgress;
    this.begun = null;
    this.etags = new Map();
    this.sent = new Map();
  }

  /** Send what is not sent yet and return the media file. May be called again after an error. */
  async run(signal) {
    this.begun ??= await this.begin();
    signal.throwIfAborted();
    // The first part that fails for good stops the others, so that nothing runs on unseen.
    const stopper = new AbortController();
    const stop = () => stopper.abort();
    signal.addEventListener("abort", stop, { once: true });
    const parts = cut(this.file.size, this.begun.part_size);
    const open = parts.filter((part) => !this.etags.has(part.number)).values();
    // One part of each lane waits for a turn: if all did, a small file behind a plate of thousands of
    // parts would wait for the last of them.
    const lane = async () => {
      for (const part of open) {
        await this.turns.take(() => this.sendPart(part, stopper.signal));
      }
    };
    try {
      await Promise.all(Array.from({ length: PARTS_AT_ONCE }, lane));
    } catch (error) {
      stopper.abort();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
    return this.call(
      "POST",
      this.begun.links.complete,
      { parts: parts.map(({ number }) => ({ number, etag: this.etags.get(number) })) },
      signal,
    );
  }

  /** Tell the site that nobody wants this upload any more. */
  async cancel() {
    const begun = this.begun ?? (await this.beginning?.catch(() => null));
    if (begun) {
      await this.network.callSite("DELETE", begun.links.self);
    }
  }

  async begin() {
    const { name, size, type } = this.file;
    // Not to be aborted: the site would have begun an upload that nobody could cancel.
    this.beginning = this.call("POST", this.url, { name, size, type });
    return this.beginning;
  }

  mostTries() {
    return this.etags.size > 0 ? TRIES_UNDER_WAY : MOST_TRIES;
  }

  async call(method, url, body, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.network.callSite(method, url, body, signal);
      } catch (error) {
        if (error.name === "AbortError" || !isPassing(error) || tries >= this.mostTries()) {
          throw error;
        }
      }
      await this.network.wait(backOff(tries, this.network.random()), signal);
    }
  }

  async sendPart(part, signal) {
    for (let tries = 1; ; tries += 1) {
      signal.throwIfAborted();
      // Signed only now: a link that waits in a queue expires there.
      const signed = await this.call(
        "POST",
        this.begun.links.parts,
        { numbers: [part.number] },
        signal,
      );
      const blob = this.file.slice(part.start, part.end);
      const answer = await this.network.putPart(signed.parts[0].url, blob, {
        signal,
        onProgress: (bytes) => this.note(part.number, bytes),
      });
      const then = verdict(answer.status, answer.etag);
      if (then === "done") {
        this.etags.set(part.number, answer.etag);
        this.note(part.number, part.end - part.start);
        return;
      }
      this.note(part.number, 0);
      if (answer.status === 0 && !(await this.network.isReadable(blob))) {
        throw new Error("The file can no longer be read: it was changed, moved or deleted.");
      }
      if (then === "stop" || tries >= this.mostTries() || (then === "sign" && tries >= 3)) {
        throw new PartError(answer);
      }
      await this.network.wait(backOff(tries, this.network.random()), signal);
    }
  }

  note(number, bytes) {
    this.sent.set(number, bytes);
    let total = 0;
    for (const part of this.sent.values()) {
      total += part;
    }
    this.onProgress(total);
  }
}
