// The board: cards come and go as callbacks change, and are moved by dragging or by their menu, which do the same.

import { changes, signedOut } from "./live.js";
import { ask, element, nameOf, openDialog, refuse, send, explain, toast } from "./command.js";
import { paint, setNow } from "./time.js";
import { restore } from "./draft.js";
import { morph } from "./refresh.js";

const board = document.querySelector("[data-board]");
const filters = new URLSearchParams(board.dataset.query);
const by = board.dataset.lanes;
const open = ["scheduled", "queued", "claimed", "in_progress"];

const cardOf = (id) => document.getElementById("b-" + id);
const laneOf = (card) => (by ? card.dataset[by] : "");
const cells = new Map(); // by lane and status
const keyOf = (lane, status) => lane + "\n" + status;
const index = () => {
  cells.clear();
  for (const cell of board.querySelectorAll(".cell[data-status]")) cells.set(keyOf(cell.closest(".lane").dataset.lane, cell.dataset.status), cell);
};
index();

// Where a card belongs among others: places sort as the API does.
const insert = (stack, card) => {
  const sorted = (a, b) => !a || !b || a.dataset.place < b.dataset.place;
  if (card.parentElement === stack && sorted(card.previousElementSibling, card) && sorted(card, card.nextElementSibling)) return;
  card.remove();
  const cards = stack.children;
  let low = 0, high = cards.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cards[middle].dataset.place < card.dataset.place) low = middle + 1; else high = middle;
  }
  stack.insertBefore(card, cards[low] || null);
};

// place puts a card where it belongs now, or takes it away. A card that is there already stays the same element, so that
// whoever has it under the mouse or in focus keeps it.
const place = (next) => {
  let card = cardOf(next.dataset.id);
  if (card && Number(card.dataset.version) > Number(next.dataset.version)) return;
  const had = card?.contains(document.activeElement), from = card?.closest(".cell");
  if (card) morph(card, next); else card = next;
  const cell = cells.get(keyOf(laneOf(card), card.dataset.status));
  if (!open.includes(card.dataset.status)) {
    const lane = [...board.querySelectorAll(".lane")].find((l) => l.dataset.lane === laneOf(card));
    const closed = lane?.querySelector("[data-closed]");
    card.draggable = false;
    if (!closed) card.remove();
    else if (card.parentElement !== closed) closed.prepend(card);
    while (closed && closed.children.length > 30) closed.lastElementChild.remove();
  } else if (!cell) {
    again(); // a lane that was not there
  } else if (!cell.dataset.next || card.dataset.place <= cell.dataset.last) {
    insert(cell.querySelector(".stack"), card);
  } else card.remove(); // it comes with those that are not loaded yet
  if (from && from !== card.closest(".cell")) card.classList.add("flash");
  paint(card);
  if (had && card.isConnected && !card.contains(document.activeElement)) card.focus();
  more(cell);
  more(from);
};

const more = (cell) => {
  if (!cell) return;
  const shown = cell.querySelector(".stack").children.length, count = Number(cell.dataset.count);
  const button = cell.querySelector("[data-more]");
  if (!button) return; // what is closed has none
  button.hidden = !cell.dataset.next || count <= shown;
  button.firstElementChild.textContent = Math.max(count - shown, 0);
};

const parse = (html) => [...new DOMParser().parseFromString(html, "text/html").querySelectorAll("article")].map((e) => document.importNode(e, true));

// clockOf takes the server's clock of an answer: that of the computer may have been put right since the page came.
const clockOf = (answer) => { const at = answer.headers.get("X-Now"); if (at) setNow(at); };

// What has changed is asked for together, a few times a second.
const dirty = new Set();
let asking = false, soonest = 0;
const settle = async () => {
  if (asking || !dirty.size) return;
  asking = true;
  const ids = [...dirty].slice(0, 100);
  for (const id of ids) dirty.delete(id);
  const query = new URLSearchParams(filters);
  for (const id of ids) query.append("id", id);
  try {
    const answer = await fetch("/board/cards?" + query);
    if (answer.ok) {
      clockOf(answer);
      const found = new Map(parse(await answer.text()).map((card) => [card.dataset.id, card]));
      for (const id of ids) {
        if (found.has(id)) place(found.get(id)); else cardOf(id)?.remove();
      }
      board.dispatchEvent(new CustomEvent("settled", { detail: ids }));
    }
  } catch { /* when the connection is back, everything is looked at again */ }
  asking = false;
  if (dirty.size) later();
};
const later = () => {
  if (soonest) return;
  soonest = setTimeout(() => { soonest = 0; settle(); }, 60);
};

