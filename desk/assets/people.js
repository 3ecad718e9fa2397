// People and keys: what is left empty is said to be empty, and a key is shown once.

import { ask, clear, element, missing, newKey, openDialog, refuse, toast } from "./command.js";
import { forget } from "./draft.js";

const lists = ["queues", "roles", "scopes", "unpin"];
const nullable = ["reports_to", "shift", "capacity"];

// bodyOf is a form as the API takes people: every attribute, be it empty.
const bodyOf = (form) => {
  const body = {};
  for (const e of form.elements) {
    if (!e.name || e.tagName === "FIELDSET" || e.tagName === "BUTTON") continue;
    const [name, system] = e.name.split(".");
    if (lists.includes(name)) { body[name] ??= []; if (e.checked) body[name].push(e.value); }
    else if (system) { body[name] ??= {}; if (e.value.trim()) body[name][system] = e.value.trim(); }
    else if (nullable.includes(name)) body[name] = e.value.trim() === "" ? null : e.type === "number" ? Number(e.value) : e.value.trim();
    else body[name] = e.value.trim();
  }
  return body;
};

// changedOf leaves out what is as it was: only what is given is pinned.
const before = new WeakMap();
for (const form of document.querySelectorAll("form[data-person=PATCH]")) before.set(form, bodyOf(form));
const changedOf = (form) => {
  const was = before.get(form), now = bodyOf(form);
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name])));
};

const send = async (form, method, body) => {
  clear(form);
  const lacks = missing(form);
  if (lacks) { await refuse(form, lacks); return null; }
  const headers = { "Idempotency-Key": newKey() };
  if (form.dataset.match) headers["If-Match"] = `"${form.dataset.match}"`;
  form.dataset.busy = "1";
  const a = await ask(method, form.getAttribute("action"), body, headers);
  delete form.dataset.busy;
  if (!a.ok) { await refuse(form, a); return null; }
  forget(form);
  return a.body;
};

const revoke = document.getElementById("revoke");
document.addEventListener("click", (e) => {
  const button = e.target.closest?.("[data-revoke]");
  if (!button) return;
  revoke.dataset.key = button.dataset.revoke;
  revoke.querySelector("[data-revoke-name]").textContent = button.dataset.name;
  openDialog("revoke");
});

document.addEventListener("submit", async (e) => {
  const form = e.target, { person, leave } = form.dataset;
  if (form.dataset.busy) { e.preventDefault(); return; }
  if (person === "POST") {
    e.preventDefault();
    const made = await send(form, "POST", bodyOf(form));
    if (made) location.assign("/people/" + encodeURIComponent(made.id));
  } else if (person === "PATCH") {
    e.preventDefault();
    const body = changedOf(form);
    if (!Object.keys(body).length) { toast("Nothing is different."); return; }
    if (await send(form, "PATCH", body)) location.reload();
  } else if (leave) {
    e.preventDefault();
    if (await send(form, leave, leave === "PATCH" ? { active: true } : undefined)) location.reload();
  } else if ("unpin" in form.dataset) {
    e.preventDefault();
    const body = bodyOf(form);
    if (body.unpin.length && await send(form, "PATCH", body)) location.reload();
  } else if ("keyForm" in form.dataset) {
    e.preventDefault();
    const body = bodyOf(form);
    if (body.expires_at) body.expires_at = new Date(body.expires_at + "T23:59:59").toISOString();
    const made = await send(form, "POST", body);
    if (!made) return;
    form.reset();
    const box = document.querySelector("[data-new-key]"), copy = element("button", { type: "button", textContent: "Copy" });
    copy.addEventListener("click", () => navigator.clipboard?.writeText(made.key).then(() => toast("Copied.")));
    box.replaceChildren(element("p", {}, element("strong", { textContent: `The key of ${made.name}. It is shown this once: ` })),
      element("p", {}, element("code", { textContent: made.key }), " ", copy));
    box.hidden = false;
    box.scrollIntoView({ block: "center" });
  } else if ("revokeForm" in form.dataset) {
    e.preventDefault();
    const a = await ask("DELETE", "/v1/keys/" + encodeURIComponent(revoke.dataset.key));
    if (a.ok) location.reload(); else refuse(form, a);
  }
});
