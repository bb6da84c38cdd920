// The built page on a server of its own, with ways to break things: answers of the server, the
// worker's surroundings.

import AxeBuilder from "@axe-core/playwright";
import { test as base, expect } from "@playwright/test";
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HEADERS, serve } from "../../www/serve.mjs";

export { expect };

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const toybox = join(root, "models/toybox");
const dist = join(root, "www/dist");

const shardsOf = folder =>
  readdirSync(folder)
    .filter(name => name.endsWith(".safetensors"))
    .sort();

/** Bytes of a pack's weights, shard by shard. */
export const shardBytes = folder => shardsOf(folder).map(name => statSync(join(folder, name)).size);

const sum = numbers => numbers.reduce((a, b) => a + b, 0);

/** Bytes of the bundled pack's weights, and the first file of them. */
export const weightBytes = sum(shardBytes(toybox));
export const shard = shardsOf(toybox)[0];

/**
 * The bundled model converted once more, into several shards; `scenes`, if given, is what it says
 * of its scenes.
 */
export function convert(folder, scenes) {
  const checkpoint = join(folder, "checkpoint");
  cpSync(join(toybox, "checkpoint"), checkpoint, { recursive: true });
  rmSync(join(checkpoint, "scenes.json"));
  if (scenes) writeFileSync(join(checkpoint, "scenes.json"), JSON.stringify(scenes));
  const pack = join(folder, "pack");
  if (!existsSync(pack))
    execFileSync(
      process.env.MQT_BIN,
      ["convert", checkpoint, "-o", pack, "--weights", "q8", "--shard-bytes", "1400000"],
      { stdio: "pipe" },
    );
  return pack;
}

/**
 * A small random LLaVA as a pack, trained as an M3 is: 36 image tokens, or averages of them: 9, or 1.
 */
export function pooled(folder) {
  const [checkpoint, pack] = [join(folder, "m3"), join(folder, "pooled")];
  cpSync(join(root, "tests/golden/e-llava-bins/checkpoint"), checkpoint, { recursive: true });
  const config = join(checkpoint, "config.json");
  const said = JSON.parse(readFileSync(config, "utf8"));
  writeFileSync(config, JSON.stringify({ ...said, matryoshka_vis_token_scale: "1,9,36" }));
  execFileSync(process.env.MQT_BIN, ["convert", checkpoint, "-o", pack, "--weights", "q8"], {
    stdio: "pipe",
  });
  return pack;
}

/** Code that runs in the worker before the engine's: `prelude`. */
const worker = readdirSync(join(dist, "assets")).find(name => name.startsWith("worker-"));

/** A query with WebGPU forced, unless it says where to compute. */
export const onGpu = (query = "") =>
  query.includes("adapter=") ? query : `${query}${query ? "&" : "?"}adapter=gpu`;

/** The page is that of `mqt serve --open`: `native.config.mjs` says which specs it has to pass. */
export const isNative = process.env.MQT_NATIVE === "1";

