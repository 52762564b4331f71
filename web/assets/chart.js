// Tells the values under the pointer on a chart. Without this script the chart's title and its table tell them.

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

const format = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

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
  tip.textContent = `${format.format(from + (point.x / 1000) * (to - from))} UTC  ${point.text}`;
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
