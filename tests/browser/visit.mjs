// From a first visit to the first word of an answer, on the processor:
// `node tests/browser/visit.mjs [DIST …]`, after `cargo xtask web`. Each folder is a built page;
// several take turns, so that they can be compared. One line of JSON for each: milliseconds from
// the address to the first word, and tokens a second, as medians of visits with nothing stored.

import { chromium } from "@playwright/test";
import { serve } from "../../www/serve.mjs";

/** Visits that count; one before them does not. */
const VISITS = 5;
const QUESTION = "Describe the picture";

const folders = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
  args: ["--headless=new", "--no-sandbox"],
});

/** A visit as a person makes it: picture, question, Ask; an older page is told to load as well. */
async function visit(url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const start = performance.now();
  await page.goto(`${url}?adapter=cpu&tokens=64`);
  await page.locator("#samples button").first().click();
  await page.locator("#question").fill(QUESTION);
  const ask = page.locator("#ask");
  if (await ask.isDisabled()) {
    await page.locator(".notice .start, .notice .main").first().click();
    await page.waitForFunction(() => !document.querySelector("#ask").disabled);
  }
  await ask.click();
  await page.waitForFunction(
    () => document.querySelector("article .text")?.textContent.trim(),
    undefined,
    { polling: "raf" },
  );
  const ms = performance.now() - start;
  await page.locator("article[data-finish-reason]").waitFor();
  const rate = await page.evaluate(() => {
    const { records } = globalThis.mqt;
    const record = JSON.stringify(records?.at(-1) ?? {});
    return Number(/"tokens_?[pP]er_?[sS]econd":([\d.]+)/.exec(record)?.[1]);
  });
  await context.close();
  return { ms, rate };
}

const median = all => all.sort((a, b) => a - b)[all.length >> 1];
const pages = [];
for (const folder of folders.length > 0 ? folders : [undefined])
  pages.push({ folder, server: await serve(folder ? { folders: { "/": folder } } : {}), seen: [] });
for (let i = 0; i <= VISITS; i++)
  for (const { server, seen } of pages) {
    const one = await visit(server.url);
    if (i > 0) seen.push(one);
  }
for (const { folder = "www/dist", seen, server } of pages) {
  const [ms, rate] = [median(seen.map(v => v.ms)), median(seen.map(v => v.rate))];
  const all = seen.map(v => Math.round(v.ms));
  console.log(JSON.stringify({ folder, first_word_ms: Math.round(ms), all, tokens_per_s: rate }));
  server.close();
}
await browser.close();
