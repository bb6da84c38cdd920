// A long conversation: a hundred questions about ten pictures, with reloads between. Nothing is
// lost, nothing is encoded twice, and memory does not grow with the questions.

import { ask, expect, load, reached, sample, test } from "./site.mjs";

test.use({ serviceWorkers: "block" });

const QUESTIONS = 100;
const PICTURES = 10;

test("a hundred questions about ten pictures, and four reloads", async ({ site, context }) => {
  const page = await site.open("?adapter=cpu&tokens=4&max_new_tokens=6");
  const browser = await context.newCDPSession(page);
  /** Bytes of the page's own heap, without garbage, and of the engine's. */
  const memory = async () => {
    await browser.send("HeapProfiler.collectGarbage");
    const { usedSize } = await browser.send("Runtime.getHeapUsage");
    const { wasmBytes } = await page.evaluate(() => globalThis.mqt.engine.memory());
    return { page: usedSize, engine: wasmBytes };
  };
  await load(page);
  await sample(page, 1);
  const [told, sizes] = [[], []];
  let encoded = 0;
  for (let i = 0; i < QUESTIONS; i++) {
    // The last picture comes half-way; the other half is about all of them.
    const n = 1 + Math.floor(i / 5);
    if (i > 0 && i % 5 === 0 && n <= PICTURES) {
      await page.locator("#add summary").click();
      await page.getByRole("button", { name: `Add sample picture ${n}`, exact: true }).click();
      await expect.poll(() => page.evaluate(() => globalThis.mqt.pictures.length)).toBe(n);
      await reached(page, "ready");
    }
    if (i % 20 === 19) {
      await page.reload();
      await expect(page.locator("article")).toHaveCount(i);
      await expect(page.locator("article .text")).toHaveText(told);
    }
    const article = await ask(page, ["Where is the car?", "Is there a dog?"][i % 2]);
    await expect(article).toHaveAttribute("data-finish-reason", /^(stop|length)$/);
    told.push(await article.locator(".text").textContent());
    encoded += Number(await article.getAttribute("data-vision-runs"));
    if (i % 10 === 8) sizes.push(await memory());
  }
  expect(told).toHaveLength(QUESTIONS);
  expect(encoded, "each picture is encoded once, reloads or not").toBe(PICTURES);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(QUESTIONS);
  // Between two reloads the engine's memory stays as it is; a longer conversation, read after a
  // reload, takes more, as keys and values do. The page has one card more for each question, of
  // 20 kB at most.
  for (let i = 0; i < sizes.length; i += 2)
    expect(sizes[i + 1].engine, JSON.stringify(sizes)).toBe(sizes[i].engine);
  const growth = sizes.at(-1).page - sizes[0].page;
  expect(growth, JSON.stringify(sizes)).toBeLessThan(QUESTIONS * 20_000);
});
