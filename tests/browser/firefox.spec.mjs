// The page in another engine: Debian's Firefox, driven by WebDriver BiDi. It has no WebGPU there,
// so that the processor answers. MQT_FIREFOX names another one.

import { expect, test } from "@playwright/test";
import puppeteer from "puppeteer-core";
import { serve } from "../../www/serve.mjs";

test("Firefox without WebGPU: an answer from the processor, nothing fetched or encoded again", async () => {
  // Requests for the model's weights, and for the engine.
  const fetched = [];
  const server = await serve({
    intercept: (_, __, { pathname }) => {
      if (/\.(safetensors|wasm)$/.test(pathname)) fetched.push(pathname);
      return false;
    },
  });
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.MQT_FIREFOX || "/usr/bin/firefox-esr",
    headless: true,
    // Some builds have it: this is about those that do not.
    extraPrefsFirefox: { "dom.webgpu.enabled": false },
  });
  try {
    const page = await browser.newPage();
    const complaints = [];
    page.on("pageerror", error => complaints.push(String(error)));
    await page.goto(`${server.url}?tokens=64`);
    const answer = async () => {
      await page.waitForSelector("article[data-finish-reason]", { timeout: 120_000 });
      return page.$eval("article:last-of-type", article => ({
        text: article.querySelector(".text").textContent,
        visionRuns: article.dataset.visionRuns,
        state: document.body.dataset.state,
        status: document.querySelector("#status").textContent,
        troubles: document.querySelectorAll(".notice.trouble").length,
      }));
    };
    const ask = async () => {
      await page.type("#question", "How many things are there?");
      await page.keyboard.press("Enter");
    };
    const choose = () => page.click("#samples button");
    await choose();
    await ask();
    const first = await answer();
    expect(first).toMatchObject({ text: "3", visionRuns: "1", state: "ready", troubles: 0 });
    expect(first.status).toContain("CPU, no WebGPU here");
    expect(fetched).toHaveLength(2);
    await page.click("#anew");
    await page.reload();
    await choose();
    await page.waitForFunction(() => document.body.dataset.state === "ready", { timeout: 60_000 });
    await ask();
    expect(await answer()).toMatchObject({ text: "3", visionRuns: "0", state: "ready" });
    expect(fetched).toHaveLength(2);
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
    server.close();
  }
});
