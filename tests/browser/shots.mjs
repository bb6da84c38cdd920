// Takes the pictures in docs/screenshots: `node tests/browser/shots.mjs [folder]`, after `cargo xtask web`.

import { chromium } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { serve } from "../../www/serve.mjs";

const folder = process.argv[2] ?? "docs/screenshots";
mkdirSync(folder, { recursive: true });
const server = await serve();
const args = ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const browser = await chromium.launch({ executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium", args });
const context = await browser.newContext({ reducedMotion: "reduce" });
context.setDefaultTimeout(300_000);
const page = await context.newPage();

/** One state, wide and narrow, light and dark. */
async function shot(name, of = page) {
  for (const [size, width] of [["wide", 1280], ["narrow", 400]])
    for (const colorScheme of ["light", "dark"]) {
      await of.setViewportSize({ width, height: 860 });
      await of.emulateMedia({ colorScheme });
      await of.waitForTimeout(200);
      // As tall as the page, so that what sticks to the lower edge stands where it belongs.
      const whole = size === "narrow" && !(await of.locator("dialog[open]").count());
      if (whole) await of.setViewportSize({ width, height: await of.evaluate(() => document.documentElement.scrollHeight) });
      await of.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png` });
    }
  await of.setViewportSize({ width: 1280, height: 860 });
  console.log(name);
}

const state = (name, of = page) => of.waitForFunction((name) => document.body.dataset.state === name, name);

async function ask(question) {
  const n = await page.locator("article").count();
  await page.locator("#question").fill(question);
  await page.locator("#ask").click();
  await page.locator("article[data-finish-reason]").nth(n).waitFor();
}

await page.goto(server.url);
await shot("first-visit");
await page.locator("#samples button").nth(0).click();
await page.locator("#tokens").fill("2");
await ask("How many things are there?");
await page.getByRole("button", { name: /Refine/ }).click();
await page.locator('#answers > article[data-image-tokens="64"]').waitFor();
await ask("What is the shape of the purple shape?");
await page.locator("#tokens").fill("16");
await shot("ready");
await page.getByRole("button", { name: "Attention" }).click();
await page.waitForTimeout(3000);
await shot("attention");
await page.getByRole("button", { name: "Original" }).click();
await page.locator("#compose").click();
await shot("composer");
await page.keyboard.press("Escape");
const second = await context.newPage();
await second.goto(server.url);
await second.locator(".notice .main").click();
await state("second-tab", second);
await shot("second-tab", second);
await second.addInitScript(() => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }));
await second.reload();
await second.locator(".notice .main").click();
await state("no-webgpu", second);
await shot("no-webgpu", second);
await page.locator("#question").fill("Where is the cross?");
await page.locator("#compare").click();
await page.locator(".plot svg").waitFor();
await shot("compare");
await browser.close();
server.close();
