// Takes the pictures in docs/screenshots: `node tests/browser/shots.mjs [folder]`, after
// `cargo xtask web`.

import { chromium } from "@playwright/test";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serve } from "../../www/serve.mjs";

const folder = process.argv[2] ?? "docs/screenshots";
mkdirSync(folder, { recursive: true });

/**
 * Bytes of the weights after which the server stops sending, so that a download can be seen;
 * `Infinity`: all.
 */
let room = Infinity;
const pack = fileURLToPath(new URL("../../models/toybox", import.meta.url));
const weights = readdirSync(pack).find(name => name.endsWith(".safetensors"));
const intercept = (_, response, url) => {
  if (room === Infinity || !url.pathname.endsWith(weights)) return false;
  const bytes = readFileSync(join(pack, weights));
  response.writeHead(200, { "content-length": bytes.length });
  response.write(bytes.subarray(0, room));
  return true;
};
const server = await serve({ intercept });
const args = [
  "--headless=new",
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
];
const browser = await chromium.launch({
  executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
  args,
});
const context = await browser.newContext({ reducedMotion: "reduce", serviceWorkers: "block" });
context.setDefaultTimeout(300_000);
const page = await context.newPage();

/** One state, wide and narrow, light and dark. */
async function shot(name, of = page) {
  const camera = await context.newCDPSession(of);
  for (const [size, width] of [
    ["wide", 1280],
    ["narrow", 400],
  ])
    for (const colorScheme of ["light", "dark"]) {
      await of.setViewportSize({ width, height: 860 });
      await of.emulateMedia({ colorScheme });
      await of.waitForTimeout(200);
      // As tall as the page, so that what sticks to the lower edge stands where it belongs.
      const whole = size === "narrow" && !(await of.locator("dialog[open]").count());
      if (whole)
        await of.setViewportSize({
          width,
          height: await of.evaluate(() => document.documentElement.scrollHeight),
        });
      const { data } = await camera.send("Page.captureScreenshot", { format: "webp", quality: 72 });
      writeFileSync(`${folder}/${name}-${size}-${colorScheme}.webp`, Buffer.from(data, "base64"));
    }
  await of.setViewportSize({ width: 1280, height: 860 });
  console.log(name);
}

const state = (name, of = page) =>
  of.waitForFunction(name => document.body.dataset.state === name, name);

async function ask(question) {
  const n = await page.locator("article").count();
  await page.locator("#question").fill(question);
  await page.locator("#ask").click();
  await page.locator("article[data-finish-reason]").nth(n).waitFor();
}

await page.goto(server.url);
await shot("first-visit");
room = 2_600_000;
await page.locator(".notice .start").click();
await page.getByText(/2\.[67] MB of/).waitFor();
await shot("downloading");
room = Infinity;
await page.getByRole("button", { name: "Pause" }).click();
await page.getByRole("button", { name: "Continue" }).click();
await state("ready");
await page.locator("#samples button").nth(0).click();
await state("ready");
await page.locator("#tokens").fill("2");
await ask("How many things are there?");
await page.getByRole("button", { name: /Refine/ }).click();
await page.locator('#answers > article[data-image-tokens="64"]').waitFor();
await ask("what is left of the car?");
await page.locator("#tokens").fill("16");
await page.locator("#estimate b", { hasText: "16" }).waitFor();
await shot("ready");
await page.getByRole("button", { name: "Where tokens look" }).click();
await page.waitForTimeout(3000);
await shot("attention");
await page.getByRole("button", { name: "Original" }).click();
await page.locator("#compose").click();
await page.locator("dialog#composer[open]").waitFor();
await shot("composer");
await page.keyboard.press("Escape");
await panel(page, "Benchmark");
await page.locator("#bench-run").click();
await page.locator("#bench-result svg").waitFor();
await shot("benchmark");
await page.keyboard.press("Escape");
const second = await context.newPage();
await second.goto(server.url);
await second.locator(".notice .start").click();
await state("second-tab", second);
await shot("second-tab", second);
await second.addInitScript(() =>
  Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }),
);
await second.reload();
await second.locator(".notice .start").click();
await state("no-webgpu", second);
await shot("no-webgpu", second);
// Cards that take a broken device or a full disk, asked for as the page itself would.
for (const [code, facts] of [
  ["out-of-memory", { what: "model.layers.3.mlp.down_proj.weight", need: 93_323_264 }],
  ["storage-full", { need: 4_100_000_000, have: 1_200_000_000 }],
  ["bad-shard", { file: "weights-00002.safetensors" }],
]) {
  await second.evaluate(
    ([code, facts]) =>
      globalThis.mqt.failed({
        code,
        facts,
        message: `${facts.file ?? facts.what} does not match its SHA-256; it is not used`,
      }),
    [code, facts],
  );
  await shot(code, second);
}
await second.close();
await page.locator("#question").fill("Where is the car?");
await page.locator("#compare").click();
await page.locator(".verdict:not(:empty)").waitFor();
await shot("compare");
await browser.close();
server.close();
