// Tells the values under the pointer on a chart, and times in the reader's own time zone. Without this script the chart's
// title and its table tell the values, and times are in UTC.

const tip = document.createElement("div");
const cursor = document.createElement("div");
tip.className = "chart-tip";
cursor.className = "chart-cursor";
tip.setAttribute("aria-hidden", "true");
tip.hidden = cursor.hidden = true;
document.body.append(cursor, tip);

// `x text` a line, with x in the plane of 1000.
function pointsOf(graph) {
  return graph.dataset.points.trimEnd().split("\n").map((line) => {
    const blank = line.indexOf(" ");
    return { x: Number(line.slice(0, blank)), text: line.slice(blank + 1) };
  });
}

function nearest(points, x) {
  return points.reduce((best, point) => (Math.abs(point.x - x) < Math.abs(best.x - x) ? point : best));
}

const DAY_MS = 86400000;
// As on the server: no tick nearer to an end than this share of the width.
const EDGE = 0.04;

function formats(options) {
  const [local, utc] = [undefined, "UTC"].map((timeZone) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone }));
  return { local: (at) => local.format(at), utc: (at) => `${utc.format(at)} UTC` };
}

const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const time = formats(clock);
const day = formats({ day: "numeric", month: "short" });
const instant = formats({ day: "numeric", month: "short", ...clock });

// What must be added to UTC at that instant.
function offset(at) {
  return -60000 * new Date(at).getTimezoneOffset();
}

// Ticks at times that are round here, in place of those that are round in UTC; UTC is told under the pointer.
function drawTicks(axis) {
  const [from, to, step] = ["from", "to", "step"].map((name) => Number(axis.dataset[name]));
  const words = step < DAY_MS ? time : day;
  const ticks = [];
  for (let round = Math.ceil((from + offset(from)) / step) * step; round <= to + offset(to); round += step) {
    // Clocks may change on the way.
    const at = round - offset(round - offset(from));
    const x = (at - from) / (to - from);
    if (x < EDGE || x > 1 - EDGE) continue;
    const tick = document.createElementNS(axis.namespaceURI, "text");
    const title = document.createElementNS(axis.namespaceURI, "title");
    tick.setAttribute("x", `${(100 * x).toFixed(1)}%`);
    tick.setAttribute("y", "12");
    title.textContent = instant.utc(at);
    tick.append(words.local(at), title);
    ticks.push(tick);
  }
  axis.replaceChildren(...ticks);
}

// The times of a state, before what the server says of it in UTC.
function tellState(state) {
  const title = state.querySelector("title");
  if (title.dataset.utc) return;
  title.dataset.utc = title.textContent;
  const to = state.dataset.to ? instant.local(Number(state.dataset.to)) : "now";
  title.textContent = `${instant.local(Number(state.dataset.from))} to ${to}\n${title.textContent}`;
}

function localize() {
  document.querySelectorAll("svg.ticks").forEach(drawTicks);
  document.querySelectorAll("svg.states rect[data-from]").forEach(tellState);
}

function hide() {
  tip.hidden = cursor.hidden = true;
}

function show(event) {
  const graph = event.target.closest?.("svg.graph");
  if (!graph?.dataset.points) return hide();
  // What the script tells better.
  graph.querySelector("title")?.remove();
  const box = graph.getBoundingClientRect();
  const point = nearest(pointsOf(graph), ((event.clientX - box.left) / box.width) * 1000);
  const from = Number(graph.dataset.from), to = Number(graph.dataset.to);
  const at = from + (point.x / 1000) * (to - from);
  tip.textContent = `${instant.local(at)} (${time.utc(at)})  ${point.text}`;
  tip.hidden = cursor.hidden = false;
  const left = box.left + (point.x / 1000) * box.width + scrollX;
  cursor.style.left = `${left}px`;
  cursor.style.top = `${box.top + scrollY}px`;
  cursor.style.height = `${box.height}px`;
  const most = document.documentElement.clientWidth + scrollX - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(scrollX + 8, Math.min(left + 10, most))}px`;
  tip.style.top = `${box.top + scrollY - tip.offsetHeight - 4}px`;
}

document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
document.addEventListener("pointerleave", hide);
document.addEventListener("scroll", hide, { passive: true });
addEventListener("resize", hide);
// Whenever the page shows what the server says anew.
document.addEventListener("fresh", localize);
localize();
