// The builder: what is changed in the form or in the YAML is sent, and the server answers with both, and the preview.
const form = document.getElementById("builder-form");
const builder = document.getElementById("builder");
let newest = 0;
let waiting;
let start = form.elements.text.value;
let asked = 0; // requests on their way
let leaving = false;
let focusNext; // id of what is to have the focus once the answer is shown

async function send(deed) {
  clearTimeout(waiting);
  waiting = undefined;
  asked++;
  const mine = ++newest;
  const before = document.activeElement?.value;
  const sent = new FormData(form);
  sent.set("do", deed);
  sent.set("part", "builder");
  try {
    const answer = await fetch("/new/edit", { method: "POST", body: sent });
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    if (mine === newest) show(text, before);
  } catch {
    builder.setAttribute("data-stale", "");
  } finally {
    asked--;
  }
}

// What is written is in the page's address, where it is short enough and the server has seen it. Otherwise the browser asks.
form.addEventListener("submit", () => { leaving = true; });
window.addEventListener("pageshow", () => { leaving = false; });
window.addEventListener("beforeunload", (event) => {
  const active = document.activeElement;
  const written = active?.name?.startsWith("f:") && active.tagName === "INPUT" && active.value !== active.defaultValue;
  const kept = builder.firstElementChild.dataset.address || form.elements.text.value === start;
  if (!leaving && (asked || waiting || written || !kept || builder.hasAttribute("data-stale"))) event.preventDefault();
});

function show(html, before) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const active = document.activeElement;
  const focused = active?.id;
  // An entry that was written into while the answer was on its way keeps what it holds.
  const written = active?.name?.startsWith("f:") && active.tagName === "INPUT" && ![active.defaultValue, before].includes(active.value);
  const entry = written && { value: active.value, caret: [active.selectionStart, active.selectionEnd] };
  const text = form.elements.text;
  const caret = [text.selectionStart, text.selectionEnd, text.scrollTop];
  const typed = text.value;
  const open = [...builder.querySelectorAll("details[open]")].map((one) => one.querySelector("summary").textContent);
  const tab = builder.querySelector("[name=tab]:checked").id;
  builder.replaceChildren(...page.body.childNodes);
  builder.removeAttribute("data-stale");
  document.getElementById(tab).checked = true;
  for (const details of builder.querySelectorAll("details")) {
    if (open.includes(details.querySelector("summary").textContent)) details.open = true;
  }
  const fresh = form.elements.text;
  if (fresh.value === typed) fresh.setSelectionRange(caret[0], caret[1]);
  fresh.scrollTop = caret[2];
  const address = builder.firstElementChild.dataset.address;
  if (address) history.replaceState(null, "", address);
  const wanted = focusNext ?? focused;
  focusNext = undefined;
  const now = wanted && document.getElementById(wanted);
  if (!now) return;
  now.focus({ preventScroll: true });
  if (entry) {
    now.value = entry.value;
    now.setSelectionRange(...entry.caret);
  }
}

form.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
  newest++; // an answer about what stood there before comes too late
  clearTimeout(waiting);
  waiting = setTimeout(() => send("text"), 500);
});
form.addEventListener("change", (event) => {
  if (event.target.name?.startsWith("f:")) send("entry");
});
form.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=do]");
  if (button) {
    event.preventDefault();
    send(button.value);
  }
  const line = event.target.closest("[data-line]");
  if (line) {
    event.preventDefault();
    builder.querySelector("#tab-yaml").checked = true;
    const text = form.elements.text;
    const lines = text.value.split("\n");
    const from = lines.slice(0, line.dataset.line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    text.focus();
    text.setSelectionRange(from, from + lines[line.dataset.line - 1].length);
  }
  const copy = event.target.closest("[data-copy]");
  if (copy && navigator.clipboard) {
    event.preventDefault();
    navigator.clipboard.writeText(copy.href).then(() => { copy.textContent = copy.dataset.copied; });
  }
});
form.addEventListener("keydown", (event) => {
  // Enter in an entry changes it; it does not submit the experiment.
  if (event.key === "Enter" && event.target.name?.startsWith("f:") && event.target.tagName === "INPUT") {
    event.preventDefault();
    send("entry");
  }
});

// Layers are dragged by their handle, or moved with the arrow keys while it has the focus.
function moveLayer(from, by) {
  if (!by) return;
  focusNext = `handle-${from + by}`;
  send(`move:model.layers[${from}]:${by}`);
}
form.addEventListener("keydown", (event) => {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by || !event.target.classList.contains("handle")) return;
  event.preventDefault();
  const layers = [...builder.querySelectorAll(".layer")];
  const from = layers.indexOf(event.target.closest(".layer"));
  if (layers[from + by]) moveLayer(from, by);
});
form.addEventListener("pointerdown", (event) => {
  if (!event.target.classList.contains("handle")) return;
  event.preventDefault();
  const handle = event.target;
  const dragged = handle.closest(".layer");
  const layers = [...builder.querySelectorAll(".layer")];
  const from = layers.indexOf(dragged);
  let to = from;
  handle.focus();
  handle.setPointerCapture(event.pointerId);
  dragged.classList.add("dragged");
  const drag = (moved) => {
    dragged.style.transform = `translateY(${moved.clientY - event.clientY}px)`;
    const middle = (layer) => { const box = layer.getBoundingClientRect(); return box.top + box.height / 2; };
    to = layers.filter((layer) => layer !== dragged && middle(layer) < moved.clientY).length;
    layers.forEach((layer, index) => layer.classList.toggle("target", index === to && to !== from));
  };
  const drop = (ended) => {
    handle.removeEventListener("pointermove", drag);
    dragged.classList.remove("dragged");
    dragged.style.transform = "";
    for (const layer of layers) layer.classList.remove("target");
    if (ended.type === "pointerup") moveLayer(from, to - from);
  };
  handle.addEventListener("pointermove", drag);
  handle.addEventListener("pointerup", drop, { once: true });
  handle.addEventListener("pointercancel", drop, { once: true });
});

for (const link of document.querySelectorAll("[data-replaces]")) {
  link.addEventListener("click", (event) => {
    if (form.elements.text.value !== start && !confirm(form.dataset.ask)) event.preventDefault();
  });
}
document.documentElement.classList.add("js");
