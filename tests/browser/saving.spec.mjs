// Where the browser is set to save data: what a download takes is said before it begins, and it
// begins when somebody says so.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  ask,
  axe,
  expect,
  load,
  passes,
  reached,
  shard,
  source,
  start,
  test,
  toybox,
  weightBytes,
} from "./site.mjs";

test.use({ serviceWorkers: "block" });

/** The page of a browser that is set to save data; on the CPU, which is there at once. */
async function open(site, context, query = "?adapter=cpu") {
  await context.addInitScript(() =>
    Object.defineProperty(navigator, "connection", { value: { saveData: true } }),
  );
  return site.open(query);
}

const { files, shards } = JSON.parse(readFileSync(join(toybox, "manifest.json"), "utf8"));
const packBytes = [...files, ...shards].reduce((sum, { bytes }) => sum + bytes, 0);
/** As the page writes it. */
const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;

const card = page => page.getByRole("region", { name: "Download toybox now?" });
const now = page => card(page).getByRole("button", { name: "Download now" });
const notNow = page => card(page).getByRole("button", { name: "Not now" });
const question = page => page.getByRole("textbox", { name: "Question" });

/** Asks about the first sample picture, for which there is no model yet. */
async function askFirst(page, text) {
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  await question(page).fill(text);
  await question(page).press("Enter");
  await reached(page, "saving-data");
}

/** What was asked for is the manifest alone. */
const nothingFetched = site =>
  expect(new Set(site.fetched.map(({ name }) => name))).toEqual(new Set(["manifest.json"]));

test("the start button says what the download takes, and waits; the next visit asks nothing", async ({
  site,
  context,
}) => {
  const page = await open(site, context);
  expect(site.fetched).toEqual([]);
  await page.locator(".notice .start").focus();
  await page.keyboard.press("Enter");
  await reached(page, "saving-data");
  await expect(page.getByRole("status")).toHaveText(
    `the download waits, to save data · ${megabytes(packBytes)}`,
  );
  await expect(card(page)).toContainText(`It takes ${megabytes(packBytes)};`);
  expect(await axe(page)).toEqual([]);

  await test.step("by the keyboard alone: not now, and back where it began", async () => {
    await expect(now(page), "the focus goes on with the card").toBeFocused();
    await page.keyboard.press("Tab");
    await expect(notNow(page)).toBeFocused();
    await page.keyboard.press("Enter");
    await reached(page, "first-visit");
    await expect(page.getByRole("status")).toHaveText("no model loaded yet");
    expect(
      await page.evaluate(() => document.activeElement.closest(".welcome") !== null),
      "the focus goes back with it",
    ).toBe(true);
  });

  await test.step("Escape says the same", async () => {
    await page.locator(".notice .start").press("Enter");
    await reached(page, "saving-data");
    await page.keyboard.press("Escape");
    await reached(page, "first-visit");
    nothingFetched(site);
  });

  await page.locator(".notice .start").press("Enter");
  await expect(now(page)).toBeFocused();
  await page.keyboard.press("Enter");
  await reached(page, "ready");
  expect(site.weights()).toHaveLength(1);

  await page.reload();
  await expect(page.locator(".notice .start")).toContainText("on this device");
  await page.evaluate(() => {
    globalThis.states = [];
    new MutationObserver(() => globalThis.states.push(document.body.dataset.state)).observe(
      document.body,
      { attributes: true },
    );
  });
  await load(page);
  expect(await page.evaluate(() => globalThis.states)).not.toContain("saving-data");
});

