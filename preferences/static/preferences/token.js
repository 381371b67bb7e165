/* The page that shows a new token works without this script; it adds the button that copies it. */

const field = document.getElementById("token");
const button = document.getElementById("copy");
const status = document.getElementById("copied");

button.hidden = false;
button.addEventListener("click", async () => {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    status.textContent = "Copied.";
  } catch {
    // Browsers give pages the clipboard over HTTPS only; the text is selected.
    status.textContent = "Selected: press Ctrl+C, or ⌘C on a Mac.";
  }
});
