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

// key is what makes a node of a list the same as one of another list: what stands for another callback is another node,
// also where it stands in the same place.
const key = (n) => (n.nodeType === Node.ELEMENT_NODE && n.id ? n.id + " " + (n.dataset.id || "") : null);
// Of what a press or a word means, nothing may become something else under whoever presses or types.
const meaning = ["action", "name", "data-dialog"];
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b) &&
  (a.nodeType !== Node.ELEMENT_NODE || meaning.every((name) => a.getAttribute(name) === b.getAttribute(name)));

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
  // Once somebody has chosen by hand, the attribute of an option chooses no more.
  if (old instanceof HTMLSelectElement && old.hasAttribute("data-presence")) old.value = next.value;
};

const stays = (n) => n.nodeType === Node.ELEMENT_NODE && kept(n);

// children makes a list of nodes look like another. A node that is taken out of the page and put in again loses the focus
// and what is typed in it: what stays is not touched, what is between goes.
const children = (old, next) => {
  const all = [...next.childNodes], later = new Set(all.map(key));
  const byKey = new Map();
  for (const child of [...old.childNodes]) {
    if (!key(child)) continue;
    if (later.has(key(child))) byKey.set(key(child), child);
    else if (!stays(child)) child.remove();
  }
  let at = old.firstChild;
  // needed tells a node that one of those to come will be.
  const needed = (n, rest) => stays(n) || (key(n) ? later.has(key(n)) : n.nodeType === Node.ELEMENT_NODE && rest.some((w) => alike(n, w)));
  all.forEach((wanted, i) => {
    const rest = all.slice(i + 1);
    let match = null;
    if (key(wanted)) {
      match = byKey.get(key(wanted));
      later.delete(key(wanted));
      if (match && !alike(match, wanted)) { if (match === at) at = at.nextSibling; match.remove(); match = null; }
    } else {
      for (let n = at; n && !match; n = n.nextSibling) {
        if (alike(n, wanted)) match = n;
        else if (wanted.nodeType !== Node.ELEMENT_NODE || needed(n, rest)) break;
      }
    }
    if (!match) {
      old.insertBefore(document.importNode(wanted, true), at);
      return;
    }
    for (let n = at; n && n !== match;) {
      const between = n;
      n = n.nextSibling;
      if (needed(between, rest)) continue;
      if (between === at) at = n;
      between.remove();
    }
    if (match === at) at = match.nextSibling;
    else if (!match.contains(document.activeElement)) old.insertBefore(match, at);
    else { // who has the focus stays where they are, and the others go behind
      while (at !== match) {
        const behind = at;
        at = at.nextSibling;
        old.insertBefore(behind, match.nextSibling);
      }
      at = match.nextSibling;
    }
    morph(match, wanted);
  });
  while (at) {
    const gone = at;
    at = at.nextSibling;
    if (!stays(gone)) gone.remove();
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
  const focused = document.activeElement;
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = next.getElementById(old.id);
    if (now && !old.closest("[data-keep]")) morph(old, now);
  }
  paint();
  if (!focused.isConnected && focused.form?.dataset.draft && dirty(focused)) document.dispatchEvent(new Event("taken"));
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
