// What an answer's card says beside the answer, and a comparison's verdict, word for word.

import { ask, compare, expect, load, reached, sample, test } from "./site.mjs";

test.use({ serviceWorkers: "block" });

/** Answers of the engine, as if it had given them: of each m its words and how sure they are. */
const pretend = (page, byTokens) =>
  page.evaluate(byTokens => {
    const { engine } = globalThis.mqt;
    const real = Object.getPrototypeOf(engine).ask;
    engine.ask = how => {
      const answering = real.call(engine, how);
      const answer = answering.answer.then(answer => {
        const [text, sure, prefill] = byTokens[how.tokens];
        const timingsMs = { ...answer.timingsMs, prefill };
        return { ...answer, answer: text, meanProbability: sure, timingsMs };
      });
      return { answer, async *[Symbol.asyncIterator]() {} };
    };
  }, byTokens);

test("a verdict praises few tokens only if they say the same, and are sure of it", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);
  const cases = [
    [
      {
        2: ["a car", 0.9, 10],
        8: ["a car", 0.95, 11],
        16: ["a car", 0.95, 12],
        64: ["A car", 1, 25],
      },
      "2 tokens already give the answer of 64, read 2.5 times faster.",
    ],
    [
      {
        2: ["a car", 0.7, 10],
        8: ["a car", 0.9, 20],
        16: ["a car", 0.9, 20],
        64: ["a car", 1, 21],
      },
      "8 tokens already give the answer of 64. 2 give it too, with low confidence.",
    ],
    [
      {
        2: ["a car", 0.9, 10],
        8: ["a cat", 0.9, 20],
        16: ["a dog", 0.9, 20],
        64: ["two", 0.95, 21],
      },
      "Only 64 tokens give this answer: here detail counts.",
    ],
    [
      {
        2: ["a car", 0.9, 10],
        8: ["a cat", 0.9, 20],
        16: ["a dog", 0.97, 20],
        64: ["two", 0.95, 21],
      },
      "The answers differ, and more tokens are not surer.",
    ],
    [
      { 2: ["a car", 0.5, 10], 8: ["two", 0.5, 20], 16: ["two", 0.6, 20], 64: ["two", 0.7, 41] },
      "8 tokens already give the answer of 64, read 2.0 times faster.",
    ],
  ];
  for (const [answers, verdict] of cases) {
    await pretend(page, answers);
    await expect(await compare(page, "What do you see?")).toHaveText(verdict);
  }
});

test("columns read all of their own image tokens, so that their times can be compared", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  await compare(page, "What do you see?");
  const read = await page.evaluate(() =>
    globalThis.mqt.records
      .slice(-4)
      .map(({ answer }) => [
        answer.imageTokens,
        answer.promptTokens - answer.imageTokens,
        answer.cachedTokens,
      ]),
  );
  expect(read.map(([m]) => m)).toEqual([2, 8, 16, 64]);
  expect(new Set(read.map(([, others, cached]) => `${others} ${cached}`)).size).toBe(1);
});

test("an answer that was cut off says so", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=64#max_new_tokens=1");
  await load(page);
  await sample(page, 1);
  await expect((await ask(page, "What do you see?")).locator(".facts")).toContainText(
    "cut off at 1 token",
  );
});

test("several pictures: a model that knows one at a time says so, of a comparison once", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await sample(page, 1);
  await expect((await ask(page, "Is there a dog?")).locator(".facts")).not.toContainText("several");
  await page.locator("#add summary").click();
  await page.getByRole("button", { name: "Add sample picture 2", exact: true }).click();
  await expect.poll(() => page.evaluate(() => globalThis.mqt.pictures.length)).toBe(2);
  await reached(page, "ready");
  await expect((await ask(page, "Is there a dog?")).locator(".facts")).toContainText(
    "several pictures: may mix them up",
  );
  await compare(page, "What do you see?");
  await expect(page.locator(".column .hint").filter({ hasText: "several" })).toHaveCount(0);
  await expect(page.locator(".comparison > p").first()).toContainText("it may mix them up");

  // After another conversation was begun and cleared, both can be had again.
  await page
    .getByRole("button", { name: /^Ask about (this one only: )?picture 2( only)?$/ })
    .click();
  await page.locator("#anew").click();
  await expect(page.locator("#answers > *")).toHaveCount(0);
  await page.locator("#undo button").click();
  await expect(page.locator("article")).toHaveCount(6);
  await expect(page.locator("#answers .divider")).toHaveCount(1);
  await expect(page.locator("#several")).toHaveText("Questions are about picture 2 of 2 only.");
  await page.getByRole("button", { name: "Ask about both pictures" }).click();
  await ask(page, "Is there a dog?");
  expect(await page.evaluate(() => globalThis.mqt.records.at(-1).answer.images.length)).toBe(2);
});

test("before this device was measured Auto has no number, and offers none", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  const slider = page.getByRole("slider", { name: "Image tokens" });
  await expect(slider).toHaveAttribute("aria-valuetext", "Auto");
  await expect(page.locator("#tokens-exact")).toHaveValue("");
  await expect(page.locator(".tick.on")).toHaveCount(0);
  await expect(page.locator("#estimate")).toHaveText(
    "Auto picks once it has measured this device.",
  );
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  await page.locator("#question").fill("Where is the car?");
  await page.locator("#ask").click();
  await expect(page.locator("article[data-finish-reason]")).toHaveCount(1, { timeout: 60_000 });
  await reached(page, "ready");
  await expect(slider).toHaveAttribute("aria-valuetext", /^\d+ of 64 image tokens$/);
  await page.reload();
  await expect(page.locator("article")).toHaveCount(1);
  await expect(page.getByRole("button", { name: /^Again with/ })).toHaveCount(0);
  await slider.fill("8");
  await expect(slider).toHaveAttribute("aria-valuetext", "8 of 64 image tokens");
  await expect(page.getByRole("button", { name: "Again with 8" })).toBeVisible();
});
