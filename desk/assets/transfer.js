// The live transfer that comes before every promise (R01, R06): who is free, reserve one, say whether it worked.

import { ask, element, explain, nameOf, newKey, send } from "./command.js";
import { clock, now } from "./time.js";

// look says who is free; it returns how many.
export const look = async (box) => {
  const query = new URLSearchParams({ tier: box.dataset.tier, queue: box.dataset.queue });
  const a = await ask("GET", "/v1/availability?" + query);
  const said = box.querySelector("[data-free]"), button = box.querySelector("[data-reserve]");
  if (!a.ok) { said.textContent = a.body?.title || "That cannot be told right now."; return 0; }
  const free = a.body.items.filter((p) => p.free && p.staff_id !== document.documentElement.dataset.me);
  said.textContent = free.length ? `Free now: ${free.map((p) => p.name).join(", ")}.` : "Nobody is free right now.";
  button.disabled = !free.length;
  box.dataset.count = free.length;
  return free.length;
};

const reserve = async (box) => {
  const said = box.querySelector("[data-reserved]"), id = box.querySelector("[name=transfer_id]");
  const a = await send("/v1/transfers", { tier: box.dataset.tier, queue: box.dataset.queue }, { key: newKey() });
  if (!a.ok) { said.replaceChildren(...await explain(a)); await look(box); return; }
  const name = await nameOf(a.body.staff_id);
  const failed = element("button", { type: "button", textContent: "The transfer failed" });
  failed.addEventListener("click", () => {
    if (id) id.value = "";
    said.textContent = `Without ${name}, then.`;
    box.dispatchEvent(new CustomEvent("transfer", { bubbles: true, detail: { outcome: "failed", name } }));
    look(box);
  });
  if (id) id.value = a.body.id;
  const until = Date.parse(a.body.expires_at), held = element("span", {}, element("strong", { textContent: `${name} is held for you until ${clock(until)}. ` }),
    id ? "Transfer the call now. If it succeeds, go on; it is then given to them at once. " : "Transfer the call now. ");
  said.replaceChildren(held, failed);
  // What is said of the hold is not said for longer than it lasts.
  setTimeout(() => {
    if (held.isConnected) held.replaceChildren(element("strong", { textContent: `${name} is held no longer. ` }), "Reserve again if the transfer is still to come, or say that it failed. ");
  }, until - now());
  box.dispatchEvent(new CustomEvent("transfer", { bubbles: true, detail: { outcome: "reserved", name, id: a.body.id } }));
};

export const start = () => {
  document.addEventListener("opened", (e) => { const box = e.target.querySelector("[data-transfer]"); if (box) look(box); });
  document.addEventListener("click", (e) => {
    const button = e.target.closest?.("[data-reserve]");
    if (button) reserve(button.closest("[data-transfer]"));
  });
};
