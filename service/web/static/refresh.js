// Keeps a part of the page fresh: the same address, asked again, and the part of the same id put in place.
// While somebody uses something in it (the focus is there, a question is open) it stays as it is.
for (const part of document.querySelectorAll("[data-refresh]")) {
  const refresh = async () => {
    if (document.hidden || part.contains(document.activeElement) || part.querySelector("details[open]")) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
      part.removeAttribute("data-stale");
    } catch {
      part.setAttribute("data-stale", "");
    }
  };
  setInterval(refresh, Number(part.dataset.refresh));
  document.addEventListener("visibilitychange", refresh);
}
