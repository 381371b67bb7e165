/* The library: a thumbnail that one bucket does not deliver is asked from the other one, once. */

import { address } from "./player-plan.js";

function showIcon(image) {
  image.hidden = true;
  image.parentElement.querySelector(".kind-icon").removeAttribute("hidden");
}

function watch(image) {
  const base = image.src;
  const retry = () => {
    image.addEventListener("error", () => showIcon(image), { once: true });
    image.src = address(base, { fromPrimary: true, tries: 0 });
  };
  if (image.complete && image.naturalWidth === 0 && image.currentSrc) {
    retry();
  } else {
    image.addEventListener("error", retry, { once: true });
  }
}

document.querySelectorAll(".thumbnail img").forEach(watch);