/** `mqt serve` with the built page. */
async function native() {
  const program = spawn(
    process.env.MQT_BIN,
    ["serve", "--port", "0", `--page=${dist}`, "--quiet"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const url = await new Promise((found, failed) => {
    let said = "";
    program.on("exit", () => failed(new Error(`mqt serve ended: ${said}`)));
    program.stdout.on("data", text => {
      said += text;
      const [url] = /http:\S+\/$/m.exec(said) ?? [];
      if (url) found(url);
    });
  });
  return { url, close: () => program.kill() };
}

export class Site {
  /**
   * Every request for a file of a model: `{ name, start, sent }`; `sent` counts what the server
   * gave to the connection, headers included.
   */
  fetched = [];
  /** `(name, request, response, start) => true` if it answered. */
  intercept = () => false;
  prelude = "";
  complaints = [];
  /** Other hosts that a test asks for something on purpose. */
  allowed = [];
  folders = { "/other/": toybox, "/": dist };

  constructor(context) {
    this.context = context;
  }

  async start() {
    this.server = isNative
      ? await native()
      : await serve({
          folders: this.folders,
          intercept: (request, response, url) => this.answer(request, response, url),
        });
    this.url = this.server.url;
    this.context.on("request", request => {
      const own = [this.url, ...this.allowed].some(url => request.url().startsWith(url));
      if (!/^(data|blob):/.test(request.url()) && !own)
        this.complaints.push(`a request to ${request.url()}`);
    });
    this.context.on("weberror", error => this.complaints.push(String(error.error())));
  }

  /** Serves a folder as `name/`, before all others. */
  add(name, folder) {
    for (const [prefix, path] of Object.entries(this.folders)) {
      delete this.folders[prefix];
      if (prefix === "/other/") this.folders[`/${name}/`] = folder;
      this.folders[prefix] = path;
    }
  }

  answer(request, response, url) {
    if (url.pathname.endsWith(worker) && this.prelude) {
      response
        .writeHead(200, { ...HEADERS, "content-type": "text/javascript" })
        .end(this.prelude + readFileSync(join(dist, "assets", worker), "utf8"));
      return true;
    }
    const [, name] = /^\/(?:models\/toybox|pack)\/(.+)$/.exec(url.pathname) ?? [];
    if (!name) return false;
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const entry = { name, start, sent: 0 };
    const before = request.socket.bytesWritten;
    response.on("close", () => (entry.sent = request.socket.bytesWritten - before));
    this.fetched.push(entry);
    return this.intercept(name, request, response, start);
  }

  /** The requests for weights. */
  weights() {
    return this.fetched.filter(({ name }) => name.endsWith(".safetensors"));
  }

  /**
   * Opens the page, on WebGPU where `query` names no adapter: the browser's draws in software here,
   * so that the page by itself would take the processor (`devices.spec.mjs`).
   */
  async open(query = "") {
    const page = await this.context.newPage();
    await page.goto(this.url + onGpu(query));
    return page;
  }
}

export const test = base.extend({
  /** A fresh context: nothing stored. The test fails on any request to another host. */
  site: async ({ context }, use) => {
    const site = new Site(context);
    await site.start();
    await use(site);
    expect(site.complaints).toEqual([]);
    site.server.close();
  },
});

/**
 * A second server, on another origin and with TLS, as a stranger's would be. `allow`: it lets other
 * pages read what it has (CORS).
 */
export async function elsewhere(folders, allow) {
  const tls = Object.fromEntries(
    ["key", "crt"].map(part => [
      part,
      readFileSync(join(root, "tests/browser/tls", `localhost.${part}`)),
    ]),
  );
  const headers = allow ? { "access-control-allow-origin": "*" } : {};
  return serve({ folders, headers, tls: { key: tls.key, cert: tls.crt } });
}

/** The page reached one of these states. */
export async function reached(page, ...states) {
  await expect(page.locator("body")).toHaveAttribute(
    "data-state",
    new RegExp(`^(${states.join("|")})$`),
    { timeout: 240_000 },
  );
}

/** Waits for a state however briefly it lasts; call before what causes it. */
export function passes(page, state) {
  return page.evaluate(
    state =>
      new Promise(seen => {
        const look = () => document.body.dataset.state === state && seen(performance.now());
        new MutationObserver(look).observe(document.body, { attributes: true });
        look();
      }),
    state,
  );
}

/**
 * Presses Stop as soon as the page is in `state`; milliseconds until it has left that for one of
 * `after`.
 */
export function stopIn(page, state, after) {
  return page.evaluate(
    ([state, after]) =>
      new Promise(done => {
        const observer = new MutationObserver(look);
        let pressed = 0;
        function look() {
          const now = document.body.dataset.state;
          if (!pressed && now === state) {
            // A moment later the work is really under way, and the button is as a person finds it.
            pressed = Infinity;
            setTimeout(() => {
              pressed = performance.now();
              document.querySelector("#stop").click();
              look();
            }, 30);
          } else if (pressed < Infinity && pressed > 0 && after.includes(now)) {
            observer.disconnect();
            done(performance.now() - pressed);
          }
        }
        observer.observe(document.body, { attributes: true });
        look();
      }),
    [state, after],
  );
}

/** Presses the button that starts the download; a model from elsewhere says its size first. */
export async function start(page) {
  // That page has its model.
  if (isNative) return;
  await page.locator(".notice .start").click();
  if (page.url().includes("model="))
    await page.getByRole("button", { name: /^Download \d/ }).click();
}

/** The same, and waits until the model is ready. */
export async function load(page) {
  await start(page);
  await reached(page, "ready");
}

/** Serious and critical findings of axe, as text. */
export async function axe(page) {
  // What is still fading in has less contrast than it will have. Some never end: those whose
  // element went away while they ran.
  await page.evaluate(() => {
    const ends = document
      .getAnimations()
      .filter(a => a.effect.getTiming().iterations !== Infinity)
      .map(a => a.finished);
    return Promise.race([Promise.allSettled(ends), new Promise(done => setTimeout(done, 2000))]);
  });
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations
    .filter(v => ["serious", "critical"].includes(v.impact))
    .map(v => `${v.id}: ${v.nodes.map(n => n.html).join(" ")}`);
}

/** Compares token counts for a question; gives the verdict, once all columns are there. */
export async function compare(page, question) {
  const n = await page.locator(".comparison").count();
  await page.locator("#question").fill(question);
  await page.locator("#compare").click();
  await expect(page.locator(".comparison")).toHaveCount(n + 1);
  const verdict = page.locator(".verdict").last();
  await expect(verdict).not.toBeEmpty();
  await reached(page, "ready");
  return verdict;
}

export async function sample(page, n) {
  await page.getByRole("button", { name: `Sample picture ${n}`, exact: true }).click();
  await expect
    .poll(() => page.evaluate(() => globalThis.mqt.picture?.view !== undefined), {
      timeout: 240_000,
    })
    .toBe(true);
  await reached(page, "ready");
}

/** Asks, and gives the last answer's article. */
export async function ask(page, question) {
  const before = await page.locator("article").count();
  await page.getByRole("textbox", { name: "Question" }).fill(question);
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await expect(page.locator("article")).toHaveCount(before + 1);
  const article = page.locator("article").last();
  await expect(article).toHaveAttribute("data-finish-reason", /./, { timeout: 240_000 });
  return article;
}

/** Opens a panel of the list under *More*. */
export async function panel(page, name) {
  await page.locator(".top summary").click();
  await page.getByRole("button", { name, exact: true }).click();
}

/** Presses a button of the list under *Your picture*. */
export async function source(page, name) {
  await page.locator("#own summary").click();
  await page.locator("#own").getByRole("button", { name, exact: true }).click();
}

/** Changes fields of the Settings dialog: `{ "#seed": "3" }`. */
export async function set(page, fields) {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  for (const [field, value] of Object.entries(fields)) {
    await page.locator(field).fill(value);
    await page.locator(field).press("Tab");
  }
  await page.getByRole("button", { name: "Done" }).click();
}

/** Sets the slider. */
export async function tokens(page, m) {
  await page.getByRole("slider", { name: "Image tokens" }).fill(String(m));
  await expect(page.getByRole("checkbox", { name: "Auto" })).not.toBeChecked();
}

/** Encodes every picture anew: what a model before encoded is not taken over, nor the conversation. */
export const forgetful = page => page.evaluate(() => localStorage.setItem("mqt-history-off", "1"));
