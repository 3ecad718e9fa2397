// Times: in the viewer's zone, by the server's clock. A computer whose clock is wrong must not make a promise look kept.

const root = document.documentElement;
const navigation = performance.getEntriesByType("navigation")[0];
let skew = Date.parse(root.dataset.now) - (performance.timeOrigin + (navigation?.responseStart || performance.now()));

// now is the server's clock, in milliseconds since 1970.
export const now = () => Date.now() + skew;
// setNow takes what an answer that just came says of the server's clock.
export const setNow = (instant) => { skew = Date.parse(instant) - Date.now(); };

// Some browsers still give zones the names that they had once.
const renamed = {
  "Asia/Calcutta": "Asia/Kolkata", "Asia/Katmandu": "Asia/Kathmandu", "Asia/Saigon": "Asia/Ho_Chi_Minh", "Asia/Rangoon": "Asia/Yangon",
  "Europe/Kiev": "Europe/Kyiv", "America/Buenos_Aires": "America/Argentina/Buenos_Aires", "Atlantic/Faeroe": "Atlantic/Faroe",
};
const local = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
export const zone = renamed[local] || local;

// words and short say how long something is, like words.go does.
const many = (n, unit) => (n === 1 ? "1 " + unit : `${n} ${unit}s`);
const both = (first, n, unit) => (n ? `${first} ${many(n, unit)}` : first);
export const words = (ms) => {
  const s = Math.floor(Math.abs(ms) / 1000);
  if (s < 60) return many(s, "second");
  if (s < 3600) return many(Math.floor(s / 60), "minute");
  if (s < 86400) return both(many(Math.floor(s / 3600), "hour"), Math.floor(s / 60) % 60, "minute");
  return both(many(Math.floor(s / 86400), "day"), Math.floor(s / 3600) % 24, "hour");
};
export const short = (ms) => {
  const s = Math.floor(Math.abs(ms) / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
};

// statusWord is a status for people, like statusWord of item.go.
export const statusWord = (s) => (s === "queued" ? "waiting" : s.replace("_", " "));

const formats = new Map();
const partsOf = (ms, where) => {
  if (!formats.has(where)) {
    formats.set(where, new Intl.DateTimeFormat("en-US", {
      timeZone: where, hourCycle: "h23", weekday: "short", year: "numeric", month: "short", day: "numeric",
      hour: "2-digit", minute: "2-digit", second: "2-digit",
    }));
  }
  return Object.fromEntries(formats.get(where).formatToParts(ms).map((p) => [p.type, p.value]));
};

// clock shows the time, with the day unless it is today; day always with it.
export const clock = (ms, where = zone) => {
  const at = partsOf(ms, where), today = partsOf(now(), where);
  const time = `${at.hour}:${at.minute}`;
  if (at.year !== today.year) return `${at.weekday} ${at.day} ${at.month} ${at.year}, ${time}`;
  return at.month === today.month && at.day === today.day ? time : `${at.weekday} ${at.day} ${at.month}, ${time}`;
};
export const day = (ms, where = zone) => {
  const at = partsOf(ms, where);
  return `${at.weekday} ${at.day} ${at.month} ${at.year}, ${at.hour}:${at.minute}`;
};

const show = {
  clock: (ms) => clock(ms),
  day: (ms) => day(ms),
  left: (ms) => { const left = ms - now(); return short(left) + (left < 0 ? " late" : " left"); },
  ago: (ms) => { const gone = now() - ms; return gone < 0 ? "in " + short(gone) : short(gone) + " ago"; },
};

// titled are the instants that titles tell of: an element may come to show another one.
const titled = new WeakMap();

// paint brings the times of an element up to date; moving: only those that move by themselves.
export const paint = (within = document, moving = false) => {
  const which = moving ? "[data-time=left],[data-time=ago],[data-time=wall]" : "[data-time]";
  for (const e of within.querySelectorAll(which)) {
    let text;
    if (e.dataset.time === "wall") {
      const at = partsOf(now(), e.dataset.zone);
      text = `${at.hour}:${at.minute}`;
    } else {
      const ms = Date.parse(e.dateTime);
      text = show[e.dataset.time](ms);
      if (e.dataset.time === "left") {
        const was = e.classList.contains("past"), is = e.classList.toggle("past", ms < now());
        if (moving && is && !was) e.dispatchEvent(new Event("passed", { bubbles: true }));
      }
      if (titled.get(e) !== e.dateTime && (titled.has(e) || !e.title)) {
        e.title = `${day(ms)} (${zone})`;
        titled.set(e, e.dateTime);
      }
    }
    if (e.textContent !== text) e.textContent = text;
  }
};

// instantOf is the instant at which the clocks of a zone show what a datetime-local input holds.
export const instantOf = (local, where = zone) => {
  const wanted = Date.parse(local + "Z");
  let guess = wanted;
  for (let i = 0; i < 3; i++) {
    const at = partsOf(guess, where);
    const shown = Date.parse(`${at.day} ${at.month} ${at.year} ${at.hour}:${at.minute}:${at.second} UTC`);
    if (shown === wanted) break;
    guess += wanted - shown;
  }
  return new Date(guess).toISOString();
};
// localOf is what a datetime-local input holds for an instant.
export const localOf = (ms, where = zone) => {
  const at = partsOf(ms, where);
  const month = 1 + "JanFebMarAprMayJunJulAugSepOctNovDec".indexOf(at.month) / 3;
  return `${at.year}-${String(month).padStart(2, "0")}-${at.day.padStart(2, "0")}T${at.hour}:${at.minute}`;
};

// The server shows times in the viewer's zone from the next page on.
if (root.dataset.zone !== zone) {
  document.cookie = `ringback_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}
paint();
for (const e of document.querySelectorAll("[data-my-zone]")) e.textContent = zone;
setInterval(() => { if (!document.hidden) paint(document, true); }, 1000);
