// The only script: it keeps the live part of a page fresh. Without it the browser reloads the page.
"use strict";
(function () {
  const live = document.querySelector("[data-live]");
  if (!live || !window.EventSource) return;
  const again = () => setTimeout(() => location.reload(), 15000);
  const source = new EventSource(live.dataset.live);
  let newest = null;
  const show = () => {
    // not under the user's hands: a replaced link would lose the focus, and a text its selection
    const selection = getSelection();
    const used = live.contains(document.activeElement) ||
      (!selection.isCollapsed && live.contains(selection.anchorNode));
    if (newest === null || used) return;
    const fresh = document.createElement("template");
    fresh.innerHTML = newest; // made and escaped by the hub; the page's policy forbids scripts in it
    newest = null;
    live.replaceChildren(fresh.content);
  };
  source.onmessage = (event) => { newest = event.data; show(); };
  live.addEventListener("focusout", () => setTimeout(show));
  document.addEventListener("selectionchange", () => setTimeout(show));
  source.addEventListener("end", () => { source.close(); location.reload(); });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
})();