// Counts are the API's own, not sums of what was seen.
let countTimer = 0;
const count = () => {
  countTimer ||= setTimeout(async () => {
    countTimer = 0;
    const query = new URLSearchParams(filters);
    query.delete("lanes");
    for (const s of open) query.append("status", s);
    query.append("by", "status");
    if (by) query.append("by", by);
    const a = await ask("GET", "/v1/counts?" + query);
    if (!a.ok) return;
    const perLane = {};
    for (const cell of cells.values()) cell.dataset.count = 0;
    for (const g of a.body.groups) {
      const lane = by ? g[by] : "";
      perLane[lane] = (perLane[lane] || 0) + g.count;
      const cell = cells.get(keyOf(lane, g.status));
      if (cell) cell.dataset.count = g.count;
    }
    const set = (e, n) => { if (e && e.textContent !== String(n)) e.textContent = n; };
    set(document.querySelector("[data-total]"), a.body.count);
    for (const lane of board.querySelectorAll(".lane")) set(lane.querySelector("[data-lane-count]"), perLane[lane.dataset.lane] || 0);
    for (const cell of cells.values()) { set(cell.querySelector(".count"), cell.dataset.count); more(cell); }
  }, 400);
};

changes.addEventListener("callback", (e) => {
  const c = e.detail, card = cardOf(c.id);
  count();
  if (!card && open.includes(c.status)) {
    // Behind what is loaded there is nothing to draw, only to count.
    const cell = cells.get(keyOf(by ? c[by] : "", c.status));
    if (cell?.dataset.next && c.due_at && "1" + c.due_at > cell.dataset.last) return;
  } else if (!card) return;
  if (card && Number(card.dataset.version) >= c.version) return;
  dirty.add(c.id);
  later();
});
// again shows the whole board as it is now. Nothing else of the page goes: a dialog that somebody types in stays open.
const again = async () => {
  const answer = await fetch(location.pathname + location.search).catch(() => null);
  if (answer?.redirected) signedOut();
  if (!answer?.ok || answer.redirected) return; // the banner says that there is no connection
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (page.documentElement.dataset.now) setNow(page.documentElement.dataset.now);
  const focused = document.activeElement?.closest(".bcard")?.id;
  board.replaceChildren(...[...page.querySelector("[data-board]").children].map((e) => document.importNode(e, true)));
  document.querySelector("[data-total]").textContent = page.querySelector("[data-total]").textContent;
  index();
  paint(board);
  if (focused) document.getElementById(focused)?.focus();
};
changes.addEventListener("reset", again);
board.addEventListener("passed", (e) => { const card = e.target.closest(".bcard"); if (card) { dirty.add(card.dataset.id); setTimeout(later, 1_200); } });

// More of one cell.
board.addEventListener("click", async (e) => {
  const button = e.target.closest("[data-more]");
  if (!button) return;
  const cell = button.closest(".cell");
  const query = new URLSearchParams(filters);
  query.set("status", cell.dataset.status);
  query.set("lane", cell.closest(".lane").dataset.lane);
  query.set("cursor", cell.dataset.next);
  button.disabled = true;
  try {
    const answer = await fetch("/board/more?" + query);
    if (answer.ok) {
      cell.dataset.next = answer.headers.get("X-Next") || "";
      cell.dataset.last = answer.headers.get("X-Last") || cell.dataset.last;
      const cards = parse(await answer.text());
      for (const card of cards) { cardOf(card.dataset.id)?.remove(); insert(cell.querySelector(".stack"), card); paint(card); }
      cards[0]?.focus();
    }
  } finally {
    button.disabled = false;
    more(cell);
  }
});

// What moving a card to a column means, and whether it may be done now.
const moves = {
  claimed: [["claim", "Claim", null]],
  in_progress: [["start", "Start", null]],
  queued: [["release", "Release…", "release"]],
  scheduled: [["reschedule", "Another time…", "reschedule"]],
  closed: [["complete", "Complete…", "complete"], ["cancel", "Cancel…", "cancel"]],
};
const besides = [["resume", "Resume the clock", null], ["escalate", "Escalate…", "escalate"], ["hold", "Hold…", "hold"], ["reassign", "Reassign…", "reassign"]];
const may = (card, command) => card.dataset.allowed.split(" ").includes(command);

const give = async (card, command, dialog) => {
  const { id } = card.dataset;
  if (dialog) { borrow(id, dialog); return; }
  card.classList.add("busy");
  const a = await send(`/v1/callbacks/${id}/${command}`, {});
  card.classList.remove("busy");
  if (a.ok) {
    const name = card.querySelector("[data-open]").textContent;
    toast({ claim: `${name} is yours.`, start: `${name}: in progress.`, resume: "The clock goes on." }[command] || "Done.");
  } else toast((await explain(a)).map((n) => n.textContent ?? n).join(""), "late");
  dirty.add(id);
  settle();
};

