// Where answers come from, when nobody says it: the processor before a software adapter was
// measured, then the faster of the two; the processor without WebGPU. And pictures that are encoded
// once.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask, expect, load, panel, reached, root, sample, test } from "./site.mjs";

/** What is remembered of each device's speeds: { "cpu": [keys], … }. */
const measured = page =>
  page.evaluate(() => {
    const { adapters = {} } = JSON.parse(localStorage.getItem("mqt-kernels") ?? "{}");
    const speeds = Object.entries(adapters).map(([name, { speeds }]) => [name, speeds]);
    return Object.fromEntries(speeds.filter(([, speeds]) => Object.keys(speeds).length > 0));
  });

test("a software adapter: the CPU answers, both are measured while nobody types, the faster one is used", async ({
  site,
}) => {
  const page = await site.open("?adapter=auto&tokens=2");
  await expect(page.locator(".notice.first")).toContainText("on your CPU");
  await load(page);
  await expect(page.locator("#status")).toContainText("CPU");
  await expect(page.locator("#status")).toContainText("CPU, WebGPU not measured yet");
  await sample(page, 2);
  await expect((await ask(page, "What is this?")).locator(".text")).toHaveText("a dog");
  expect(Object.keys(await measured(page)), "the answer measured the processor").toHaveLength(1);
  expect(await page.evaluate(() => globalThis.mqt.engine.model.adapter.kind)).toBe("cpu");
  await expect(page.locator("#status")).toContainText("the next visit takes the faster device", {
    timeout: 240_000,
  });
  const speeds = await measured(page);
  expect(Object.keys(speeds)).toHaveLength(2);

  // The faster one, by the same arithmetic as the library: a picture, 64 tokens read, 24 written.
  const typical = ({ encodeMs, prefillMs, prefillMsPerToken, decodeMsPerToken }) =>
    encodeMs + prefillMs + 64 * prefillMsPerToken + 24 * decodeMsPerToken;
  const times = Object.entries(speeds).map(([name, known]) => [
    typical(Object.values(known)[0]),
    /cpu/.test(name),
  ]);
  const [, isCpu] = times.sort(([a], [b]) => a - b)[0];
  await page.reload();
  await load(page);
  await expect(page.locator("#status")).toContainText(isCpu ? "CPU" : "WebGPU");
  await expect(page.locator("#status")).toContainText("as fast as");
});

test("no WebGPU at all: the CPU answers, and nothing is said to be wrong", async ({
  site,
  context,
}) => {
  await context.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }),
  );
  site.prelude = 'Object.defineProperty(WorkerNavigator.prototype, "gpu", { value: undefined });';
  const page = await site.open("?adapter=auto&tokens=2");
  await expect(page.locator(".notice.first")).toContainText("on your CPU");
  await reached(page, "first-visit");
  await load(page);
  await expect(page.locator(".notice.trouble")).toHaveCount(0);
  await expect(page.locator("#status")).toContainText("CPU, no WebGPU here");
  await sample(page, 2);
  await expect((await ask(page, "What is this?")).locator(".text")).toHaveText("a dog");
});

/** How often the vision tower ran for an answer about a picture; forgets the conversation. */
async function visionRuns(page) {
  await sample(page, 2);
  const article = await ask(page, "What is this?");
  await expect(article.locator(".text")).toHaveText("a dog");
  const runs = await article.getAttribute("data-vision-runs");
  await page.getByRole("button", { name: "New conversation" }).click();
  return runs;
}

test("a picture is encoded once: not after a reload, again when the kept ones are deleted", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=2");
  await load(page);
  expect(await visionRuns(page)).toBe("1");
  await page.reload();
  await load(page);
  expect(await visionRuns(page), "it was kept").toBe("0");

  await panel(page, "Storage");
  await page.getByRole("button", { name: "Delete Encoded pictures" }).click();
  await expect(page.locator("#kept-pictures")).toHaveText("");
  await page.keyboard.press("Escape");
  await page.reload();
  await load(page);
  expect(await visionRuns(page), "it was deleted").toBe("1");

  // Nothing of a picture is kept by someone who does not want it.
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.locator("#keep-history").uncheck();
  await page.getByRole("button", { name: "Done" }).click();
  await page.reload();
  await load(page);
  expect(await visionRuns(page), "switching it off deletes them").toBe("1");
  await page.reload();
  await load(page);
  expect(await visionRuns(page), "and keeps none").toBe("1");
});

test("a new version of the page keeps the encoded pictures; what is no picture of this model is not used", async ({
  site,
}) => {
  let isNew = false;
  const answer = site.answer.bind(site);
  site.answer = (request, response, url) => {
    if (url.pathname !== "/sw.js" || !isNew) return answer(request, response, url);
    const script = readFileSync(join(root, "www/dist/sw.js"), "utf8");
    response
      .writeHead(200, { "content-type": "text/javascript", "cache-control": "no-cache" })
      .end(script.replace(/VERSION = "\w+"/, 'VERSION = "another"'));
    return true;
  };
  const page = await site.open("?adapter=cpu&tokens=2");
  const cacheNames = () => page.evaluate(async () => (await caches.keys()).sort());
  await load(page);
  expect(await visionRuns(page)).toBe("1");
  expect(await cacheNames()).toEqual([expect.stringMatching(/^mqt-[0-9a-f]+$/), "pictures"]);
  isNew = true;
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await expect.poll(cacheNames, { timeout: 30_000 }).toEqual(["mqt-another", "pictures"]);
  await page.reload();
  await load(page);
  expect(await visionRuns(page), "it was kept").toBe("0");

  // Under the very same name: halves that are no numbers (0xffff), and too few of them.
  for (const damage of ["no numbers", "too few"]) {
    await page.evaluate(async damage => {
      const kept = await caches.open("pictures");
      for (const name of await kept.keys()) {
        const bytes = new Uint8Array(await (await kept.match(name)).arrayBuffer());
        if (damage === "no numbers") bytes.fill(255);
        await kept.put(name, new Response(damage === "too few" ? bytes.slice(2) : bytes));
      }
    }, damage);
    await page.reload();
    await load(page);
    expect(await visionRuns(page), damage).toBe("1");
  }
});

test("exact arithmetic neither keeps nor takes encoded pictures", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=2&arithmetic=exact");
  await load(page);
  await sample(page, 2);
  await ask(page, "What is this?");
  expect(await page.evaluate(() => caches.keys())).not.toContain("pictures");
});
