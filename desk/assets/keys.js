// Everything by keyboard. Keys that are single letters work outside of fields only, and can be turned off.

const places = { w: "/", b: "/board", a: "/activities?status=scheduled&status=queued&status=claimed&status=in_progress", t: "/tags", l: "/wallboard", r: "/reports", p: "/policies", u: "/audit", o: "/outages", s: "/systems", e: "/people", h: "/help", n: "/new" };

const enabled = () => localStorage.getItem("single-keys") !== "off";
const typing = (e) => e.target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
const visible = (e) => e && e.getClientRects().length > 0;

const rows = () => [...document.querySelectorAll("[data-row]")].filter(visible);
const row = () => document.activeElement?.closest("[data-row]");

const move = (by) => {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(row());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
};

const press = (e) => { if (visible(e)) { e.focus(); e.click(); return true; } return false; };
const first = (selector, within = document) => [...within.querySelectorAll(selector)].find(visible);

const act = () => press(row() && first("[data-act], .act, .card-act button, .card-act a", row())) ||
  press(row()?.parentElement.matches(".card-row") && first(".card-act button, .card-act a", row().parentElement)) ||
  press(first("[data-act], button.act"));

const claim = () => {
  const own = row() && (row().parentElement.matches(".card-row") ? row().parentElement : row());
  return press(own && first("form[data-command=claim] button", own)) || press(first("[data-key=c]")) || press(first("form[data-command=claim] button"));
};

const showKeys = () => { const d = document.getElementById("keys"); if (!d.open) d.showModal(); };

// Who types into a field that the page has just taken away types on: their letters are no commands until they pause.
let field = null, typed = 0;
const typingOn = (e) => {
  if (typing(e)) field = e.target;
  else if (!field || field.isConnected || performance.now() - typed > 1500) return false;
  typed = performance.now();
  return true;
};

let waiting = 0;
const single = {
  "?": showKeys,
  "/": () => { const q = first("#q"); if (q) { q.focus(); q.select(); } else location.assign("/search"); },
  j: () => move(1), k: () => move(-1),
  a: act, c: claim,
  n: () => first('nav a[href="/new"]') && location.assign("/new"),
  m: () => press(row() && first("[data-menu]", row())),
  x: () => press(row() && first("input[type=checkbox]", row())),
  g: () => { waiting = Date.now(); },
};

export const start = () => {
  document.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
      const form = e.target.closest?.("form");
      if (form) { e.preventDefault(); form.requestSubmit(form.querySelector("button[type=submit]:not([name])") || undefined); }
      return;
    }
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || typingOn(e) || !enabled()) return;
    if (document.querySelector("dialog[open]")) return;
    if (e.key === "Enter" && e.target.matches?.("[data-row]")) { press(first("[data-open]", e.target)); return; }
    if (waiting && Date.now() - waiting < 1500 && places[e.key]) {
      waiting = 0;
      e.preventDefault();
      location.assign(places[e.key]);
      return;
    }
    waiting = 0;
    const f = single[e.key];
    if (f) { e.preventDefault(); f(); }
  });
  document.addEventListener("click", (e) => { if (e.target.closest?.("[data-show-keys]")) { document.getElementById("account")?.hidePopover(); showKeys(); } });
  const toggle = document.querySelector("[data-single-keys]");
  if (toggle) {
    toggle.checked = enabled();
    toggle.addEventListener("change", () => localStorage.setItem("single-keys", toggle.checked ? "on" : "off"));
  }
};
