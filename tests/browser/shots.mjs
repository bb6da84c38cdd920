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
  // A camera that shows a moving test card.
  "--use-fake-device-for-media-stream",
];
const browser = await chromium.launch({
  executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
  args,
});
const context = await browser.newContext({ reducedMotion: "reduce", serviceWorkers: "block" });
context.setDefaultTimeout(300_000);
await context.grantPermissions(["camera"]);
const page = await context.newPage();

/** Real screens: a desktop, a small laptop, phones upright and on their side. */
const SIZES = {
  wide: [1280, 800],
  laptop: [1366, 657],
  narrow: [390, 844],
  small: [320, 568],
  flat: [844, 390],
};
/** More of them, for what everyone sees. */
const MORE = {
  slim: [360, 740],
  large: [412, 915],
  tablet: [820, 1180],
  desktop: [1920, 1080],
  huge: [2560, 1440],
};

/**
 * One state as people see it; `at` is brought on the screen first, as the page itself would; of a
 * list one after the other.
 * The main states on five screens and in the dark, what everyone sees on ten, the others on two.
 */
async function shot(name, { of = page, isMain = false, isCommon = false, at = [] } = {}) {
  const camera = await context.newCDPSession(of);
  for (const [size, [width, height]] of Object.entries({ ...SIZES, ...(isCommon && MORE) }))
    for (const colorScheme of ["light", "dark"]) {
      const usual = size === "wide" || size === "narrow";
      if (!usual && (!isMain || colorScheme === "dark")) continue;
      if (!isMain && colorScheme === "dark") continue;
      await of.setViewportSize({ width, height });
      await of.emulateMedia({ colorScheme });
      for (const part of at)
        await of
          .locator(part)
          .last()
          .evaluate(e => e.scrollIntoView({ block: "end" }));
      if (at.length === 0) await of.evaluate(() => scrollTo(0, 0));
      await of.waitForTimeout(250);
      const { data } = await camera.send("Page.captureScreenshot", { format: "webp", quality: 72 });
      writeFileSync(`${folder}/${name}-${size}-${colorScheme}.webp`, Buffer.from(data, "base64"));
    }
  await of.setViewportSize({ width: 1280, height: 800 });
  await of.emulateMedia({ colorScheme: "light" });
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

async function panel(name) {
  await page.locator(".top summary").click();
  await page.getByRole("button", { name, exact: true }).click();
}

await page.goto(server.url);
await page.locator(".demo").waitFor();
await shot("first-visit", { isMain: true, isCommon: true });
const frugal = await context.newPage();
await frugal.addInitScript(() =>
  Object.defineProperty(navigator, "connection", { value: { saveData: true } }),
);
await frugal.goto(server.url);
await frugal.locator(".notice .start").click();
await state("saving-data", frugal);
await shot("saving-data", { of: frugal });
await frugal.close();
room = 2_600_000;
await page.locator(".try").click();
await page.getByText(/2\.[67] MB of/).waitFor();
await shot("loading", { at: ["article"] });
room = Infinity;
await page.getByRole("button", { name: "Pause" }).click();
await page.getByRole("button", { name: "Continue" }).click();
await page.locator(".verdict:not(:empty)").waitFor();
await shot("compare", { isMain: true, isCommon: true, at: [".comparison"] });
await page.locator("#anew").click();
await page.locator("article").waitFor({ state: "detached" });
await page.locator("#tokens").fill("2");
await ask("What is to the left of the car?");
await page.getByRole("button", { name: /Refine/ }).click();
await page.locator('#answers > article[data-image-tokens="64"]').waitFor();
await ask("Where is the cat?");
await page.locator("#tokens").fill("16");
await page.locator("#estimate b", { hasText: "16" }).waitFor();
await shot("ready", { isMain: true, isCommon: true, at: ["article"] });
await page.locator("#tokens").fill("64");
await ask("What colour is the car?");
await page.locator("#answers .look").last().click();
await page.locator("#looked p", { hasText: "most at" }).waitFor();
await page.waitForTimeout(1000);
await shot("looked", { isMain: true, at: ["article", "#looked"] });
await page.locator("#looked button").click();
await page.locator("#tokens").fill("16");
await page.locator("#add summary").click();
await shot("add");
await page.getByRole("button", { name: "Add sample picture 2", exact: true }).click();
await page.waitForFunction(() => globalThis.mqt.pictures.length === 2);
await state("ready");
await ask("Is there a dog?");
await shot("several", { isMain: true, at: ["article"] });
await page.getByRole("button", { name: "Forget picture 2", exact: true }).click();
await state("ready");
await page.locator("[data-show=attention]").click();
await page.waitForTimeout(2000);
await shot("attention", { isMain: true, isCommon: true, at: ["#estimate"] });
await page.locator("[data-show=original]").click();
await page.getByRole("button", { name: "Settings", exact: true }).click();
await shot("settings", { isMain: true, isCommon: true });
await page.keyboard.press("Escape");
await page.getByRole("button", { name: "Model", exact: true }).click();
await shot("models");
await page.keyboard.press("Escape");
await page.locator("#own summary").click();
await page.locator("#compose").click();
await page.locator("dialog#composer[open]").waitFor();
await shot("composer");
await page.keyboard.press("Escape");
await page.locator("#own summary").click();
await page.locator("#open-live").click();
await page.locator("#live .main").click();
await page.locator(".live-caption:not(:empty)").waitFor();
await shot("live", { isMain: true });
await page.keyboard.press("Escape");
await state("ready");
await panel("Benchmark");
await page.locator("#bench-run").click();
await page.locator("#bench-result svg").waitFor();
await shot("benchmark");
await page.keyboard.press("Escape");
const second = await context.newPage();
await second.goto(server.url);
await second.locator(".notice .start").click();
await state("second-tab", second);
await shot("second-tab", { of: second });
await second.addInitScript(() => {
  Object.defineProperty(Navigator.prototype, "gpu", { value: undefined });
  indexedDB.deleteDatabase("mqt-history");
});
// Elsewhere the processor answers then, and nothing is said.
await second.goto(`${server.url}?adapter=gpu`);
await state("no-webgpu", second);
await shot("no-webgpu", { of: second });
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
  const isCommon = code === "out-of-memory";
  await shot(code, { of: second, isMain: isCommon, isCommon });
}
await browser.close();
server.close();
