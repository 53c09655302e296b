// The builder: what is changed in the form or in the YAML is sent, and the server answers with both, and the preview.
const form = document.getElementById("builder-form");
const builder = document.getElementById("builder");
let newest = 0;
let waiting;
let start = form.elements.text.value;

async function send(deed) {
  clearTimeout(waiting);
  const mine = ++newest;
  const sent = new FormData(form);
  sent.set("do", deed);
  sent.set("part", "builder");
  try {
    const answer = await fetch("/new/edit", { method: "POST", body: sent });
    const text = await answer.text();
    if (mine === newest) show(text);
  } catch {
    builder.setAttribute("data-stale", "");
  }
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement?.id;
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
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  const address = builder.firstElementChild.dataset.address;
  if (address) history.replaceState(null, "", address);
}

form.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
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
for (const link of document.querySelectorAll("[data-replaces]")) {
  link.addEventListener("click", (event) => {
    if (form.elements.text.value !== start && !confirm(form.dataset.ask)) event.preventDefault();
  });
}
document.documentElement.classList.add("js");
