// The verdict of a replay, where it was asked for.

import { element } from "./command.js";

document.addEventListener("done", (e) => {
  if (e.target.dataset.command !== "replay") return;
  const v = e.detail, box = document.querySelector("[data-verdict]");
  box.className = "verdict " + (v.ok ? "good" : "late");
  box.replaceChildren(
    element("p", {}, element("strong", { textContent: v.ok ? "It holds." : "It does not hold." }), ` ${v.events} events replayed; the outcome ${v.outcome_matches ? "is what was shown" : "differs from what was shown"}.`),
    element("p", { textContent: v.detail }));
  box.hidden = false;
});
