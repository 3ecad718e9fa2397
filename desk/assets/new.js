// A promise: first who is free, then whom to call and why. What is typed is looked for among open callbacks meanwhile.

import { ask, element, toast } from "./command.js";
import { look } from "./transfer.js";
import { clock, instantOf, now, statusWord, zone } from "./time.js";
import { forget } from "./draft.js";

const form = document.querySelector("form.new");
const field = (name) => form.elements.namedItem(name);
const box = form.querySelector("[data-transfer]");
const policy = field("policy"), outcome = field("transfer_attempt.outcome");
const steps = Object.fromEntries([...form.querySelectorAll("template[data-step]")].map((t) => [t.dataset.step, t.dataset]));

// The first step's queue, which the line of business may change (R03).
const queueOf = (step) => {
  const lob = field("lob").value.trim();
  const other = step.lobs.split("|").find((pair) => lob && pair.startsWith(lob + "="));
  return other ? other.slice(lob.length + 1) : step.queue;
};

const zoneNow = () => {
  const z = field("customer.time_zone").value.trim();
  try { if (z) { clock(now(), z); return z; } } catch { /* not one, or not yet */ }
  return "";
};

// What will be promised, as far as it can be told beforehand.
const say = () => {
  const step = steps[policy.value], words = form.querySelector("[data-promise]");
  if (!step) return;
  const at = field("scheduled_for").value;
  const hour = /(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?/.exec(step.tat);
  const tat = ((hour[1] || 0) * 3600 + (hour[2] || 0) * 60 + Number(hour[3] || 0)) * 1000;
  const from = at ? Date.parse(instantOf(at, form.querySelector("#at-zone").value || zone)) : now();
  const where = zoneNow();
  if (step.calendar) { words.textContent = `A call from ${step.who} within ${step.words} of working time (${step.calendar})${at ? ", from the time they asked for" : ""}.`; return; }
  const due = from + tat;
  words.replaceChildren(`A call from ${step.who} within ${step.words}: by `, element("strong", { textContent: clock(due) }),
    where && where !== zone ? element("span", {}, ", which is ", element("strong", { textContent: clock(due, where) }), " for the customer") : "", ".");
};

const choose = async () => {
  const step = steps[policy.value];
  if (!step) return;
  for (const set of form.querySelectorAll("[data-fields]")) { set.hidden = set.disabled = set.dataset.fields !== policy.value; }
  box.dataset.tier = step.tier;
  box.dataset.queue = queueOf(step);
  field("transfer_attempt.tier").value = step.tier;
  say();
  const free = await look(box);
  if (!outcome.value || outcome.value === "none_free") outcome.value = free ? "" : "none_free";
  say();
};
policy.addEventListener("change", choose);
field("lob").addEventListener("change", choose);

// What comes of the live transfer is recorded on the callback (R01).
const worked = form.querySelector("[data-worked]");
box.addEventListener("transfer", (e) => {
  worked.hidden = e.detail.outcome !== "reserved";
  if (e.detail.outcome === "failed") outcome.value = "failed";
});
worked.addEventListener("click", () => {
  forget(form);
  form.reset();
  worked.hidden = true;
  box.querySelector("[data-reserved]").textContent = "";
  toast("Good: the customer has somebody to talk to, and nothing is promised.");
  choose();
});
setInterval(() => { if (!document.hidden && worked.hidden) look(box); }, 20_000);

// Who dials 00 for other countries may write it, too.
field("customer.phone").addEventListener("change", (e) => { e.target.value = e.target.value.replace(/^\s*00/, "+"); });

// Open callbacks of the same customer, number or ticket: said while typing.
const twins = form.querySelector("[data-twins]");
let timer = 0, asked = 0;
const compare = async () => {
  const mine = ++asked;
  const phone = field("customer.phone").value.replace(/[^\d+]/g, ""), ref = field("customer.ref").value.trim();
  const system = field("source.system").value.trim(), ticket = field("source.ref").value.trim();
  const open = [["status", "scheduled"], ["status", "queued"], ["status", "claimed"], ["status", "in_progress"], ["limit", "5"]];
  const queries = [];
  if (phone.length >= 7) queries.push(["q", phone]);
  if (ref) queries.push(["customer", ref]);
  if (system && ticket && !/[:\s]/.test(system)) queries.push(["source", `${system}:${ticket}`]);
  const found = new Map();
  for (const query of queries) {
    const a = await ask("GET", "/v1/callbacks?" + new URLSearchParams([...open, query]));
    for (const c of a.ok ? a.body.items : []) found.set(c.id, c);
  }
  if (mine !== asked) return;
  twins.hidden = found.size === 0;
  twins.replaceChildren(element("p", {}, element("strong", { textContent: found.size === 1 ? "There is an open callback already: " : `There are ${found.size} open callbacks already: ` }),
    "open it and record that the customer called again, rather than promising twice."),
  element("ul", {}, ...[...found.values()].map((c) => element("li", {},
    element("a", { href: `/callbacks/${c.id}`, textContent: c.customer?.name || "Callback" }),
    ` ${c.source ? `${c.source.system} ${c.source.ref}, ` : ""}${statusWord(c.status)}, ${c.tier}, due ${clock(Date.parse(c.due_at))}`))));
};
form.addEventListener("input", (e) => {
  if (["customer.phone", "customer.ref", "source.system", "source.ref"].includes(e.target.name)) { clearTimeout(timer); timer = setTimeout(compare, 350); }
  say();
});
form.addEventListener("change", say);

const atZone = form.querySelector("#at-zone");
field("customer.time_zone").addEventListener("change", () => {
  const z = zoneNow();
  atZone.replaceChildren(...(z ? [element("option", { value: z, textContent: `the customer (${z})` })] : []), element("option", { value: "", textContent: `me (${zone})` }));
});

form.querySelector("[data-clear]").addEventListener("click", () => { forget(form); form.reset(); choose(); compare(); });
form.addEventListener("done", (e) => { if (e.detail?.id || e.detail?.location) location.assign(e.detail.id ? `/callbacks/${e.detail.id}/promised` : "/"); });
form.addEventListener("restored", () => { choose(); compare(); });
choose();
compare();
setInterval(say, 15_000);
