// Keeps the fleet page fresh. Without this script the page shows the same, as of its loading.

const REFRESH_MS = 5000;
const TIMEOUT_MS = 8000;
const lost = document.getElementById("lost");

// Relative times go on while the page waits; the words are those of the server.
function tick() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
    const text = seconds < 60 ? `${seconds} s ago`
      : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago`
      : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago`
      : `${Math.floor(seconds / 86400)} d ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

// Someone marks text to copy it, or holds a list open: not now.
function isBusy() {
  return document.hidden || !document.getSelection().isCollapsed;
}

// Takes over what changed. Rows stay the same elements where nothing did, so nothing flickers.
function show(fresh) {
  const focused = document.activeElement?.id;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    // Another kind of page, for example the first server of an empty fleet.
    if (!next) return location.reload();
    const rows = part.querySelector("tbody"), nextRows = next.querySelector("tbody");
    if (!rows || !nextRows) {
      if (part.innerHTML !== next.innerHTML) part.replaceChildren(...next.childNodes);
      continue;
    }
    const known = new Map([...rows.rows].map((row) => [row.id, row]));
    const wanted = [...nextRows.rows].map((row) => {
      const old = known.get(row.id);
      return old && old.outerHTML === row.outerHTML ? old : row;
    });
    if (wanted.length !== rows.rows.length || wanted.some((row, index) => row !== rows.rows[index])) {
      rows.replaceChildren(...wanted);
    }
    const foot = part.querySelector("footer"), nextFoot = next.querySelector("footer");
    if (foot.innerHTML !== nextFoot.innerHTML) foot.replaceChildren(...nextFoot.childNodes);
  }
  if (focused && document.activeElement?.id !== focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (isBusy()) return;
  try {
    const response = await fetch(location.href, {
      headers: { accept: "text/html" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // The session ended: let the browser follow to the login page.
    if (response.redirected) return location.reload();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (isBusy()) return;
    show(fresh);
    tick();
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

async function run() {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, REFRESH_MS));
    await refresh();
  }
}

document.getElementById("sort")?.addEventListener("change", (event) => event.target.form.requestSubmit());
document.addEventListener("visibilitychange", refresh);
setInterval(tick, 1000);
tick();
run();
