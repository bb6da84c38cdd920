// The built page on a server of its own, with ways to break things: answers of the server, the worker's surroundings.

import { test as base, expect } from "@playwright/test";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HEADERS, serve } from "../../www/serve.mjs";

export { expect };

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const toybox = join(root, "models/toybox");
const dist = join(root, "www/dist");

/** Bytes of the bundled pack's weights, and of all of its files. */
const shards = readdirSync(toybox).filter((name) => name.endsWith(".safetensors"));
export const weightBytes = shards.reduce((sum, name) => sum + statSync(join(toybox, name)).size, 0);
export const shard = shards.sort()[0];

/** Code that runs in the worker before the engine's: `prelude`. */
const worker = readdirSync(join(dist, "assets")).find((name) => name.startsWith("worker-"));

export class Site {
  /** Every request for a file of the model: `{ file, start, sent }`. */
  fetched = [];
  /** `(name, request, response) => true` if it answered. */
  intercept = () => false;
  prelude = "";
  complaints = [];

  constructor(context) {
    this.context = context;
  }

  async start() {
    const folders = { "/other/": toybox, "/": dist };
    this.server = await serve({ folders, intercept: (request, response, url) => this.answer(request, response, url) });
    this.url = this.server.url;
    this.context.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(this.url)) this.complaints.push(`a request to ${request.url()}`);
    });
    this.context.on("weberror", (error) => this.complaints.push(String(error.error())));
  }

  answer(request, response, url) {
    if (url.pathname.endsWith(worker) && this.prelude) {
      response.writeHead(200, { ...HEADERS, "content-type": "text/javascript" }).end(this.prelude + readFileSync(join(dist, "assets", worker), "utf8"));
      return true;
    }
    const [, name] = /^\/models\/toybox\/(.+)$/.exec(url.pathname) ?? [];
    if (!name) return false;
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    this.fetched.push({ name, start });
    return this.intercept(name, request, response, start);
  }

  /** How often weights were asked for. */
  weights() {
    return this.fetched.filter(({ name }) => name.endsWith(".safetensors"));
  }

  async open(query = "") {
    const page = await this.context.newPage();
    await page.goto(this.url + query);
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

/** The page reached one of these states. */
export async function reached(page, ...states) {
  await expect(page.locator("body")).toHaveAttribute("data-state", new RegExp(`^(${states.join("|")})$`), { timeout: 240_000 });
}

/** Waits for a state however briefly it lasts; call before what causes it. */
export function passes(page, state) {
  return page.evaluate(
    (state) =>
      new Promise((seen) => {
        const look = () => document.body.dataset.state === state && seen(performance.now());
        new MutationObserver(look).observe(document.body, { attributes: true });
        look();
      }),
    state,
  );
}

/** Presses the button that starts the download, and waits until the model is ready. */
export async function load(page) {
  await page.locator(".notice .main").click();
  await reached(page, "ready");
}

export async function sample(page, n) {
  await page.getByRole("button", { name: `Sample picture ${n}` }).click();
  await expect.poll(() => page.evaluate(() => globalThis.mqt.picture?.view !== undefined), { timeout: 240_000 }).toBe(true);
  await reached(page, "ready");
}

/** Asks, and gives the last answer's article. */
export async function ask(page, question) {
  const before = await page.locator("article").count();
  await page.getByRole("textbox", { name: "Question" }).fill(question);
  await page.getByRole("button", { name: "Ask" }).click();
  await expect(page.locator("article")).toHaveCount(before + 1);
  const article = page.locator("article").last();
  await expect(article).toHaveAttribute("data-finish-reason", /./, { timeout: 240_000 });
  return article;
}

/** Sets the slider. */
export async function tokens(page, m) {
  await page.getByRole("slider", { name: "Image tokens" }).fill(String(m));
  await expect(page.getByRole("checkbox", { name: "Auto" })).not.toBeChecked();
}