// borrow takes a dialog from the callback's own page.
const borrow = async (id, name) => {
  const answer = await fetch("/callbacks/" + id).catch(() => null);
  if (!answer?.ok) { toast("The callback cannot be read right now.", "late"); return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const dialog = page.getElementById(name);
  if (!dialog) { toast("That cannot be done any more.", "late"); dirty.add(id); settle(); return; }
  const box = document.getElementById("borrowed");
  box.replaceChildren(document.importNode(dialog, true));
  const form = box.querySelector("form");
  restore(form);
  box.firstElementChild.addEventListener("close", () => { dirty.add(id); settle(); cardOf(id)?.focus(); });
  openDialog(name);
};

// By menu.
const menu = document.getElementById("card-menu");
const showMenu = (card, at) => {
  menu.querySelector("[data-menu-title]").textContent = card.querySelector("[data-open]").textContent;
  // What cannot be undone comes last.
  const all = [...Object.values(moves).flat(), ...besides].filter(([command]) => may(card, command)).sort((a, b) => (a[0] === "cancel") - (b[0] === "cancel"));
  const items = all.map(([command, label, dialog]) => {
    const b = element("button", { type: "button", textContent: label, className: command === "cancel" ? "danger" : "" });
    b.addEventListener("click", () => { menu.hidePopover(); give(card, command, dialog); });
    return b;
  });
  const go = element("a", { className: "button", href: "/callbacks/" + card.dataset.id, textContent: "Open" });
  if (all.at(-1)?.[0] === "cancel") items.splice(-1, 0, go); else items.push(go);
  menu.querySelector("[data-menu-items]").replaceChildren(...items);
  menu.showPopover();
  const r = at.getBoundingClientRect(), m = menu.getBoundingClientRect();
  menu.style.left = Math.max(8, Math.min(r.right - m.width, innerWidth - m.width - 8)) + "px";
  menu.style.top = Math.max(8, Math.min(r.bottom + 4, innerHeight - m.height - 8)) + "px";
  menu.querySelector("button, a").focus();
  menu.onkeydown = (e) => {
    const all = [...menu.querySelectorAll("button, a")], i = all.indexOf(document.activeElement);
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); all.at((i + (e.key === "ArrowDown" ? 1 : all.length - 1)) % all.length).focus(); }
  };
  menu.ontoggle = (e) => { if (e.newState === "closed" && (menu.contains(document.activeElement) || document.activeElement === document.body)) card.focus(); };
};
board.addEventListener("click", (e) => {
  const button = e.target.closest("[data-menu]");
  if (button) showMenu(button.closest(".bcard"), button);
});

// By dragging.
let dragged = null;
const accepted = (card, drop) => (moves[drop] || []).filter(([command]) => may(card, command));
board.addEventListener("dragstart", (e) => {
  dragged = e.target.closest(".bcard");
  if (!dragged) return;
  e.dataTransfer.effectAllowed = "move";
  e.dataTransfer.setData("text/plain", dragged.dataset.id);
  for (const cell of board.querySelectorAll("[data-drop]")) cell.classList.toggle("accepts", cell.dataset.drop !== dragged.dataset.status && accepted(dragged, cell.dataset.drop).length > 0);
});
board.addEventListener("dragend", () => {
  dragged = null;
  for (const cell of board.querySelectorAll(".accepts, .over")) cell.classList.remove("accepts", "over");
});
board.addEventListener("dragover", (e) => {
  const cell = e.target.closest("[data-drop]");
  for (const other of board.querySelectorAll(".over")) if (other !== cell) other.classList.remove("over");
  if (!dragged || !cell?.classList.contains("accepts")) return;
  e.preventDefault();
  cell.classList.add("over");
});
board.addEventListener("drop", (e) => {
  const cell = e.target.closest("[data-drop]");
  if (!dragged || !cell?.classList.contains("accepts")) return;
  e.preventDefault();
  const [first] = accepted(dragged, cell.dataset.drop);
  give(dragged, first[0], first[2]);
});

// Arrow keys: up and down in a column, left and right between them.
board.addEventListener("keydown", (e) => {
  const card = e.target.closest(".bcard");
  if (!card || e.target !== card || e.altKey || e.ctrlKey || e.metaKey) return;
  const cell = card.closest(".cell");
  let to = null;
  if (e.key === "ArrowDown") to = card.nextElementSibling;
  else if (e.key === "ArrowUp") to = card.previousElementSibling;
  else if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
    const all = [...card.closest(".lane-cells").children], step = e.key === "ArrowRight" ? 1 : -1;
    const nth = [...card.parentElement.children].indexOf(card);
    for (let i = all.indexOf(cell) + step; i >= 0 && i < all.length && !to; i += step) {
      const cards = all[i].querySelectorAll(".bcard");
      to = cards[Math.min(nth, cards.length - 1)];
    }
  } else return;
  e.preventDefault();
  to?.focus();
});

// A filter that is chosen is in force at once, and in the address.
document.querySelector("[data-filters]").addEventListener("change", (e) => e.currentTarget.requestSubmit());
