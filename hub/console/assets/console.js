// The only script: it keeps the live part of a page fresh. Without it the browser reloads the page.
"use strict";
(function () {
  const live = document.querySelector("[data-live]");
  if (!live || !window.EventSource) return;
  const again = () => setTimeout(() => location.reload(), 15000);
  const source = new EventSource(live.dataset.live);
  source.onmessage = (event) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = event.data; // made and escaped by the hub; the page's policy forbids scripts in it
    live.replaceChildren(fresh.content);
  };
  source.addEventListener("end", () => { source.close(); location.reload(); });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
})();
