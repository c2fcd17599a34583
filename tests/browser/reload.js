// Writing with an open page: what is saved is shown, soon and where the reader was.

import { check, clean, median, put, replace, tests } from "./lib.js";

// The most that it may take, from the save to the page that shows it.
const LIMIT = 300;
const ROUNDS = 10;

const LONG = Array.from({ length: 200 }, (_, at) => `Paragraph ${at}.\n`).join("\n");

await tests(async ({ browser, folder, serve }) => {
  const site = folder({
    "site.toml": 'title = "Written"\n',
    "content/index.md": "# Front\n\nround 0\n",
    "content/long.md": `# Long\n\n${LONG}\n\nround 0\n`,
    "content/broken.md": "# Broken\n\nfine\n",
    "static/own.css": "h1 { color: rgb(1, 1, 1) }\n",
    "templates/base.html": '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{{ page.title }}</title>'
      + '<link rel="stylesheet" href="/own.css"></head><body>{% block main %}{% endblock %}</body></html>\n',
  });
  const server = await serve(["--kv_ro=direct", `--site=${site}`]);
  const chromium = await browser();
  console.log(`chromium ${chromium.version}`);

  const small = await chromium.page();
  await times(small, server, site, "a small site");

  const many = {};
  for (let at = 0; at < 1000; at += 1) {
    const links = Array.from({ length: 20 }, (_, to) => `[${to}](page-${to}.md)`).join(" ");
    many[`content/part-${at % 20}/page-${at}.md`] =
      `---\ntitle: Page ${at}\ndate: 2026-11-23\n---\n## Heading\n\n${"Words. ".repeat(500)}\n\n${links}\n`;
  }
  const large = folder({ ...many, "content/index.md": "# Front\n\nround 0\n" });
  const crowd = await serve(["--kv_ro=direct", `--site=${large}`]);
  await times(await chromium.page(), crowd, large, "a site of 1,000 pages");

  await broken(await chromium.page(), server, site);
  await styles(await chromium.page(), server, site);
  await scrolling(await chromium.page(), server, site);
  await manyTabs(small, server, site);
  await stops(await chromium.page(), server, site, serve);
});

// How long it takes from the save to the first frame that shows it. The page notes the time itself: what drives the
// browser looks only now and then. Both clocks are the machine's.
async function times(page, server, site, what) {
  await page.addInitScript(() => {
    const look = () => {
      const text = /round \d+\./.exec(document.body?.innerText ?? "")?.[0];
      if (text) window.shown = { text, at: Date.now() };
      else requestAnimationFrame(look);
    };
    look();
  });
  await page.goto(server.url);
  const took = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const text = `round ${round}.`;
    const save = round % 2 ? put : replace;
    const begun = Date.now();
    save(site, "content/index.md", `# Front\n\n${text}\n`);
    const shown = await page.waitForFunction((text) => window.shown?.text === text && window.shown.at, text);
    took.push((await shown.jsonValue()) - begun);
  }
  const figures = `median ${median(took)} ms, worst of ${ROUNDS} ${Math.max(...took)} ms`;
  check(median(took) <= LIMIT, `${what}: what is saved is shown: ${figures}`);
  clean(page, `${what}: nothing went wrong in the page`);
}

// A page with a mistake says which; mended, it is there again.
async function broken(page, server, site) {
  page.allow((text) => text.includes("status of 500"));
  await page.goto(`${server.url}/broken`);
  await page.getByText("fine").waitFor();
  put(site, "content/broken.md", "---\ntitle: ok\nweight: <b>heavy\n---\n");
  await page.getByText("content/broken.md:3").waitFor();
  const text = await page.locator("body").innerText();
  check(text.includes("`weight` must be a whole number"), "a broken page says what is expected");
  check(text.includes("weight: <b>heavy"), "and shows the line, as it is written");
  const other = await page.request.get(`${server.url}/long`);
  check(other.status() === 200, "other pages are served meanwhile");
  put(site, "content/broken.md", "# Broken\n\nmended\n");
  await page.getByText("mended").waitFor();
  put(site, "templates/page.html", "{% extends 'base.html' %}\n{% block main %}\n{% if %}\n{% endblock %}\n");
  await page.getByText("templates/page.html:3").waitFor();
  const said = server.log.split("\n").filter((line) => line.includes("templates/page.html:3"));
  check(said.length === 1, `a broken template is logged once, was ${said.length} times`);
  put(site, "templates/page.html", "{% extends 'base.html' %}{% block main %}<h1>{{ page.title }}</h1>{{ page.content }}{% endblock %}\n");
  await page.getByText("mended").waitFor();
  clean(page, "a page that was broken shows itself again");
}

