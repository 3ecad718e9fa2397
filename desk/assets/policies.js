// To the line of a mistake, and back to what runs.

import { forget } from "./draft.js";

const text = document.getElementById("draft");

const goTo = (line) => {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[line - 1] || "").length);
  text.scrollTop = Math.max(0, (line - 6) * (text.scrollHeight / lines.length));
};

document.addEventListener("click", (e) => {
  const link = e.target.closest?.("[data-line]");
  if (link) { e.preventDefault(); goTo(Number(link.dataset.line)); }
  if (e.target.closest?.("[data-start-over]")) forget(text.form);
});
document.getElementById("preview")?.focus();
