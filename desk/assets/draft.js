// Nothing typed is ever lost: what is in a form marked data-draft is kept in this browser, for this person, until the
// desk has accepted it.

const prefix = `draft:${document.documentElement.dataset.me}:`;
const keptFor = 7 * 86_400_000;

const nameOf = (form) => prefix + form.dataset.draft;
const fields = (form) => [...form.elements].filter((e) => e.name && !["hidden", "submit", "button", "fieldset"].includes(e.type));
const boxed = (e) => e.type === "checkbox" || e.type === "radio";
const initial = (e) => {
  if (boxed(e)) return e.checked === e.defaultChecked;
  if (e.tagName === "SELECT") return e.selectedIndex === Math.max([...e.options].findIndex((o) => o.defaultSelected), 0);
  return e.value === e.defaultValue;
};

const store = {
  get: (name) => { try { return JSON.parse(localStorage.getItem(name)); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* full, or not allowed: the form still has it */ } },
  remove: (name) => { try { localStorage.removeItem(name); } catch { /* as above */ } },
};

// What is kept is what is no more as it came: emptied and unticked fields too.
const save = (form) => {
  const changed = fields(form).filter((e) => !initial(e)).map((e) => ({ name: e.name, of: boxed(e) ? e.value : null, is: boxed(e) ? e.checked : e.value }));
  if (changed.length) store.set(nameOf(form), { at: Date.now(), changed }); else store.remove(nameOf(form));
};

const fill = (e, is) => {
  if (boxed(e)) {
    if (e.checked === is || e.disabled) return false;
    e.checked = is;
    return true;
  }
  const was = e.value;
  e.value = is;
  if (e.tagName === "SELECT" && e.selectedIndex < 0) e.value = was; // that is not to be had any more
  return e.value !== was;
};

// restore fills a form with what was typed into it before; it returns whether there was anything.
export const restore = (form) => {
  const draft = store.get(nameOf(form));
  if (!draft?.changed || form.dataset.restored === form.dataset.draft) return false;
  form.dataset.restored = form.dataset.draft;
  let any = false;
  for (const e of fields(form)) {
    const kept = draft.changed.find((c) => c.name === e.name && c.of === (boxed(e) ? e.value : null));
    if (kept && initial(e) && fill(e, kept.is)) any = true;
  }
  if (any) form.dispatchEvent(new Event("restored", { bubbles: true }));
  return any;
};

// sending notes what a form holds, and settles it once that was accepted: what was sent goes, what was typed since stays
// and is kept.
export const sending = (form) => {
  const sent = new Map(fields(form).map((e) => [e, boxed(e) ? e.checked : e.value]));
  return () => {
    const since = fields(form).filter((e) => !sent.has(e) || (boxed(e) ? e.checked : e.value) !== sent.get(e)).map((e) => [e, boxed(e) ? e.checked : e.value]);
    forget(form);
    form.reset();
    for (const [e, is] of since) fill(e, is);
    if (since.length && form.dataset.draft) save(form);
  };
};

export const forget = (form) => { if (form.dataset.draft) store.remove(nameOf(form)); };

// Whoever signs out decides whether what they have not sent stays in this browser, which others may use after them.
const mine = () => Object.keys(localStorage).filter((name) => name.startsWith(prefix));
const signingOut = (form) => {
  const choice = form.querySelector("[data-drafts]");
  document.getElementById("account").addEventListener("toggle", () => {
    const n = mine().length;
    choice.hidden = n === 0;
    choice.querySelector("span").textContent = n === 1 ? "Forget the text that I have not sent" : `Forget the ${n} texts that I have not sent`;
  });
  form.addEventListener("submit", () => { if (choice.querySelector("input").checked) mine().forEach(store.remove); });
};

const restoreAll = () => { for (const form of document.querySelectorAll("form[data-draft]")) restore(form); };

export const start = () => {
  document.addEventListener("input", (e) => { const form = e.target.closest?.("form[data-draft]"); if (form) save(form); });
  document.addEventListener("refreshed", restoreAll);
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith("draft:") && !(Date.now() - (store.get(name)?.at || 0) < keptFor)) store.remove(name);
  }
  restoreAll();
  const out = document.querySelector("[data-sign-out]");
  if (out) signingOut(out);
};
