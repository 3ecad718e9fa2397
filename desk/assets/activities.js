// The list: views that are kept, and commands to many callbacks at once, with a look at what will happen before.

import { ask, element, explain, newKey, openDialog, refuse, send, toast } from "./command.js";
import { refresh } from "./refresh.js";

const bar = document.querySelector("[data-bulk]");
const selected = new Map(); // id to name

const boxes = () => [...document.querySelectorAll("[data-select]")];
const show = () => {
  if (!bar) return;
  for (const b of boxes()) b.checked = selected.has(b.value);
  bar.hidden = selected.size === 0;
  bar.querySelector("[data-selected]").textContent = selected.size;
  const all = document.querySelector("[data-select-all]"), shown = boxes();
  all.checked = shown.length > 0 && shown.every((b) => b.checked);
  all.indeterminate = !all.checked && shown.some((b) => b.checked);
};
const set = (box) => {
  if (box.checked) selected.set(box.value, box.closest("tr").querySelector("[data-open]").textContent);
  else selected.delete(box.value);
};
document.addEventListener("change", (e) => {
  if (e.target.matches("[data-select]")) { set(e.target); show(); }
  if (e.target.matches("[data-select-all]")) { for (const b of boxes()) { b.checked = e.target.checked; set(b); } show(); }
});
document.addEventListener("refreshed", show);

const words = {
  reassign: { title: "Reassign", ask: "Why", go: "Reassign", done: "given to" },
  cancel: { title: "Cancel: the customers withdrew", ask: "What the customers said", go: "Cancel", done: "cancelled" },
};
const dialog = document.getElementById("bulk");
let command = "", plan = [];
// going is the run that goes on: closing the dialog ends it before the next callback. What was sent already is done.
let going = null;
dialog?.addEventListener("close", () => { going = null; });

// Everybody who is of all the queues; the API has the last word on rank.
const candidates = async (queues) => {
  const members = [];
  for (const q of queues) {
    const a = await ask("GET", "/v1/availability?" + new URLSearchParams({ queue: q }));
    members.push(a.ok ? a.body.items : []);
  }
  return (members[0] || []).filter((p) => members.every((m) => m.some((o) => o.staff_id === p.staff_id)));
};

const open = async (what) => {
  command = what;
  const w = words[what];
  const ids = [...selected.keys()].slice(0, 100);
  const a = await ask("GET", "/v1/callbacks?" + new URLSearchParams([["limit", "100"], ...ids.map((id) => ["id", id])]));
  if (!a.ok) { toast((await explain(a)).map((n) => n.textContent ?? n).join(""), "late"); return; }
  plan = a.body.items.map((c) => ({ c, may: c.allowed.includes(what), key: newKey() }));
  dialog.querySelector("#bulk-title").textContent = `${w.title} (${plan.filter((p) => p.may).length})`;
  dialog.querySelector("[data-bulk-ask]").textContent = w.ask;
  dialog.querySelector("[data-bulk-go]").textContent = w.go;
  dialog.querySelector("[data-bulk-go]").className = what === "cancel" ? "danger" : "primary";
  dialog.querySelector("[data-bulk-status]").textContent = "";
  const to = dialog.querySelector("[data-bulk-to]"), select = to.querySelector("select");
  to.hidden = what !== "reassign";
  select.required = what === "reassign";
  if (what === "reassign") {
    const people = await candidates([...new Set(plan.filter((p) => p.may).map((p) => p.c.queue))]);
    select.replaceChildren(element("option", { value: "", textContent: people.length ? "Choose…" : "Nobody is of all these queues" }),
      ...people.map((p) => element("option", { value: p.staff_id, textContent: `${p.name} (${p.tier})` })));
  }
  preview();
  openDialog("bulk");
};