// A stylesheet is put in place without the page being loaded again.
async function styles(page, server, site) {
  await page.goto(`${server.url}/long`);
  await page.evaluate(() => { window.same = true; });
  const colour = (wanted) => page.waitForFunction(
    (wanted) => getComputedStyle(document.querySelector("h1")).color === wanted, wanted);
  await colour("rgb(1, 1, 1)");
  for (const shade of [2, 3]) {
    put(site, "static/own.css", `h1 { color: rgb(${shade}, ${shade}, ${shade}) }\n`);
    await colour(`rgb(${shade}, ${shade}, ${shade})`);
  }
  check(await page.evaluate(() => window.same === true), "a stylesheet changes without loading the page");
  await page.waitForFunction(() => document.querySelectorAll("link[rel=stylesheet]").length === 1);
  clean(page, "and takes the place of the one before");
}

// Who reads far below stays there.
async function scrolling(page, server, site) {
  await page.goto(`${server.url}/long`);
  await page.evaluate(() => scrollTo(0, 2000));
  await page.waitForFunction(() => scrollY === 2000);
  put(site, "content/long.md", `# Long\n\n${LONG}\n\nround 1\n`);
  await page.getByText("round 1").waitFor();
  await page.waitForFunction(() => scrollY > 0);
  const at = await page.evaluate(() => scrollY);
  check(Math.abs(at - 2000) < 5, `the place in the page is kept: ${at} of 2000`);
  clean(page, "nothing went wrong in it");
}

// A browser opens six connections to a server at most: tabs that nobody sees take none.
async function manyTabs(page, server, site) {
  const context = page.context();
  const tabs = [];
  for (let at = 0; at < 8; at += 1) {
    const tab = await context.newPage();
    await tab.goto(`${server.url}/long`);
    // What a tab in the background is told; headless, all are in front.
    await tab.evaluate(() => {
      Object.defineProperty(document, "hidden", { get: () => window.away });
      window.away = true;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    tabs.push(tab);
  }
  put(site, "content/long.md", `# Long\n\n${LONG}\n\nround 2\n`);
  const [first] = tabs;
  check(!(await first.locator("body").innerText()).includes("round 2"), "a page that nobody sees waits");
  await first.evaluate(() => {
    window.away = false;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await first.getByText("round 2").waitFor();
  check(true, "and is shown as it is now when it is looked at, with eight open");
  for (const tab of tabs) await tab.close();
}

// A server that stops leaves the page as it is; when it is back, the page follows again.
async function stops(page, server, site, serve) {
  page.allow((text) => text.includes("ERR_"));
  await page.goto(`${server.url}/long`);
  const asks = page.waitForRequest((request) => request.url().includes("/-/reload/"));
  put(site, "content/long.md", `# Long\n\n${LONG}\n\nround 3\n`);
  await page.getByText("round 3").waitFor();
  await asks;
  const begun = Date.now();
  const status = await server.stop();
  const took = Date.now() - begun;
  check(status === 0 && took < 1900, `the server stops although pages wait: status ${status}, ${took} ms`);
  check((await page.locator("body").innerText()).includes("round 3"), "the page stays as it is");
  put(site, "content/long.md", `# Long\n\n${LONG}\n\nround 4\n`);
  await serve(["--kv_ro=direct", `--site=${site}`, `--http-port=${server.port}`]);
  await page.getByText("round 4").waitFor();
  clean(page, "and follows the server that comes back");
}
