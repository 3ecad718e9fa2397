// People and keys: what is left empty is said to be empty, and a key is shown once.

import { ask, clear, element, keyOf, known, missing, openDialog, refuse, toast, toastNext } from "./command.js";
import { forget } from "./draft.js";
import { refresh } from "./refresh.js";

const lists = ["queues", "roles", "scopes", "unpin"];
const nullable = ["reports_to", "shift", "capacity"];

// What a field holds now, and what it held when the page was made: a draft may have been filled in since.
const now = { checked: (e) => e.checked, value: (e) => e.value.trim() };
const before = {
  checked: (e) => e.defaultChecked,
  value: (e) => (e.tagName === "SELECT" ? ([...e.options].find((o) => o.defaultSelected) ?? e.options[0])?.value ?? "" : e.defaultValue).trim(),
};

// bodyOf is a form as the API takes people: every attribute, be it empty.
const bodyOf = (form, of = now) => {
  const body = {};
  for (const e of form.elements) {
    if (!e.name || e.tagName === "FIELDSET" || e.tagName === "BUTTON") continue;
    const [name, system] = e.name.split(".");
    if (lists.includes(name)) { body[name] ??= []; if (of.checked(e)) body[name].push(e.value); continue; }
    const value = of.value(e);
    if (system) { body[name] ??= {}; if (value) body[name][system] = value; }
    else if (nullable.includes(name)) body[name] = value === "" ? null : e.type === "number" ? Number(value) : value;
    else body[name] = value;
  }
  return body;
};

// changedOf leaves out what is as it was: only what is given is pinned.
const changedOf = (form) => {
  const was = bodyOf(form, before);
  return Object.fromEntries(Object.entries(bodyOf(form)).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name])));
};

// send asks for what a form says; null: it was refused, which the form shows.
const send = async (form, method, url, body) => {
  clear(form);
  const lacks = missing(form);
  if (lacks) { await refuse(form, lacks); return null; }
  const headers = { "Idempotency-Key": keyOf(form, method, url, body) };
  if (form.dataset.match) headers["If-Match"] = `"${form.dataset.match}"`;
  form.dataset.busy = "1";
  const a = await ask(method, url, body, headers);
  delete form.dataset.busy;
  known(form, a);
  if (a.ok) { forget(form); return a.body; }
  if (a.status === 412 || a.status === 409) await refresh(); // the page shows what others made of it; what is typed stays
  await refuse(form, a);
  return null;
};

const revoke = document.getElementById("revoke");
document.addEventListener("click", (e) => {
  const button = e.target.closest?.("[data-revoke]");
  if (!button) return;
  revoke.dataset.key = button.dataset.revoke;
  revoke.querySelector("[data-revoke-name]").textContent = button.dataset.name;
  clear(revoke.querySelector("form"));
  openDialog("revoke");
});

// showKey shows a key, the only time that there is.
const showKey = (made) => {
  const box = document.querySelector("[data-new-key]");
  box.dataset.newKey = made.id;
  if (!made.key) { // the first answer was lost on its way
    box.className = "new-key late verdict";
    box.replaceChildren(element("p", {}, element("strong", { textContent: `The key of ${made.name} was made, but it got lost on its way here. ` }),
      "Nobody can show it again: revoke it, and make another."));
  } else {
    const copy = element("button", { type: "button", textContent: "Copy" });
    copy.addEventListener("click", () => navigator.clipboard?.writeText(made.key).then(() => toast("Copied."), () => toast("The browser does not let the page copy: select it.", "late")));
    box.className = "new-key good verdict";
    box.replaceChildren(element("p", {}, element("strong", { textContent: `The key of ${made.name}. It is shown this once: ` })),
      element("p", {}, element("code", { textContent: made.key }), " ", copy));
  }
  box.hidden = false;
  box.scrollIntoView({ block: "center" });
};

const submits = {
  add: async (form, url) => {
    const made = await send(form, "POST", url, bodyOf(form));
    if (!made) return;
    toastNext(`${made.name} works here now.`);
    location.assign("/people/" + encodeURIComponent(made.id));
  },
  change: async (form, url) => {
    const body = changedOf(form);
    if (!Object.keys(body).length) { toast("Nothing is different."); return; }
    if (await send(form, "PATCH", url, body)) { await refresh(); toast("Saved."); }
  },
  leave: async (form, url) => {
    const { leave } = form.dataset;
    const p = await send(form, leave, url, leave === "PATCH" ? { active: true } : undefined);
    if (p) { await refresh(); toast(p.active ? `${p.name} works here again.` : `${p.name} no longer works here.`); }
  },
  unpin: async (form, url) => {
    const body = bodyOf(form);
    if (!body.unpin.length) { toast("Choose what to give back."); return; }
    if (await send(form, "PATCH", url, body)) { form.reset(); await refresh(); toast("Given back."); }
  },
  key: async (form, url) => {
    const body = bodyOf(form);
    if (body.expires_at) body.expires_at = new Date(body.expires_at + "T23:59:59").toISOString();
    const made = await send(form, "POST", url, body);
    if (!made) return;
    form.reset();
    showKey(made);
    await refresh();
  },
  revoke: async (form) => {
    const k = await send(form, "DELETE", "/v1/keys/" + encodeURIComponent(revoke.dataset.key));
    if (!k) return;
    revoke.close();
    for (const box of document.querySelectorAll(`[data-new-key="${k.id}"]`)) { box.replaceChildren(); box.hidden = true; }
    await refresh();
    toast(`Revoked: ${k.name} is turned away from now on.`);
  },
};
const kindOf = ({ person, leave, unpin, keyForm, revokeForm }) =>
  person === "POST" ? "add" : person ? "change" : leave ? "leave" : unpin !== undefined ? "unpin" : keyForm !== undefined ? "key" : revokeForm !== undefined ? "revoke" : "";

document.addEventListener("submit", (e) => {
  const kind = kindOf(e.target.dataset);
  if (!kind) return;
  e.preventDefault();
  if (!e.target.dataset.busy) submits[kind](e.target, e.target.getAttribute("action"));
});