const preview = () => {
  const select = dialog.querySelector("#bulk-to"), to = select.selectedOptions[0]?.value ? select.selectedOptions[0].textContent : "…";
  dialog.querySelector("[data-bulk-preview]").replaceChildren(...plan.map((p) => {
    const name = p.c.customer?.name || "Customer erased";
    const what = !p.may ? (["completed", "cancelled"].includes(p.c.status) ? "stays as it is: it is closed" : "stays as it is: you may not do this")
      : p.outcome || (command === "reassign" ? `${p.c.assignee ? "taken from " + p.c.assignee : "has nobody"}, goes to ${to}` : "closes without service; its tag is replaced");
    return element("li", { className: p.failed ? "late" : p.may ? "" : "quiet" }, element("strong", { textContent: name }), " ", what);
  }));
  dialog.querySelector("[data-bulk-go]").disabled = !plan.some((p) => p.may && !p.done);
};

// lookAgain takes what a callback has become: the next press goes by that.
const lookAgain = async (p) => {
  const a = await ask("GET", "/v1/callbacks/" + p.c.id);
  if (!a.ok) return;
  p.c = a.body;
  p.may = a.body.allowed.includes(command);
};

const run = async (form) => {
  const status = dialog.querySelector("[data-bulk-status]"), go = dialog.querySelector("[data-bulk-go]");
  const body = { reason: form.elements.reason.value };
  if (command === "reassign") body.to = form.elements.to.value;
  go.disabled = true;
  let n = 0;
  const mine = going = {}, name = words[command], what = command;
  const todo = plan.filter((p) => p.may && !p.done);
  for (const p of todo) {
    if (going !== mine) break;
    status.textContent = `${++n} of ${todo.length}…`;
    // The version is that of the preview: what has changed since is not done blindly.
    const a = await send(`/v1/callbacks/${p.c.id}/${what}`, body, { key: p.key, match: String(p.c.version) });
    p.done = a.ok;
    p.failed = !a.ok;
    p.outcome = a.ok ? name.done + (what === "reassign" ? " " + form.elements.to.selectedOptions[0].textContent : "")
      : (await explain(a)).map((x) => x.textContent ?? x).join("");
    if (a.ok) selected.delete(p.c.id);
    else if (a.status && a.status !== 504) {
      p.key = newKey();
      if ([404, 409, 412].includes(a.status)) await lookAgain(p);
    }
    if (going === mine) preview();
  }
  const failed = todo.filter((p) => !p.done).length;
  if (going !== mine) { // another dialog may be open by now: it is not this run's
    await refresh();
    show();
    toast(`Stopped: ${todo.length - failed} of ${todo.length} ${name.done === "cancelled" ? "cancelled" : "reassigned"}.`, "warn");
    return;
  }
  status.textContent = failed ? `${todo.length - failed} done, ${failed} not: see above.` : "";
  await refresh();
  show();
  if (!failed) { if (going === mine) { dialog.close(); form.reset(); } toast(`${todo.length} ${todo.length === 1 ? "callback" : "callbacks"} ${name.done === "cancelled" ? "cancelled" : "reassigned"}.`); }
};

document.addEventListener("click", (e) => {
  const what = e.target.closest?.("[data-bulk-do]");
  if (what) open(what.dataset.bulkDo);
  if (e.target.closest?.("[data-select-none]")) { selected.clear(); show(); }
  if (e.target.closest?.("[data-save-view]")) openDialog("save-view");
  const forget = e.target.closest?.("[data-forget-view]");
  if (forget) {
    ask("DELETE", "/v1/me/views?" + new URLSearchParams({ name: forget.dataset.forgetView })).then((a) => {
      if (a.ok) forget.closest(".saved").remove(); else toast("The view could not be forgotten.", "late");
    });
  }
});
document.querySelector("[data-bulk-form]")?.addEventListener("submit", (e) => { e.preventDefault(); run(e.target); });
document.getElementById("bulk-to")?.addEventListener("change", preview);
document.querySelector("[data-save-form]").addEventListener("submit", async (e) => {
  e.preventDefault();
  const query = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (value && !["q", "customer", "source", "due_before", "cursor"].includes(name)) query.append(name, value);
  }
  if (!query.has("sort")) query.set("sort", e.target.dataset.sort);
  const a = await ask("PUT", "/v1/me/views", { name: e.target.elements.name.value, query: query.toString() });
  if (a.ok) location.reload(); else refuse(e.target, a);
});
