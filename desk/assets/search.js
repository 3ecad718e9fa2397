// Search from everywhere: what is typed is looked for at once; the page /search does the same without script.

import { ask, element } from "./command.js";
import { short, now, statusWord } from "./time.js";

// A number that is written in groups, as pages show it, is one word to look for; oneNumber of filters.go does the same.
const oneNumber = (q) => (/^(\+|00)[\d\s\-()./]+$/.test(q) ? "+" + q.replace(/^00/, "").replace(/\D/g, "") : q);

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const start = () => {
  const input = document.querySelector("[data-search]");
  if (!input) return;
  const list = document.getElementById("found");
  let timer = 0, asked = 0, at = -1;

  const open = (is) => {
    list.hidden = !is;
    input.setAttribute("aria-expanded", String(is));
    if (!is) { at = -1; input.removeAttribute("aria-activedescendant"); }
  };
  const mark = (to) => {
    const all = [...list.children].filter((e) => e.dataset.href);
    if (!all.length) return;
    at = (to + all.length) % all.length;
    all.forEach((e, i) => e.setAttribute("aria-selected", String(i === at)));
    input.setAttribute("aria-activedescendant", all[at].id);
    all[at].scrollIntoView({ block: "nearest" });
  };
  const option = (c, i) => {
    const left = Date.parse(c.due_at) - now();
    const when = ["completed", "cancelled"].includes(c.status) ? c.status : left < 0 ? short(left) + " late" : short(left) + " left";
    const e = element("li", { id: "found-" + i, role: "option" },
      element("strong", { textContent: c.customer?.name || "Customer erased" }), " ",
      element("span", { className: "quiet", textContent: [c.customer?.phone, c.source && `${c.source.system} ${c.source.ref}`, ["completed", "cancelled"].includes(c.status) ? null : statusWord(c.status), when].filter(Boolean).join(" · ") }));
    e.dataset.href = "/callbacks/" + c.id;
    return e;
  };
  const look = async () => {
    const q = oneNumber(input.value.trim());
    if (q.length < 2) { open(false); return; }
    const mine = ++asked;
    const a = await ask("GET", "/v1/callbacks?" + new URLSearchParams(uuid.test(q) ? { id: q } : { q, limit: "8", sort: "-requested_at" }));
    if (mine !== asked || document.activeElement !== input) return;
    at = -1;
    if (!a.ok) list.replaceChildren(element("li", { className: "quiet", textContent: a.body?.title || "Search is not available right now." }));
    else if (!a.body.items.length) list.replaceChildren(element("li", { className: "quiet", textContent: "Nothing found. Every word must occur, as the beginning of a word." }));
    else list.replaceChildren(...a.body.items.map(option));
    open(true);
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 180); });
  input.addEventListener("focus", () => { if (list.children.length && input.value.trim().length > 1) open(true); });
  input.addEventListener("blur", () => setTimeout(() => open(false), 150));
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") { e.preventDefault(); mark(at + 1); }
    else if (e.key === "ArrowUp") { e.preventDefault(); mark(at - 1); }
    else if (e.key === "Escape") { e.preventDefault(); if (list.hidden) input.blur(); else open(false); } // browsers would empty it
    else if (e.key === "Enter" && at >= 0 && !list.hidden) { e.preventDefault(); location.assign(list.children[at].dataset.href); }
  });
  list.addEventListener("mousedown", (e) => {
    const href = e.target.closest("[data-href]")?.dataset.href;
    if (href) location.assign(href);
  });
};
