// Takes the pictures in docs/screenshots: `node tests/browser/shots.mjs [folder]`, after `cargo xtask web`.

import { chromium } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { serve } from "../../www/serve.mjs";

const folder = process.argv[2] ?? "docs/screenshots";
mkdirSync(folder, { recursive: true });
const server = await serve();
const args = ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const browser = await chromium.launch({ executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium", args });
const sizes = { wide: { width: 1280, height: 860 }, narrow: { width: 400, height: 860 } };

for (const [size, viewport] of Object.entries(sizes))
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce", deviceScaleFactor: size === "narrow" ? 2 : 1 });
    const page = await context.newPage();
    const shot = async (name) => {
      await page.waitForTimeout(250);
      await page.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png`, fullPage: size === "narrow" });
    };
    const ask = async (question) => {
      const n = await page.locator("article").count();
      await page.locator("#question").fill(question);
      await page.locator("#ask").click();
      await page.locator("article[data-finish-reason]").nth(n).waitFor({ timeout: 90_000 });
    };
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
    await page.waitForTimeout(1500);
    await shot("attention");
    await page.getByRole("button", { name: "Original" }).click();
    await page.locator("#question").fill("Where is the cross?");
    await page.locator("#compare").click();
    await page.locator(".plot svg").waitFor({ timeout: 90_000 });
    await shot("compare");
    await page.locator("#compose").click();
    await shot("composer");
    await page.keyboard.press("Escape");
    await page.locator("#open-storage").click();
    await shot("storage");
    await page.keyboard.press("Escape");
    const second = await context.newPage();
    await second.goto(server.url);
    await second.locator(".notice .main").click();
    await second.waitForFunction(() => document.body.dataset.state === "second-tab");
    await second.waitForTimeout(250);
    await second.screenshot({ path: `${folder}/second-tab-${size}-${colorScheme}.png`, fullPage: size === "narrow" });
    await second.addInitScript(() => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }));
    await second.reload();
    await second.locator(".notice .main").click();
    await second.waitForFunction(() => document.body.dataset.state === "no-webgpu");
    await second.waitForTimeout(250);
    await second.screenshot({ path: `${folder}/no-webgpu-${size}-${colorScheme}.png`, fullPage: size === "narrow" });
    await context.close();
  }
await browser.close();
server.close();
