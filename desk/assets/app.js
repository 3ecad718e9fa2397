// What every page does.

import * as live from "./live.js";
import * as command from "./command.js";
import * as draft from "./draft.js";
import * as keys from "./keys.js";
import * as search from "./search.js";
import * as transfer from "./transfer.js";
import { refresh, soon } from "./refresh.js";

const root = document.documentElement;
const me = root.dataset.me, queues = root.dataset.queues.split("|").filter(Boolean);

draft.start();
command.start();
keys.start();
search.start();
transfer.start();
live.start();

// What a page shows decides which changes matter to it.
const watches = {
  one: (c, page) => c.id === page.dataset.id,
  work: (c) => c.assignee === me || c.owner === me || c.requested_by === me || (c.status === "queued" && queues.includes(c.queue)) || !!document.getElementById("c-" + c.id) ||
    !!document.querySelector(`[data-id="${c.id}"]`),
  any: () => true,
};
const pauses = { one: 250, work: 700, any: 1000 };
const page = document.querySelector("[data-watch]");
if (page && watches[page.dataset.watch]) {
  const matters = watches[page.dataset.watch];
  const again = soon(refresh, pauses[page.dataset.watch]);
  live.changes.addEventListener("callback", (e) => { if (matters(e.detail, page)) again(); });
  live.changes.addEventListener("reset", again);
  // A promise that passes while one looks does not go on being called in time, even if the engine is slow to say so.
  document.addEventListener("passed", soon(refresh, pauses[page.dataset.watch], 1_200));
}

// An outage concerns everybody, whatever page they are on: when it is declared, and when it is over.
live.changes.addEventListener("outages", (e) => {
  const shown = [...document.querySelectorAll("[data-outage]")].map((o) => o.dataset.outage);
  if (shown.length !== e.detail.length || shown.some((id) => !e.detail.includes(id))) refresh();
});

// What has come to be mine is said, not only shown.
if (page?.dataset.watch === "work") {
  const mine = () => new Set([...document.querySelectorAll("#first[data-id], [aria-labelledby=mine-title] [data-id]")].map((e) => e.dataset.id));
  let before = mine(), claimed = 0;
  document.addEventListener("done", () => { claimed = Date.now(); });
  document.addEventListener("refreshed", () => {
    const now = mine();
    for (const id of now) {
      if (before.has(id) || Date.now() - claimed < 3000) continue;
      const name = document.querySelector(`[data-id="${id}"] [data-open]`)?.textContent;
      command.toast(`New for you: ${name}.`, "warn");
    }
    before = now;
  });
}

document.addEventListener("taken", () => command.toast("What you were typing in has gone: something happened to the callback. Your words are kept with it.", "warn"));

// Presence lapses to offline unless it is renewed; it is renewed while somebody is really there.
const presence = document.querySelector("[data-presence]");
if (presence) {
  let active = false;
  const say = () => presence.value && command.ask("PUT", "/v1/me/presence", { state: presence.value });
  presence.addEventListener("change", async () => {
    const a = await say();
    if (a.ok) {
      command.toast(presence.value === "available" ? "You are free for live transfers." : `You are ${presence.value}.`);
      refresh();
    }
    else command.toast((await command.explain(a)).map((n) => n.textContent ?? n).join(""), "late");
  });
  document.addEventListener("click", (e) => {
    const to = e.target.closest?.("[data-set-presence]")?.dataset.setPresence;
    if (to) { presence.value = to; presence.dispatchEvent(new Event("change")); }
  });
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { active = true; }, { passive: true });
  // What holds on is what was said last, here or in another window: not what this page happens to show.
  const renew = async () => {
    active = false;
    const a = await command.ask("PUT", "/v1/me/presence", { renew: true });
    if (a.ok && a.body.state && a.body.state !== presence.value && !presence.matches(":focus")) presence.value = a.body.state;
  };
  setInterval(() => { if (active) renew(); }, 5 * 60_000);
}

// The theme is in a cookie, so that the next page comes in it.
for (const choice of document.querySelectorAll("[data-theme-choice]")) {
  choice.addEventListener("change", () => {
    if (choice.value) root.dataset.theme = choice.value; else delete root.dataset.theme;
    document.cookie = `ringback_theme=${choice.value}; path=/; max-age=31536000; samesite=lax`;
  });
}

// What is left open in a filter does not get into the address.
for (const form of document.querySelectorAll("[data-filters]")) {
  // Whoever chooses a day wants it, whatever the period said.
  form.addEventListener("change", (e) => { if (e.target.type === "date" && form.elements.days) form.elements.days.value = ""; });
  form.addEventListener("formdata", (e) => { for (const [name, value] of [...e.formData]) if (value === "") e.formData.delete(name); });
}

// What is newest is at the right of a drawing that is wider than the screen.
for (const drawing of document.querySelectorAll(".chart.whole")) drawing.scrollLeft = drawing.scrollWidth;

// On a phone the filters make room for what they filter.
if (matchMedia("(max-width: 44rem)").matches) document.querySelector("[data-filter-box]")?.removeAttribute("open");

root.dataset.ready = ""; // the keys work from here on
