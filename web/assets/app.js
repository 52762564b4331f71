// Keeps a page fresh: every element with `data-live` and an id is replaced by what the server shows of it now. Without this
// script a page shows the same, as of its loading.

// A page that hears changes looks at the whole so often all the same; one that hears none, more often.
const CALM_MS = 15000;
const POLL_MS = 5000;
// Between two looks that changes ask for: new numbers, and news.
const NUMBERS_MS = 3000;
const NEWS_MS = 1000;
const TIMEOUT_MS = 8000;
const lost = document.getElementById("lost");

// How much later it is here than there.
let skew = 0;
let stream = null;
// The pause that changes asked for since the latest look.
let wanted = Infinity;
let latest = Date.now();
let wake = () => {};

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { day: "numeric", month: "short" };

// An instant in a sentence, in the reader's own time zone, as exact as the server is in UTC.
function short(at, now) {
  const options = at.toDateString() === now.toDateString() ? CLOCK
    : at.getFullYear() === now.getFullYear() ? { ...DAY, ...CLOCK }
    : { ...DAY, year: "numeric", ...CLOCK };
  return at.toLocaleString("en-GB", options);
}

// Instants that stand in the middle of a text, in UTC: each becomes a time of its own.
const UTC = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/;
function findTimes() {
  const walker = document.createTreeWalker(document.getElementById("main"), NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (UTC.test(text.data) && !text.parentElement.closest("time, svg, pre, code, textarea, select")) texts.push(text);
  }
  for (const text of texts) {
    for (let rest = text, start; (start = rest.data.search(UTC)) >= 0; ) {
      const said = rest.splitText(start);
      rest = said.splitText("2026-01-01 00:00:00 UTC".length);
      const time = document.createElement("time");
      time.dateTime = said.data.replace(" ", "T").replace(" UTC", "Z");
      time.dataset.at = "said";
      time.title = said.data;
      said.replaceWith(time);
    }
  }
}

// Relative times go on while the page waits; the words are those of the server.
function tick() {
  const now = Date.now() - skew;
  for (const time of document.querySelectorAll("time[datetime]:not([data-at])")) {
    const at = new Date(time.dateTime);
    const seconds = Math.max(0, Math.floor((now - at) / 1000));
    const text = seconds < 60 ? `${seconds} s ago`
      : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago`
      : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago`
      : `${Math.floor(seconds / 86400)} d ago`;
    if (time.textContent !== text) time.textContent = text;
  }
  const age = document.getElementById("age");
  const published = age?.querySelector("time");
  const isOld = published && now - Date.parse(published.dateTime) > 1000 * age.dataset.oldAfter;
  // In the reader's own time zone; UTC is told under the pointer.
  for (const time of document.querySelectorAll("time[data-at]")) {
    const at = new Date(time.dateTime), isShort = time.dataset.at === "short";
    const text = isShort ? short(at, new Date(now)) : at.toLocaleString();
    if (time.textContent === text) continue;
    if (time.dataset.at === "") time.title = `${time.textContent} (${time.title})`;
    time.textContent = text;
  }
  // Colours stand for what is known now.
  document.body.classList.toggle("old", Boolean(isOld) || lost?.hidden === false);
}

// The reader's own time zone, beside UTC.
document.addEventListener("pointerover", ({ target }) => {
  if (target.localName === "time" && !target.dataset.local && !target.hasAttribute("data-at")) {
    target.dataset.local = "yes";
    target.title = `${target.title} (${new Date(target.dateTime).toLocaleString()})`;
  }
});

// Someone marks text to copy it: it stays as it is for now.
function isMarking() {
  return !document.getSelection().isCollapsed;
}

// Makes `old` like `next`. Elements stay the same where they can: nothing flickers, and who types, ticks or scrolls goes on.
function merge(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeName !== next.nodeName || old.id !== next.id) return old.replaceWith(next);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = next.nodeValue;
    return;
  }
  // A change that the server does not know yet, or what a script of the page put there.
  if (old.hasAttribute("data-busy") || old.hasAttribute("data-own")) return;
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...next.childNodes]) {
    const isAlike = place && !place.id && !child.id && place.nodeName === child.nodeName;
    const twin = child.id ? known.get(child.id) : isAlike ? place : null;
    if (!twin) {
      old.insertBefore(child, place);
      continue;
    }
    if (twin === place) place = place.nextSibling;
    else old.insertBefore(twin, place);
    merge(twin, child);
  }
  while (place) {
    const rest = place.nextSibling;
    place.remove();
    place = rest;
  }
}

function show(fresh) {
  const focused = document.activeElement?.id;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    // Another kind of page, for example the first server of an empty fleet.
    if (!next) return location.reload();
    merge(part, next);
  }
  if (focused && document.activeElement?.id !== focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
  findTimes();
  document.dispatchEvent(new Event("fresh"));
}

// Fetches the page and shows what changed.
export async function refresh() {
  if (document.hidden) return;
  wanted = Infinity;
  try {
    const response = await fetch(location.href, {
      headers: { accept: "text/html" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // The session ended: let the browser follow to the login page.
    if (response.redirected) return location.reload();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const there = Date.parse(response.headers.get("date"));
    if (there) skew = Date.now() - there;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!isMarking()) show(fresh);
    if (lost) lost.hidden = true;
  } catch {
    if (lost) lost.hidden = false;
  }
  latest = Date.now();
  tick();
}

function want(pause) {
  if (pause >= wanted) return;
  wanted = pause;
  wake();
}

// Hears of changes while somebody looks: of servers that the page shows, and of those that come and go.
function listen() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream || stream.readyState === EventSource.CLOSED) {
    stream = new EventSource("/api/v1/stream");
    stream.addEventListener("server", ({ data }) => {
      const { id, health } = JSON.parse(data);
      const part = document.querySelector(`#${id}, [data-server="${id}"], #empty`);
      if (part) want(part.classList.contains(health) ? NUMBERS_MS : NEWS_MS);
    });
    for (const event of ["removed", "reset", "event", "error"]) {
      stream.addEventListener(event, () => want(NEWS_MS));
    }
  }
}

async function run() {
  for (;;) {
    const hears = stream?.readyState === EventSource.OPEN;
    const pause = Math.min(wanted, hears ? CALM_MS : POLL_MS);
    const due = latest + pause - Date.now();
    if (due > 0) {
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, due);
      });
      continue;
    }
    listen();
    await refresh();
    latest = Date.now();
  }
}

// What a redirect told is told once.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}
findTimes();
setInterval(tick, 1000);
tick();
if (document.querySelector("[data-live]")) {
  document.addEventListener("visibilitychange", () => {
    listen();
    refresh();
  });
  listen();
  run();
}
