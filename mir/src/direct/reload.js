// Loads this page again when the site's folder changes. A page that nobody sees asks for nothing,
// so that many open ones do not use up the connections that a browser allows to one server.
"use strict";
(() => {
  let generation = document.currentScript.dataset.generation;
  let source = null;
  let again = 0;

  const stop = () => {
    clearTimeout(again);
    source?.close();
    source = null;
  };

  const ask = () => {
    stop();
    if (document.hidden) return;
    source = new EventSource("/-/reload/" + generation);
    let open = false;
    source.onopen = () => { open = true; };
    source.onmessage = (event) => {
      stop();
      const said = JSON.parse(event.data);
      generation = said.generation;
      if (said.changed === "page") return location.reload();
      if (said.changed === "styles") styles();
      ask();
    };
    // The server is gone, or going: it may come back.
    source.onerror = () => {
      stop();
      again = setTimeout(ask, open ? 50 : 500);
    };
  };

  // Puts each stylesheet of this server beside itself anew; the old one goes when the new one is there.
  const styles = () => {
    for (const old of document.querySelectorAll('link[rel~="stylesheet"][href]')) {
      const url = new URL(old.href);
      if (url.origin !== location.origin) continue;
      url.searchParams.set("-reload", generation);
      const next = old.cloneNode();
      next.href = url.href;
      next.onload = () => old.remove();
      next.onerror = () => next.remove();
      old.after(next);
    }
  };

  document.addEventListener("visibilitychange", ask);
  // A page that comes back from the browser's memory asks again.
  addEventListener("pageshow", (event) => { if (event.persisted) ask(); });
  ask();
})();
