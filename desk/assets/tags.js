// Chasing leaves a trace: a note on the callback, which whoever has it sees at once.

import { openDialog } from "./command.js";
import { restore } from "./draft.js";

const dialog = document.getElementById("chase");
const form = dialog?.querySelector("form");

document.addEventListener("click", async (e) => {
  const button = e.target.closest?.("[data-chase]");
  if (button) {
    const row = button.closest("[data-id]"), { id } = row.dataset;
    form.setAttribute("action", `/v1/callbacks/${id}/notes`);
    form.dataset.draft = "chase:" + id;
    form.elements.body.defaultValue = button.dataset.text;
    form.elements.body.value = button.dataset.text;
    delete form.dataset.restored; // of another callback, or of this one before the text was put in anew
    restore(form);
    dialog.querySelector("[data-chase-who]").textContent = button.dataset.who;
    dialog.querySelector("[data-chase-open]").href = "/callbacks/" + id;
    dialog.querySelector("[data-copied]").textContent = "";
    openDialog("chase");
  }
  if (e.target.closest?.("[data-copy]")) {
    const said = dialog.querySelector("[data-copied]");
    const text = form.elements.body.value + "\n" + dialog.querySelector("[data-chase-open]").href;
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "Copied. It holds no name and no number of a customer unless you wrote one.";
    } catch {
      form.elements.body.select();
      said.textContent = "The browser does not let the page copy: press Ctrl C.";
    }
  }
});

