/* The upload page: files in, one row each, progress and words out. */

import { duration, size } from "./format.js";
import { Turns, Upload } from "./upload.js";
import { callSite, isReadable, putPart, wait } from "./upload-network.js";
import { FILES_AT_ONCE, PARTS_AT_ONCE, isOpen, speed, together } from "./upload-plan.js";

const root = document.getElementById("uploader");
const zone = document.getElementById("drop-zone");
const input = document.getElementById("files");
const list = document.getElementById("uploads");
const template = document.getElementById("upload-row");
const problem = document.getElementById("drop-problem");
const announcer = document.getElementById("upload-news");
const all = document.getElementById("upload-all");
const allWords = document.getElementById("upload-all-words");
const cancelAll = document.getElementById("cancel-all");
const allAgain = document.getElementById("all-again");

const network = { callSite, putPart, isReadable, wait, random: Math.random };
const partTurns = new Turns(PARTS_AT_ONCE);
const fileTurns = new Turns(FILES_AT_ONCE);
const rows = [];
let running = 0;
let drawing = 0;

function announce(text) {
  announcer.textContent = text;
}

/** Show what all files together have come to, a few times a second at most. */
function draw() {
  drawing ||= setTimeout(() => {
    drawing = 0;
    all.hidden = rows.length < 2;
    allWords.textContent = together(
      rows.map(({ name, bar, file }) => ({ state: name, sent: bar.value, size: file.size })),
    );
    cancelAll.hidden = !rows.some(({ name }) => isOpen(name));
    allAgain.hidden = rows.filter(({ name }) => name === "failed").length < 2;
  }, 200);
}

class Row {
  constructor(file) {
    this.file = file;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.bar = this.find("progress");
    this.bar.max = file.size || 1;
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.find(".upload-name").textContent = file.name;
    this.samples = [];
    this.upload = new Upload(file, {
      url: root.dataset.url,
      network,
      turns: partTurns,
      onProgress: (bytes) => this.progress(bytes),
    });
    this.cancelButton = this.find(".upload-cancel");
    this.cancelButton.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
    this.cancelButton.addEventListener("click", () => {
      this.cancel();
      announce(`The upload of ${file.name} is cancelled.`);
      this.element.focus();
    });
    this.againButton = this.find(".upload-again");
    this.againButton.setAttribute("aria-label", `Try again to upload ${file.name}`);
    this.againButton.addEventListener("click", () => {
      this.cancelButton.focus();
      this.start();
    });
    this.state("waiting", `${size(file.size)}, waiting for its turn`);
    list.append(this.element);
    rows.push(this);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  state(name, words) {
    this.name = name;
    this.element.dataset.state = name;
    this.find(".upload-words").textContent = words;
    const over = ["done", "cancelled", "refused"].includes(name);
    this.cancelButton.hidden = over;
    this.bar.hidden = over;
    this.againButton.hidden = name !== "failed";
    this.find(".upload-hint").hidden = true;
    draw();
  }

  progress(bytes) {
    const now = performance.now();
    this.bar.value = bytes;
    this.samples.push({ at: now, bytes });
    while (this.samples[0].at < now - 5000) {
      this.samples.shift();
    }
    const rate = speed(this.samples);
    const words = [`${size(bytes)} of ${size(this.file.size)}`];
    if (bytes >= this.file.size) {
      words.push("checking that it arrived");
    } else if (rate > 0) {
      words.push(`${size(Math.round(rate))}/s`);
      words.push(`${duration((this.file.size - bytes) / rate)} left`);
    }
    this.state("running", words.join(" · "));
  }

  async start() {
    this.stopper = new AbortController();
    running += 1;
    this.state("waiting", `${size(this.file.size)}, waiting for its turn`);
    try {
      await fileTurns.take(async () => {
        this.stopper.signal.throwIfAborted();
        this.state("running", `0 bytes of ${size(this.file.size)}`);
        announce(`Uploading ${this.file.name}.`);
        this.done(await this.upload.run(this.stopper.signal));
      });
    } catch (error) {
      this.failed(error);
    } finally {
      running -= 1;
    }
  }

  done(mediaFile) {
    this.state("done", `${size(mediaFile.size)}, uploaded`);
    const link = document.createElement("a");
    link.href = mediaFile.url;
    link.textContent = mediaFile.name;
    this.find(".upload-name").replaceChildren(link);
    announce(`${mediaFile.name} is uploaded.`);
  }

  failed(error) {
    if (error.name === "AbortError") {
      return;
    }
    if (error.isGone || [400, 404, 409, 422].includes(error.status)) {
      // The site or S3 has given this upload up, or it cannot be completed: another try begins a new one.
      this.upload.cancel().catch(() => {});
      this.upload = new Upload(this.file, { ...this.upload });
    }
    // Nothing that is tried again would make a bad file fit.
    this.state(error.code === "bad-file" ? "refused" : "failed", error.message);
    this.find(".upload-hint").hidden = !error.fromS3;
    announce(`${this.file.name} was not uploaded. ${error.message}`);
  }

  async cancel() {
    this.stopper.abort();
    this.state("cancelled", "cancelled");
    try {
      await this.upload.cancel();
    } catch (error) {
      if (error.code === "upload-complete") {
        // It was too late: asked again, the site says which media file it has become.
        const never = new AbortController().signal;
        this.upload.run(never).then((mediaFile) => this.done(mediaFile), (why) => this.failed(why));
        return;
      }
      this.state("cancelled", `cancelled here, but not on the site: ${error.message}`);
    }
  }
}

function add(files) {
  list.hidden = false;
  for (const file of files) {
    new Row(file).start();
  }
}

cancelAll.addEventListener("click", () => {
  const open = rows.filter(({ name }) => isOpen(name));
  open.forEach((row) => row.cancel());
  announce(open.length === 1 ? "1 upload is cancelled." : `${open.length} uploads are cancelled.`);
  all.focus();
});
allAgain.addEventListener("click", () => {
  rows.filter(({ name }) => name === "failed").forEach((row) => row.start());
  all.focus();
});

input.addEventListener("change", () => {
  add([...input.files]);
  input.value = "";
});

for (const name of ["dragenter", "dragover"]) {
  zone.addEventListener(name, (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) {
  zone.addEventListener(name, () => zone.classList.remove("over"));
}
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  add(droppedFiles(event.dataTransfer));
});
// A file dropped beside the zone would replace the page, and the uploads with it.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => event.preventDefault());
}

/** The files of a drop; folders cannot be read as files and are named instead. */
function droppedFiles(transfer) {
  const folders = [...transfer.items]
    .map((item) => item.webkitGetAsEntry?.())
    .filter((entry) => entry?.isDirectory)
    .map((entry) => entry.name);
  problem.hidden = folders.length === 0;
  problem.textContent = `Drop files, not folders. Left out: ${folders.join(", ")}.`;
  return [...transfer.files].filter((file) => !folders.includes(file.name));
}

window.addEventListener("beforeunload", (event) => {
  // What has failed half-way can be tried again on this page, and nowhere else.
  const halfway = rows.some(({ name, upload }) => name === "failed" && upload.etags.size > 0);
  if (running > 0 || halfway) {
    event.preventDefault();
  }
});
