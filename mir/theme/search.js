// Finds pages by their words, in the index that was made with the site. Each word that is typed has to be on
// a page, or begin one that is; pages that have them in their titles come first.
(() => {
  "use strict";
  const part = (name) => document.getElementById(name);
  const form = part("search");
  const query = part("query");
  const status = part("search-status");
  const results = part("search-results");
  const all = part("search-all");
  if (!form || !query || !status || !results) return;

  const MOST = 30;
  let index;
  const load = () => {
    index ??= fetch("/search.json").then((answer) => {
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.json();
    }).then((found) => ({ pages: found.pages, words: Object.entries(found.words) }));
    return index;
  };

  // What each page is worth for one word: 4 for a whole one, 1 to 3 more by where it is.
  const worth = (words, typed) => {
    const pages = new Map();
    for (const [word, places] of words) {
      if (!word.startsWith(typed)) continue;
      const whole = word === typed ? 4 : 0;
      for (const place of places) {
        const page = place >> 2;
        const points = 1 + (place & 3) * 4 + whole;
        if (points > (pages.get(page) ?? 0)) pages.set(page, points);
      }
    }
    return pages;
  };

  const find = ({ words }, typed) => {
    let found;
    for (const word of typed) {
      const next = worth(words, word);
      if (found) {
        for (const [page, points] of next) {
          if (found.has(page)) next.set(page, points + found.get(page));
          else next.delete(page);
        }
      }
      found = next;
    }
    return [...(found ?? [])].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([page]) => page);
  };

  const show = ({ pages }, found) => {
    const items = found.slice(0, MOST).map((at) => {
      const [url, title, description] = pages[at];
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = url;
      link.textContent = title;
      item.append(link);
      if (description) {
        const text = document.createElement("p");
        text.textContent = description;
        item.append(text);
      }
      return item;
    });
    results.replaceChildren(...items);
  };

  const look = async () => {
    const typed = query.value.toLowerCase().match(/[\p{L}\p{N}\p{M}_]{2,32}/gu) ?? [];
    if (all) all.hidden = typed.length > 0;
    if (typed.length === 0) {
      results.replaceChildren();
      status.textContent = "";
      return;
    }
    try {
      const found = find(await load(), typed);
      show(await load(), found);
      status.textContent = found.length ? status.dataset.found + found.length : status.dataset.none;
    } catch {
      index = undefined;
      status.textContent = status.dataset.failed;
    }
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  query.addEventListener("input", look);
  query.value = new URLSearchParams(location.search).get("q") ?? "";
  look();
})();
