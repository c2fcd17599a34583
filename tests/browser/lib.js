// What tests in a browser need: a server on a free port, pages that tell of everything that is
// wrong with them, and checks that print a line each.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// Longer than anything takes here, even on a machine that is busy with other things.
export const PATIENCE = 30_000;

let failed = 0;

// Counts, and says, what holds and what does not: scripts/test reads these lines.
export function check(holds, what) {
  console.log(`  ${holds ? "ok" : "FAILED"}: ${what}`);
  if (!holds) failed += 1;
  return holds;
}

// That nothing was wrong with a page since the last time.
export function clean(page, what) {
  const wrong = page.wrong();
  return check(wrong.length === 0, wrong.length === 0 ? what : `${what}: ${wrong.join("; ")}`);
}

// Runs what a file tests, whatever happens in it, and cleans up behind it.
export async function tests(run) {
  const made = [];
  const later = (undo) => made.push(undo);
  try {
    await run({
      browser: () => browser(later),
      folder: (files) => folder(later, files),
      serve: (words) => serve(later, words),
    });
  } catch (error) {
    check(false, `${error.stack}`);
  }
  for (const undo of made.reverse()) await undo();
  process.exit(failed === 0 ? 0 : 1);
}

// A site's folder with these files.
function folder(later, files) {
  const path = mkdtempSync(join(tmpdir(), "mir-www-browser-"));
  later(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) put(path, name, text);
  return path;
}

// Writes a file in place, as simple editors do.
export function put(folder, name, text) {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

// Writes a file beside it, which then takes its name, as other editors do.
export function replace(folder, name, text) {
  const path = join(folder, name);
  writeFileSync(`${path}~new`, text);
  renameSync(`${path}~new`, path);
}

// A running server: its address, its log so far, and a way to end it.
async function serve(later, words) {
  const binary = process.env.MIR_WWW ?? "dist/mir-www";
  const port = words.some((word) => word.startsWith("--http-port=")) ? [] : ["--http-port=0"];
  const child = spawn(binary, [...port, ...words]);
  const exit = once(child, "exit");
  const server = { log: "", url: "" };
  child.stderr.on("data", (bytes) => { server.log += bytes; });
  server.stop = async () => {
    child.kill("SIGTERM");
    const [status] = await exit;
    return status;
  };
  later(() => child.kill("SIGKILL"));
  const said = once(createInterface({ input: child.stdout }), "line");
  const gone = exit.then(([status]) => { throw new Error(`${binary}: status ${status}: ${server.log}`); });
  gone.catch(() => {});
  const [line] = await Promise.race([said, gone]);
  server.port = Number(/:(\d+)\/?$/.exec(line)?.[1]);
  server.url = `http://127.0.0.1:${server.port}`;
  return server;
}

// The browser that the system has; playwright's own is never fetched.
async function browser(later) {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const paths = (process.env.PATH ?? "").split(":").concat("/usr/bin");
  const all = names.flatMap((name) => paths.map((path) => join(path, name)));
  const executablePath = process.env.CHROMIUM ?? all.find(existsSync);
  if (!executablePath) throw new Error("no chromium: scripts/need browser installs it");
  const args = ["--disable-dev-shm-usage", "--disable-background-networking"];
  // As root, as in a container, there is no sandbox to be had.
  if (process.getuid() === 0) args.push("--no-sandbox");
  const browser = await chromium.launch({ executablePath, args, headless: true });
  later(() => browser.close());
  return {
    version: browser.version(),
    page: (options) => page(browser, options),
  };
}

// A page that notes what goes wrong in it: errors on its console, and requests to other hosts.
async function page(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 600 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const wrong = [];
  let allowed = () => false;
  page.on("console", (message) => {
    // The browser asks for it by itself, whether the site has one or not.
    const icon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !icon && !allowed(message.text())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(`${error}`));
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol.startsWith("http") && hostname !== "127.0.0.1") wrong.push(`asks ${request.url()}`);
  });
  // Errors that a test brings about are no fault of the page.
  page.allow = (test) => { allowed = test; };
  page.wrong = () => wrong.splice(0);
  return page;
}

// The one in the middle.
export function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
