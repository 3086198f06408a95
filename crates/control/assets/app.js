// What pages gain where scripts run: copying, and times in the reader's own zone. Pages say everything without it.
"use strict";

document.documentElement.classList.add("scripted");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  if (!source) return;
  const label = button.querySelector(".label") || button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    label.textContent = "Copied";
  } catch {
    // Without leave to write to the clipboard the text is selected, so that a key press copies it.
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    label.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { label.textContent = before; }, 2000);
});

// A secret that was shown once is not in the page any more when one comes back to it (the back-forward cache keeps pages
// as they were).
addEventListener("pagehide", () => {
  for (const shown of document.querySelectorAll("[data-once]")) shown.textContent = "shown once";
});

// A form that makes something has an id that counts once: a page that is shown again as it was gets a new one.
addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("input[type=hidden][name=form]")) location.reload();
});

const inZone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = `${inZone.format(new Date(time.dateTime))} (${time.title || time.dateTime})`;
}

// An open menu closes on Escape and on a click elsewhere.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
