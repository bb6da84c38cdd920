// How long the page's own thread was busy without a pause, from the first visit to the second
// answer: `node tests/browser/blocked.mjs`, after `cargo xtask web`. One line of JSON for each
// device: tasks of 50 ms and more, with when they began and how long they took, in milliseconds.

import { chromium } from "@playwright/test";
import { serve } from "../../www/serve.mjs";

const server = await serve({});
const browser = await chromium.launch({
  executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
  args: [
    "--headless=new",
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
  ],
});
for (const adapter of ["cpu", "gpu"]) {
  const context = await browser.newContext();
  context.setDefaultTimeout(300_000);
  await context.addInitScript(() => {
    globalThis.tasks = [];
    new PerformanceObserver(list => {
      for (const { startTime, duration } of list.getEntries())
        globalThis.tasks.push([Math.round(startTime), Math.round(duration)]);
    }).observe({ type: "longtask", buffered: true });
  });
  const page = await context.newPage();
  await page.goto(`${server.url}?adapter=${adapter}`);
  const ask = async question => {
    const n = await page.locator("article").count();
    await page.locator("#question").fill(question);
    await page.locator("#ask").click();
    await page.locator("article[data-finish-reason]").nth(n).waitFor();
    return page.evaluate(() => Math.round(performance.now()));
  };
  const step = {};
  step.shown = await page.evaluate(() => Math.round(performance.now()));
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  step.first_answer = await ask("How many things are there?");
  step.second_answer = await ask("Where is the car?");
  const tasks = await page.evaluate(() => globalThis.tasks);
  const longest = Math.max(0, ...tasks.map(([, ms]) => ms));
  console.log(JSON.stringify({ adapter, longest_ms: longest, tasks, at_ms: step }));
  await context.close();
}
await browser.close();
server.close();