test("a question waits for what is said: it is dropped, or goes on", async ({ site, context }) => {
  const page = await open(site, context, "?adapter=cpu&tokens=64");
  await askFirst(page, "Is there a dog?");
  await expect(card(page)).toContainText("If you asked a question, it waits");
  await expect(card(page)).toBeInViewport();
  await notNow(page).click();
  await reached(page, "first-visit");
  const first = page.locator("article").first();
  await expect(first).toHaveAttribute("data-finish-reason", "cancelled");

  // Stop is the button that stands beside the box meanwhile.
  await askFirst(page, "Where is the car?");
  await page.getByRole("button", { name: "Stop" }).click();
  await reached(page, "first-visit");

  // Another picture drops the question; the choice is still there, and so is the box.
  await askFirst(page, "Where is the car?");
  await page.getByRole("button", { name: "Sample picture 2", exact: true }).click();
  await expect(page.getByRole("button", { name: "Stop" })).toBeHidden();
  await expect(now(page)).toBeVisible();
  await askFirst(page, "How many things are there?");
  nothingFetched(site);
  await now(page).click();
  const last = page.locator("article").last();
  await expect(last.locator(".text")).toHaveText("3", { timeout: 60_000 });
  await expect(last).toHaveAttribute("data-finish-reason", "stop");
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(1);
});

test("a recorded answer's click goes on to its comparison", async ({ site, context }) => {
  const page = await open(site, context);
  await page.getByRole("button", { name: /^Which number is on the card\?/ }).click();
  await reached(page, "saving-data");
  nothingFetched(site);
  await now(page).click();
  await expect(page.locator(".verdict")).toHaveText(/^8 tokens already give the answer of 64/, {
    timeout: 60_000,
  });
});

test("what a cancelled download left here is not counted", async ({ site, context }) => {
  site.intercept = (name, _, response, start) => {
    if (name !== shard) return false;
    response.writeHead(200, { "content-length": weightBytes });
    response.write(readFileSync(join(toybox, shard)).subarray(start, start + 2_000_000));
    return true;
  };
  const page = await open(site, context);
  await page.locator(".notice .start").click();
  await now(page).click();
  await expect(page.locator(".notice.progress .line")).toContainText(/2\.[01] MB of/);
  await page.getByRole("button", { name: "Cancel" }).click();
  await reached(page, "first-visit");
  await page.locator(".notice .start").click();
  await reached(page, "saving-data");
  const left = Number(/It takes ([\d.]+) MB/.exec(await card(page).textContent())[1]);
  expect(left).toBeLessThan(packBytes / 1e6 - 1.8);
  expect(left).toBeGreaterThan(packBytes / 1e6 - 2.4);
});

test("a model whose size was said is not asked about twice", async ({ site, context }) => {
  const page = await open(site, context, "?model=other/manifest.json&adapter=cpu");
  const asked = passes(page, "saving-data").then(() => "asked");
  await start(page);
  expect(await Promise.race([asked, reached(page, "ready")])).toBeUndefined();
});

test("without a network that is said, and nothing waits", async ({ site, context }) => {
  const page = await open(site, context);
  site.intercept = (_name, _request, response) => (response.destroy(), true);
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  await question(page).fill("Where is the car?");
  await question(page).press("Enter");
  await reached(page, "offline");
  await expect(page.locator("article")).toHaveAttribute("data-finish-reason", "cancelled");
  site.intercept = () => false;
  await page.getByRole("button", { name: "Try again" }).click();
  await reached(page, "saving-data");
});

test("live captions step aside for the choice, and start once the model is there", async ({
  site,
  context,
}) => {
  await context.grantPermissions(["camera"]);
  const page = await open(site, context);
  const box = page.getByRole("dialog", { name: "Live captions" });
  // The second time the page is in that state already.
  for (let round = 0; round < 2; round++) {
    await source(page, "Live captions…");
    await box.getByRole("button", { name: /^Start/ }).click();
    await expect(box).toBeHidden();
    await reached(page, "saving-data");
  }
  nothingFetched(site);
  await now(page).click();
  await reached(page, "ready");
  await source(page, "Live captions…");
  await box.getByRole("button", { name: "Start", exact: true }).click();
  await expect(page.locator(".live-caption")).toHaveText(/./, { timeout: 60_000 });
  await page.keyboard.press("Escape");
  await reached(page, "ready");
});

test("where nothing is to be saved the start button begins the download", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=64");
  const asked = passes(page, "saving-data").then(() => "asked");
  await start(page);
  expect(await Promise.race([asked, reached(page, "ready")])).toBeUndefined();
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
});
