// Changes as they happen, over one stream per visible page. A hidden page closes its own, so that many tabs do not use
// up the browser's connections, and goes on where it was when it is looked at again.

import { clock, now } from "./time.js";

const banner = document.getElementById("offline"), outBanner = document.getElementById("signed-out");
const hiddenFor = 30_000, lookEvery = 30_000, lookPatience = 8_000;
// The server says something every 15 s: a stream that says nothing for longer than two of those is dead, whatever the browser thinks.
const silence = 40_000, listenEvery = 5_000;

// The page shows what had happened up to a change of which it says the number: the first stream goes on from there.
let source = null, lastEventID = document.documentElement.dataset.feed || "", retry = 0, timer = 0, offline = false, out = false, heard = now(), beat = 0;

// Listen for "callback" (detail: the callback without anything personal), for "outages" (detail: the ids of those that go
// on), and for "reset": look at everything again.
export const changes = new EventTarget();

const tell = (name, detail) => changes.dispatchEvent(new CustomEvent(name, { detail }));

// Who is signed out has a connection, but nothing comes over it: one banner is enough.
const show = () => {
  banner.hidden = !offline || out;
  outBanner.hidden = !out;
};

const setOffline = (is) => {
  if (offline === is) return;
  offline = is;
  banner.querySelector("[data-offline-since]").textContent = clock(heard);
  show();
  document.documentElement.classList.toggle("is-offline", is);
  if (!is) tell("reset");
};

const close = () => {
  clearTimeout(timer);
  source?.close();
  source = null;
};

const open = () => {
  close();
  beat = performance.now();
  source = new EventSource("/v1/stream?outages=true&heartbeats=true" + (lastEventID ? "&last_event_id=" + encodeURIComponent(lastEventID) : ""));
  // Where nothing was heard yet, there is nothing to go on from: whatever happened in between is looked for.
  const blind = !lastEventID;
  source.onopen = () => {
    const missed = (blind || out) && !offline;
    retry = 0;
    beat = performance.now();
    out = false;
    heard = now();
    clearTimeout(timer);
    show();
    if (missed) tell("reset");
    setOffline(false);
  };
  source.addEventListener("callback", (e) => {
    lastEventID = e.lastEventId;
    heard = now();
    tell("callback", JSON.parse(e.data));
  });
  for (const kind of ["callback", "outages", "reset", "heartbeat"]) {
    source.addEventListener(kind, (e) => { beat = performance.now(); lastEventID = e.lastEventId || lastEventID; });
  }
  source.addEventListener("heartbeat", () => { heard = now(); });
  source.addEventListener("outages", (e) => tell("outages", JSON.parse(e.data).active));
  source.addEventListener("reset", (e) => { lastEventID = e.lastEventId; tell("reset"); });
  source.onerror = () => {
    // The browser tries again by itself unless the server answered with something that is no stream.
    timer = setTimeout(() => setOffline(true), 2_500);
    if (source?.readyState === EventSource.CLOSED) again();
  };
};

const again = async () => {
  close();
  setOffline(true);
  timer = setTimeout(open, Math.min(15_000, 1_000 * 2 ** retry++));
  const me = await fetch("/v1/me").catch(() => null);
  if (me?.status === 401) signedOut();
};

// signedOut says so and keeps the page: what is typed in it is still there. Whoever signs in again in another window and
// comes back to this one has it as it was.
export const signedOut = () => {
  close();
  out = true;
  outBanner.querySelector("a").href = "/sign-in?next=" + encodeURIComponent(location.pathname + location.search);
  show();
};

// A connection that died without a word is found out by asking.
const look = async () => {
  if (document.hidden || !source) return;
  try {
    const answer = await fetch("/healthz", { signal: AbortSignal.timeout(lookPatience) });
    if (!answer.ok) throw new Error(answer.status);
    if (offline && source.readyState === EventSource.OPEN) setOffline(false);
  } catch {
    open();
    setOffline(true);
  }
};

// One that has fallen silent is opened anew, where it was.
const listen = () => {
  if (source?.readyState === EventSource.OPEN && performance.now() - beat > silence) open();
};

let hiddenTimer = 0;
const visibility = () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(close, hiddenFor);
  else if (!source) open();
};

export const start = () => {
  if (!document.documentElement.dataset.me) return;
  open();
  document.addEventListener("visibilitychange", visibility);
  addEventListener("focus", () => { if (out) open(); });
  addEventListener("online", open);
  addEventListener("offline", () => setOffline(true));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => { if (e.persisted) { open(); tell("reset"); } });
  setInterval(look, lookEvery);
  setInterval(listen, listenEvery);
};
