// What people do while something else is under way: nothing of the old gets into the new, and
// nothing hangs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  ask,
  expect,
  load,
  passes,
  reached,
  sample,
  shard,
  stopIn,
  test,
  toybox,
  weightBytes,
  panel,
  forgetful,
} from "./site.mjs";

test.use({ serviceWorkers: "block" });

const LONG = "What is there? ".repeat(60);
const turns = page => page.evaluate(() => globalThis.mqt.turns.length);
const records = page => page.evaluate(() => globalThis.mqt.records.map(({ answer }) => answer));

/** Asks, and comes back as soon as the page is answering. */
async function begin(page, question) {
  const answering = passes(page, "answering");
  await page.getByRole("textbox", { name: "Question" }).fill(question);
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await answering;
}

/** A download that stays where it is. */
const stall = (name, _, response, start) => {
  if (name !== shard) return false;
  response.writeHead(start > 0 ? 206 : 200, {
    "content-length": weightBytes - start,
    "content-range": `bytes ${start}-${weightBytes - 1}/${weightBytes}`,
  });
  response.write(readFileSync(join(toybox, shard)).subarray(start, start + 500_000));
  return true;
};

test("another picture, or a fresh start, during an answer: nothing of it goes along", async ({
  site,
}) => {
  const page = await site.open("?tokens=64");
  await load(page);
  await sample(page, 1);
  await begin(page, LONG);
  await sample(page, 2);
  expect(await turns(page)).toBe(0);
  const first = await ask(page, "What is this?");
  await expect(first.locator(".text")).toHaveText("a dog");
  const alone = (await records(page)).at(-1).promptTokens;
  expect(await turns(page)).toBe(1);

  await begin(page, LONG);
  await page.getByRole("button", { name: "New conversation" }).click();
  await reached(page, "ready");
  await expect(page.locator("article")).toHaveCount(0);
  await ask(page, "What is this?");
  expect((await records(page)).at(-1).promptTokens).toBe(alone);
  expect(await turns(page)).toBe(1);
});

test("Stop while the picture is looked at again: the next question looks, and remembers", async ({
  site,
}) => {
  const page = await site.open("?tokens=64");
  await forgetful(page);
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  const stopped = stopIn(page, "encoding", ["stopped"]);
  await page.evaluate(() => void globalThis.mqt.switchTo({ context: 1024 }));
  await stopped;
  const answer = await ask(page, "How many things are there?");
  await expect(answer).toHaveAttribute("data-vision-runs", "1");
  await expect(answer.locator(".text")).toHaveText("3");
  const [before, after] = (await records(page)).slice(-2).map(({ promptTokens }) => promptTokens);
  expect(after, "the first question and its answer are part of the prompt").toBeGreaterThan(
    before + 5,
  );
  expect(await turns(page)).toBe(2);
});

test("Compare on an answer asks what was asked, without the answer", async ({ site }) => {
  const page = await site.open("?tokens=64");
  await load(page);
  await sample(page, 1);
  await ask(page, "How many things are there?");
  const answer = await ask(page, "Where is the car?");
  const asked = (await records(page)).at(-1).promptTokens;
  await answer.getByRole("button", { name: "Compare" }).click();
  await expect(page.locator(".comparison .verdict:not(:empty)")).toBeVisible({ timeout: 240_000 });
  const compared = (await records(page)).slice(-4);
  expect(compared.map(({ imageTokens, promptTokens }) => promptTokens - imageTokens)).toEqual(
    Array(4).fill(asked - 64),
  );
  expect(await turns(page)).toBe(2);
  // An answer about another picture cannot be compared any more.
  await sample(page, 2);
  await expect(page.getByRole("button", { name: "Compare", exact: true })).toHaveCount(0);
});

