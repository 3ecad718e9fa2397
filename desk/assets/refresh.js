// What the server shows, brought up to date in place: the page is asked for again, and its parts marked data-live are
// changed into what they are now. Focus, open dialogs and what is being typed stay.

import { paint, setNow } from "./time.js";
import { signedOut } from "./live.js";

// dirty tells an input that somebody has changed.
const dirty = (e) => {
  if (e instanceof HTMLInputElement && (e.type === "checkbox" || e.type === "radio")) return e.checked !== e.defaultChecked;
  if (e instanceof HTMLInputElement || e instanceof HTMLTextAreaElement) return e.value !== e.defaultValue;
  return e instanceof HTMLSelectElement;
};

// Of these, the page is the master: people open and close them, and scripts fill them.
const theirs = { DETAILS: ["open"], DIALOG: ["open"], TIME: ["title", "class"] };
const kept = (e) => e.hasAttribute("data-keep") || e.hasAttribute("data-refused") || (e.tagName === "DIALOG" && e.open);

const attributes = (old, next) => {
  const mine = theirs[old.tagName] || [];
  for (const { name, value } of next.attributes) {
    if (!mine.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!mine.includes(name) && !next.hasAttribute(name) && name !== "data-busy") old.removeAttribute(name);
  }
};

// key is what makes a node of a list the same as one of another list.
const key = (n) => (n.nodeType === Node.ELEMENT_NODE && n.id ? n.id : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

// morph makes old look like next.
export const morph = (old, next) => {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  if (old.tagName === "DIALOG" && old.open) { // typed into right now: only the version that it goes by is new
    for (const form of next.querySelectorAll("form[data-match]")) {
      const mine = old.querySelector("form[data-match]");
      if (mine) mine.dataset.match = form.dataset.match;
    }
    return;
  }
  if (kept(old)) return;
  const typed = dirty(old);
  if (old.dataset.version && next.dataset.version && old.dataset.version !== next.dataset.version) flash(old);
  attributes(old, next);
  if (old instanceof HTMLTextAreaElement || old instanceof HTMLSelectElement && old.matches(":focus")) {
    if (!typed && old.value !== next.value) old.value = next.value;
    return;
  }
  children(old, next);
};

const children = (old, next) => {
  const byKey = new Map();
  for (const child of old.childNodes) if (key(child)) byKey.set(key(child), child);
  let at = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    let match = key(wanted) ? byKey.get(key(wanted)) : null;
    if (!match && at && alike(at, wanted)) match = at;
    if (match) {
      if (match !== at) old.insertBefore(match, at); else at = at.nextSibling;
      morph(match, wanted);
    } else {
      old.insertBefore(document.importNode(wanted, true), at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    if (gone.nodeType === Node.ELEMENT_NODE && kept(gone)) continue;
    gone.remove();
  }
};

const flash = (e) => {
  e.classList.add("flash");
  setTimeout(() => e.classList.remove("flash"), 1500);
};

let running = null, again = false;

// refresh brings the page up to date; of many calls at once, two do something.
export const refresh = () => {
  if (running) { again = true; return running; }
  running = (async () => {
    do {
      again = false;
      await once();
    } while (again);
  })().finally(() => { running = null; });
  return running;
};

const once = async () => {
  let answer;
  try {
    answer = await fetch(location.pathname + location.search, { headers: { "X-Ringback-Fragment": "1" } });
  } catch {
    return; // the banner says that there is no connection
  }
  if (answer.redirected) { signedOut(); return; }
  if (!answer.ok) return;
  apply(await answer.text());
};

// apply changes the page's live parts into those of a text.
export const apply = (html) => {
  const next = new DOMParser().parseFromString(html, "text/html");
  if (next.title) document.title = next.title; // a customer's name may have been erased
  if (next.documentElement.dataset.now) setNow(next.documentElement.dataset.now);
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = next.getElementById(old.id);
    if (now && !old.closest("[data-keep]")) morph(old, now);
  }
  paint();
  document.dispatchEvent(new Event("refreshed"));
};

// soon calls f after a pause, and not again before the pause is over.
export const soon = (f, pause, first = 60) => {
  let timer = 0, last = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; last = performance.now(); f(); }, Math.max(first, last + pause - performance.now()));
  };
};
