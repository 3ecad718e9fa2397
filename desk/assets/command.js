// Commands: a form marked data-command is sent to the API as JSON. What comes of it is said in words: a refusal with its
// rule and with whoever was faster. Until the outcome is known, a repeat is the same request (Idempotency-Key).

import { instantOf } from "./time.js";
import { refresh } from "./refresh.js";
import { sending } from "./draft.js";

export const element = (name, properties = {}, ...children) => {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return e;
};

// newKey names one intent.
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

// toast says something that needs no answer.
export const toast = (text, kind = "good", link = null) => {
  const box = document.getElementById("toasts");
  const e = element("p", { className: "toast " + kind }, text, link ? " " : null, link);
  box.append(e);
  setTimeout(() => e.remove(), kind === "good" ? 6_000 : 12_000);
};

// toastNext says it on the page that comes next.
export const toastNext = (text) => { try { sessionStorage.setItem("toast", text); } catch { /* then it is not said */ } };

let staff = null;
// nameOf is what a person is called.
export const nameOf = async (id) => {
  staff ??= fetch("/v1/staff").then((r) => (r.ok ? r.json() : { items: [] })).catch(() => ({ items: [] }));
  return (await staff).items.find((p) => p.id === id)?.name || id;
};

// ask sends something and returns {ok, status, body}: body is what was asked for, or a problem. Status 0: no answer.
export const ask = async (method, url, body, headers = {}) => {
  try {
    const answer = await fetch(url, {
      method, headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    let read = null;
    try { read = text ? JSON.parse(text) : null; } catch { /* of a proxy in between */ }
    return { ok: answer.ok, status: answer.status, body: read };
  } catch {
    return { ok: false, status: 0, body: null };
  }
};

// keyOf is the key of what a form is about to ask for: while its outcome is unknown, the same again is the same request.
export const keyOf = (form, ...asked) => {
  const same = JSON.stringify(asked);
  if (form.intent?.same !== same) form.intent = { same, key: newKey() };
  return form.intent.key;
};
// known notes what came of it.
export const known = (form, a) => { if (!unknown(a)) form.intent = null; };

// unknown tells an answer after which it is not known whether it was done: it may be sent again as it is.
const unknown = (a) => a.status === 0 || a.status === 202 || a.status === 504 || a.status === 502 || (a.status >= 500 && !a.body?.code);

// send gives one command. The same intent (its key) may be sent again while its outcome is unknown.
export const send = async (url, body, { key = newKey(), match = "", patience = 8 } = {}) => {
  const headers = { "Idempotency-Key": key };
  if (match) headers["If-Match"] = `"${match}"`;
  let a = await ask("POST", url, body, headers);
  for (let i = 0; a.status === 202 && i < patience && !url.endsWith("/customer-called"); i++) {
    await new Promise((done) => setTimeout(done, 1_000));
    a = await ask("POST", url, body, headers);
  }
  return a;
};

// explain says a refusal in words, as nodes.
export const explain = async (a) => {
  const p = a.body || {};
  if (a.status === 0) return [element("strong", { textContent: "No connection. " }), "What you typed is kept. Press again: it is the same request, and nothing is done twice."];
  if (a.status === 401) {
    return [element("strong", { textContent: "You are signed out. " }), "What you typed is kept. ",
      element("a", { href: "/sign-in?next=/help", target: "_blank", rel: "noopener", textContent: "Sign in in a new tab" }), ", then press again."];
  }
  const said = [];
  const holder = p.holder ? await nameOf(p.holder) : "";
  switch (p.code) {
    case "already_claimed":
      said.push(element("strong", { textContent: p.holder === document.documentElement.dataset.me ? "It is yours already. " : `${holder} was faster. ` }),
        p.holder === document.documentElement.dataset.me ? "" : `${holder} has it and makes the next call.`);
      break;
    case "stale_version":
      said.push(element("strong", { textContent: "Something happened to it meanwhile. " }), "The page shows it now, and what you typed is kept. If it still holds, press again.");
      break;
    case "closed":
      said.push(element("strong", { textContent: "It is closed. " }), "Somebody has completed or cancelled it meanwhile; what happened is on its timeline.");
      break;
    case "outcome_unknown":
      said.push(element("strong", { textContent: "No answer in time. " }), "It may have been done. Press again to learn: it is the same request, and nothing is done twice.");
      break;
    case "contact_required":
    case "held":
      if (p.rule === "R26" || p.existing) { // an erasure that has to wait for something
        said.push(element("strong", { textContent: "Not yet. " }), sentence(p.detail));
        break;
      }
    // fallthrough
    default:
      said.push(element("strong", { textContent: (p.title || "That did not work") + ". " }), sentence(p.detail || `The desk answered ${a.status}.`));
  }
  if (p.existing) said.push(" ", element("a", { href: "/callbacks/" + p.existing, textContent: p.code === "duplicate" ? "Open the one that exists" : "Open that one" }));
  if (p.rule) said.push(" ", element("a", { className: "rule", href: "/help#" + p.rule, textContent: "Rule " + p.rule }));
  return said;
};

const sentence = (s) => { s = s.charAt(0).toUpperCase() + s.slice(1); return /[.!?]$/.test(s) ? s : s + "."; };

// read makes JSON of a form: names with dots are members of members, what is empty is left out.
export const read = (form, submitter) => {
  const body = {};
  const put = (name, value) => {
    const path = name.split(".");
    let at = body;
    for (const part of path.slice(0, -1)) at = at[part] ??= {};
    at[path.at(-1)] = value;
  };
  for (const e of form.elements) {
    if (!e.name || e.disabled || ["submit", "button", "fieldset"].includes(e.type) || ((e.type === "radio" || e.type === "checkbox") && !e.checked)) continue;
    if (e.value.trim() === "") continue;
    if (e.type === "checkbox" && e.value === "true") put(e.name, true);
    else if ("instant" in e.dataset) put(e.name, instantOf(e.value, document.getElementById(e.dataset.instant)?.value || undefined));
    else put(e.name, e.value);
  }
  if (submitter?.name) put(submitter.name, submitter.value);
  return body;
};

// clear takes away what was said of a refusal before.
export const clear = (form) => {
  const box = form.querySelector("[data-refused]");
  if (box) { box.hidden = true; box.replaceChildren(); }
  for (const e of form.querySelectorAll("[aria-invalid]")) { e.removeAttribute("aria-invalid"); e.removeAttribute("aria-describedby"); }
  for (const e of form.querySelectorAll(".field-error")) e.remove();
};

// refuse shows in the form what was wrong, and where.
export const refuse = async (form, a) => {
  const said = await explain(a);
  const box = form.querySelector("[data-refused]");
  let first = null;
  const unplaced = [];
  for (const wrong of a.body?.errors || []) {
    const field = form.elements.namedItem(wrong.path) || form.elements.namedItem(wrong.path.split(".").at(-1));
    const e = field instanceof RadioNodeList ? field[0] : field;
    if (!e || e.type === "hidden") { unplaced.push(wrong); continue; }
    const note = element("p", { className: "field-error", id: "wrong-" + wrong.path, textContent: e.dataset.wrong && e.value.trim() !== "" ? e.dataset.wrong : sentence(wrong.message) });
    e.setAttribute("aria-invalid", "true");
    e.setAttribute("aria-describedby", note.id);
    e.after(note);
    first ??= e;
  }
  if (!box) { toast(said.map((s) => s.textContent ?? s).join(""), "late"); return; }
  box.replaceChildren(element("p", {}, ...said));
  if (unplaced.length) box.append(element("ul", {}, ...unplaced.map((w) => element("li", { textContent: `${w.path}: ${w.message}` }))));
  box.hidden = false;
  first?.focus();
};

// missing is a refusal of what a form asks for and has not got; null: it has everything. Forms that the browser does not
// check are checked by it, so that each field says what it lacks.
export const missing = (form) => {
  const empty = [...form.elements].filter((e) => e.required && !e.disabled && e.value.trim() === "" && !e.closest("[hidden], fieldset:disabled"));
  if (!empty.length) return null;
  return { ok: false, status: 422, body: { title: "Something is missing", detail: `${empty.length === 1 ? "One field is" : `${empty.length} fields are`} still empty`,
    errors: empty.map((e) => ({ path: e.name, message: e.tagName === "SELECT" ? "choose one" : "is needed" })) } };
};

const done = {
  create: "Promised.", claim: "Claimed: it is yours.", start: "In progress.", attempt: "The call is recorded.", note: "Saved.", escalate: "Escalated.",
  reassign: "Reassigned.", release: "Back in its queue.", hold: "The clock stands still.", resume: "The clock goes on.",
  reschedule: "Promised for the new time.", complete: "Completed. Thank you.", cancel: "Cancelled.", replay: "Replayed.", waive: "Written down.", erase: "The customer is erased.", retry: "It is tried again.", understand: "Read again.", "declare-outage": "Declared: everybody is told.", "end-outage": "Over: everything goes on.", "customer-called": "Recorded.",
};

const submit = async (form, submitter) => {
  if (form.dataset.busy) return;
  clear(form);
  const lacks = missing(form);
  if (lacks) { await refuse(form, lacks); return; }
  const url = new URL(form.getAttribute("action"), location.href).pathname;
  const body = read(form, submitter);
  form.dataset.busy = "1";
  const accepted = sending(form);
  let a = await send(url, body, { key: keyOf(form, url, body), match: form.dataset.match || "" });
  if (a.status === 412) a = await outdated(form, url, a);
  delete form.dataset.busy;
  known(form, a);
  if (a.ok) {
    form.intent = null;
    accepted();
    form.closest("dialog")?.close();
    toast(a.status === 202 && form.dataset.command !== "customer-called"
      ? "Accepted and safe. The lists show it in a moment." : form.dataset.done || done[form.dataset.command] || "Done.");
    form.dispatchEvent(new CustomEvent("done", { bubbles: true, detail: a.body }));
    await refresh();
    return;
  }
  if (a.status === 409 || a.status === 412) await refresh();
  const shown = form.isConnected ? form : null;
  if (shown) await refuse(shown, a);
  else toast((await explain(a)).map((s) => s.textContent ?? s).join(""), "late");
};

// outdated learns what a callback is now that it is no longer what the form was made for: the next press goes by that.
const outdated = async (form, url, a) => {
  const now = await ask("GET", url.split("/").slice(0, 4).join("/"));
  if (!now.ok) return a;
  form.dataset.match = now.body.version;
  const closed = ["completed", "cancelled"].includes(now.body.status);
  return closed ? { ok: false, status: 409, body: { code: "closed", rule: "R09" } } : a;
};

// claimNext claims the first that is still to be had.
const claimNext = async (form) => {
  const queues = document.documentElement.dataset.queues.split("|").filter(Boolean);
  const query = new URLSearchParams([["status", "queued"], ["limit", "20"], ...queues.map((q) => ["queue", q])]);
  form.dataset.busy = "1";
  clear(form);
  const list = await ask("GET", "/v1/callbacks?" + query);
  let last = list, faster = [];
  for (const c of list.ok ? list.body.items : []) {
    if (!c.allowed.includes("claim")) continue;
    last = await send(`/v1/callbacks/${c.id}/claim`, {});
    if (last.ok) {
      toast(`${c.customer?.name || "It"} is yours.` + (faster.length ? ` (${[...new Set(faster)].join(", ")} was faster with the one before.)` : ""));
      break;
    }
    if (last.body?.code !== "already_claimed") break;
    faster.push(await nameOf(last.body.holder));
  }
  delete form.dataset.busy;
  await refresh();
  if (last.ok && last !== list) { document.getElementById("first")?.focus(); return; }
  if (last.ok) toast("Nobody waits in your queues right now.");
  else await refuse(form.isConnected ? form : document.querySelector("[data-claim-next]") || form, last);
};

export const start = () => {
  const said = sessionStorage.getItem("toast");
  if (said) { sessionStorage.removeItem("toast"); toast(said); }
  document.addEventListener("submit", (e) => {
    const form = e.target;
    if (form.dataset.claimNext !== undefined) { e.preventDefault(); if (!form.dataset.busy) claimNext(form); }
    else if (form.dataset.command) { e.preventDefault(); submit(form, e.submitter); }
  });
  document.addEventListener("click", (e) => {
    const opener = e.target.closest?.("[data-dialog]");
    if (opener) openDialog(opener.dataset.dialog);
    if (e.target.closest?.("[data-close]")) e.target.closest("dialog")?.close();
    const preset = e.target.closest?.("[data-presets] button");
    if (preset) choose(preset);
  });
  // Only once the browser is done with the address: it takes the focus away from where that points.
  const named = () => {
    const id = location.hash.slice(1);
    if (!(document.getElementById(id) instanceof HTMLDialogElement)) return;
    history.replaceState(history.state, "", location.pathname + location.search);
    openDialog(id);
  };
  if (document.readyState === "complete") named(); else addEventListener("load", named);
  addEventListener("hashchange", named);
};

// openDialog opens one of the page's dialogs by its id.
export const openDialog = (id) => {
  const dialog = id && document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
  dialog.showModal();
  (dialog.querySelector("[autofocus], textarea, input:not([type=hidden]):not(:disabled), select, button[type=submit]"))?.focus();
  dialog.dispatchEvent(new Event("opened", { bubbles: true }));
};

// choose fills a time in that many people want.
const choose = async (button) => {
  const { now, localOf } = await import("./time.js");
  const box = button.closest("[data-presets]");
  const seconds = Math.min(Number(button.value), Number(box.dataset.most) || Infinity);
  const input = document.getElementById(box.dataset.presets);
  input.value = localOf(now() + seconds * 1000);
  input.dispatchEvent(new Event("input", { bubbles: true }));
};