test("the two bars: looking, then reading", async ({ site }) => {
  const page = await site.open("?tokens=64");
  await load(page);
  await page.evaluate(() => {
    globalThis.seen = { encoding: [], prefilling: [] };
    for (const phase of Object.keys(globalThis.seen)) {
      const bar = document.querySelector(`#step-${phase}`);
      new MutationObserver(() => globalThis.seen[phase].push(bar.value)).observe(bar, {
        attributes: true,
      });
    }
  });
  await sample(page, 1);
  await ask(page, LONG);
  await expect(page.locator("#steps")).toBeHidden();
  const { prefilling } = await page.evaluate(() => globalThis.seen);
  expect(
    prefilling.filter(value => value > 0 && value < 1).length,
    `reading: ${prefilling}`,
  ).toBeGreaterThan(1);
});

test("another model while one is on its way; a question that waits; Escape in a dialog", async ({
  site,
}) => {
  site.intercept = stall;
  const page = await site.open("?tokens=64");
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  const box = page.getByRole("textbox", { name: "Question" });
  await box.fill("How many things are there?");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  // One question waits; a second would push it aside.
  await box.fill("Where is the car?");
  await expect(
    page.getByRole("button", { name: "Ask", exact: true }),
    "Stop stands there",
  ).toBeHidden();
  await reached(page, "downloading");
  await page.keyboard.press("Escape");
  await reached(page, "first-visit");
  await expect(page.locator("article")).toHaveAttribute("data-finish-reason", "cancelled");

  await page.locator(".notice .start").click();
  await reached(page, "downloading");
  await panel(page, "Storage");
  await expect(page.getByRole("dialog", { name: /Storage/ })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog", { name: /Storage/ })).toBeHidden();
  await reached(page, "downloading");

  await page.getByRole("button", { name: "Model", exact: true }).click();
  await page.locator("#model-address").fill(`${site.url}other/manifest.json`);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /^Download \d/ }).click();
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.mqt.model.from)).toContain("/other/");
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
});

test("Stop while the picture of a waiting question is looked at: it is not asked", async ({
  site,
}) => {
  const page = await site.open("?tokens=64");
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  const stopped = stopIn(page, "encoding", ["stopped"]);
  await page.getByRole("textbox", { name: "Question" }).fill("How many things are there?");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await stopped;
  await expect(page.locator("article")).toHaveAttribute("data-finish-reason", "cancelled");
  expect(await turns(page)).toBe(0);
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
});

test("a second tab takes over a download, and gives it back", async ({ site }) => {
  site.intercept = stall;
  const first = await site.open("?tokens=64");
  await first.locator(".notice .start").click();
  await reached(first, "downloading");
  const second = await site.open("?tokens=64");
  await second.locator(".notice .start").click();
  await reached(second, "second-tab");
  site.intercept = () => false;
  await second.getByRole("button", { name: "Use it here instead" }).click();
  await reached(second, "ready");
  await reached(first, "second-tab");
  await first.getByRole("button", { name: "Bring it back here" }).click();
  await reached(first, "ready");
  await reached(second, "second-tab");
  await sample(first, 1);
  await expect((await ask(first, "How many things are there?")).locator(".text")).toHaveText("3");
});

test("waiting for another tab, then taking over", async ({ site }) => {
  const first = await site.open();
  await load(first);
  const second = await site.open("?tokens=64");
  await sample(first, 1);
  await second.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  // The stored model is loaded for the picture.
  await reached(second, "second-tab");
  await second.getByRole("button", { name: "Wait for the other tab" }).click();
  await expect(second.locator(".notice")).toContainText("as soon as the other tab is closed");
  await second.getByRole("button", { name: "Use it here instead" }).click();
  await reached(second, "ready");
  expect(
    await second.evaluate(() => globalThis.mqt.picture.name),
    "the picture stays",
  ).toBeTruthy();
  await reached(first, "second-tab");
  await second.close();
  await first.getByRole("button", { name: "Bring it back here" }).click();
  await reached(first, "ready");
});
