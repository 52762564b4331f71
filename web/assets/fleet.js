// The fleet page by hand: filters that apply at once, flags that turn at once and can be turned back, and the choice of
// servers for a change of many. Without this script all of it works by its forms.

const TOAST_MS = 10000;
const TIMEOUT_MS = 8000;

// Filters

const filters = document.getElementById("filters");
filters?.addEventListener("change", ({ target }) => {
  if (target.localName === "select") filters.requestSubmit();
});
// An address to share has only what was chosen.
filters?.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) {
    if (value === "" || (name === "sort" && value === "attention")) formData.delete(name);
  }
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    document.getElementById("q")?.focus();
  }
});

// Flags

function toast(text, undo) {
  const toasts = document.getElementById("toasts");
  const line = document.createElement("p");
  line.className = "toast";
  line.textContent = text;
  if (undo) {
    const button = document.createElement("button");
    button.textContent = "Undo";
    button.addEventListener("click", () => {
      line.remove();
      undo();
    });
    line.append(" ", button);
  }
  toasts.append(line);
  const end = () => (line.matches(":hover, :focus-within") ? setTimeout(end, TOAST_MS) : line.remove());
  setTimeout(end, TOAST_MS);
}

function paint(button, isOn) {
  button.setAttribute("aria-pressed", isOn);
  button.value = !isOn;
}

async function turn(form, button, isOn, mayUndo) {
  const sentence = `${form.dataset.name}: ${button.textContent} ${isOn ? "on" : "off"}.`;
  paint(button, isOn);
  form.dataset.busy = "yes";
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams([...new FormData(form), [button.name, isOn]]),
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // The form's answer is a redirect; what it leads to is on the page already.
    if (response.type !== "opaqueredirect") {
      const problem = await response.json().catch(() => ({}));
      throw new Error(problem.detail ?? `HTTP ${response.status}`);
    }
    toast(sentence, mayUndo && (() => turn(form, document.getElementById(button.id) ?? button, !isOn, false)));
  } catch (error) {
    paint(button, !isOn);
    toast(`${form.dataset.name}: not changed. ${error.message}`);
  }
  delete form.dataset.busy;
}

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!event.target.matches("form.toggles") || !button) return;
  event.preventDefault();
  if (!event.target.dataset.busy) turn(event.target, button, button.value === "true", true);
});

// Choosing

const bulk = document.getElementById("bulk");

function boxes() {
  return [...document.querySelectorAll("td.pick input")];
}

function count() {
  const chosen = boxes().filter((box) => box.checked).length;
  const isAll = document.getElementById("scope").value === "found";
  bulk.classList.toggle("some", chosen > 0 || isAll);
  document.getElementById("chosen").textContent = isAll || chosen === 0 ? "" : `${chosen} chosen`;
  const all = document.getElementById("all");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
}

// The box above all others.
function offerAll() {
  const head = document.querySelector("th.pick");
  if (!head || head.querySelector("input")) return;
  const all = Object.assign(document.createElement("input"), { type: "checkbox", id: "all" });
  all.setAttribute("aria-label", "Choose every server of this page");
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    count();
  });
  head.append(all);
}

if (bulk) {
  document.body.classList.add("scripted");
  document.addEventListener("change", count);
  document.addEventListener("fresh", () => {
    offerAll();
    count();
  });
  offerAll();
  count();
}
