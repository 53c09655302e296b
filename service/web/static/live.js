// Parts of the page that the server sends again as they change. At the end the page is asked for once more: buttons
// that were not offered while runs trained are offered then.
for (const page of document.querySelectorAll("[data-live]")) {
  const kept = new Map(); // what came while somebody used a part: put in place once they leave it
  const put = (id, html) => {
    const part = document.getElementById(id);
    if (part?.contains(document.activeElement)) kept.set(id, html);
    else if (part) part.innerHTML = html; // our own templates, every value escaped
  };
  page.addEventListener("focusout", () => setTimeout(() => {
    const waiting = [...kept];
    kept.clear();
    for (const [id, html] of waiting) put(id, html);
  }));
  const source = new EventSource(page.dataset.live);
  source.addEventListener("part", (event) => {
    const { id, html } = JSON.parse(event.data);
    put(id, html);
    page.removeAttribute("data-stale");
  });
  source.addEventListener("end", async () => {
    source.close();
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const parts = new Map(["actions", "after"].map((id) => [id, fresh.getElementById(id)]));
    const renew = () => { // a part with an open question is renewed once it is closed
      for (const [id, now] of parts) {
        const part = document.getElementById(id);
        if (part?.querySelector("details[open]")) continue;
        if (part && now) part.replaceWith(now);
        parts.delete(id);
      }
      document.dispatchEvent(new Event("renewed"));
    };
    document.addEventListener("toggle", renew, true);
    renew();
  });
  source.addEventListener("error", () => page.setAttribute("data-stale", ""));
}
