"use strict";
// The page works without this script; with it the list stays fresh and a spec is checked while it is written.
const list = document.getElementById("experiments");
const form = document.getElementById("form");

async function refresh() {
  if (!list || document.hidden || list.contains(document.activeElement)) return;
  try {
    const answer = await fetch("/start/experiments", { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const text = await answer.text();
    if (text !== list.dataset.last) {
      list.innerHTML = text; // made by our own templates, every value escaped there
      list.dataset.last = text;
    }
    list.removeAttribute("data-stale");
  } catch {
    list.setAttribute("data-stale", "");
  }
}

if (list) {
  setInterval(refresh, 2000);
  document.addEventListener("visibilitychange", refresh);
}

if (form) {
  const spec = document.getElementById("spec");
  const preview = document.getElementById("preview");
  const example = document.getElementById("example");
  let newest = 0;
  let waiting;

  async function check() {
    if (!spec.value.trim()) { preview.textContent = ""; return; }
    const mine = ++newest;
    try {
      const answer = await fetch("/start/preview", { method: "POST", body: new URLSearchParams({ spec: spec.value }) });
      const text = await answer.text();
      if (mine === newest) preview.innerHTML = text;
    } catch {
      if (mine === newest) preview.textContent = "The service does not answer.";
    }
  }

  spec.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(check, 500); });
  document.getElementById("check").addEventListener("click", (event) => { event.preventDefault(); check(); });
  if (example) example.addEventListener("change", () => {
    if (example.value) { spec.value = example.value; check(); }
  });
}
