// Questions: with any number of image tokens, refined, compared, stopped, asked in other words.

import {
  isNative,
  ask,
  axe,
  expect,
  load,
  passes,
  reached,
  sample,
  test,
  tokens,
} from "./site.mjs";

test("m is chosen, reported, and never runs the tower again", async ({ site }) => {
  const page = await site.open("");
  await load(page);
  await sample(page, 1);

  await tokens(page, 4);
  // The prompt up to the question is read while the person types.
  const few = await ask(page, "How many things are there?");
  expect(
    await page.evaluate(() => globalThis.mqt.records.at(-1).answer.cachedTokens),
  ).toBeGreaterThan(30);
  await expect(few).toHaveAttribute("data-image-tokens", "4");
  await expect(few).toHaveAttribute("data-vision-runs", "1");
  await tokens(page, 64);
  const many = await ask(page, "Where is the car?");
  await expect(many).toHaveAttribute("data-image-tokens", "64");
  await expect(many).toHaveAttribute("data-vision-runs", "0");
  await expect(many.locator(".text")).toHaveText(/middle/);
  await expect(page.locator("#estimate")).toContainText("first token");
  await page.locator("#tokens-exact").fill("7");
  await page.locator("#tokens-exact").press("Enter");
  await expect(page.getByRole("slider", { name: "Image tokens" })).toHaveValue("7");
  await expect(page.locator("#estimate")).toContainText("7 image tokens");
  await page.getByRole("checkbox", { name: "Auto" }).check();
  await expect(page.locator("#estimate")).toContainText("Auto:");
});

test("why Auto chose m is said before the first question and after it", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);
  await expect(page.locator("#estimate")).toContainText(/Auto: \d+, /);
  await ask(page, "How many things are there?");
  const why = await page.evaluate(() => globalThis.mqt.records.at(-1).answer.imageTokensReason);
  const kept = page.locator("#estimate", { hasText: `, ${why} (chosen for the first question)` });
  await expect(kept).toBeVisible();
  await ask(page, "Where is the car?");
  await expect(kept).toBeVisible();
});

test("draft, then refine; the question in other words", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);

  await tokens(page, 2);
  const draft = await ask(page, "what is left of the car?");
  await draft.getByRole("button", { name: /Refine/ }).click();
  const refined = page.locator("#answers > article");
  await expect(refined).toHaveAttribute("data-image-tokens", "64", { timeout: 60_000 });
  await expect(refined).toHaveAttribute("data-vision-runs", "0");
  await expect(refined.locator(".text")).toHaveText("an apple");
  await expect(page.locator("details.draft")).toHaveCount(1);

  // The question goes into the box again, and what is asked then takes its place.
  await refined.getByRole("button", { name: "Edit" }).click();
  await expect(page.getByRole("textbox", { name: "Question" })).toHaveValue(
    "what is left of the car?",
  );
  const edited = await ask(page, "Where is the car?");
  await expect(edited.locator(".text")).toHaveText("middle");
  await expect(page.locator(".question p")).toHaveText("Where is the car?");
  expect(await page.evaluate(() => globalThis.mqt.turns.map(({ question }) => question))).toEqual([
    "Where is the car?",
  ]);
  // An example is a new question, also while the last one stands in the box.
  await edited.getByRole("button", { name: "Edit" }).click();
  await page.locator("#chips button").first().click();
  await expect(page.locator(".question p")).toHaveCount(2);
  await reached(page, "ready");
});

test("compare: columns, verdict, other columns", async ({ site }) => {
  const page = await site.open("");
  await load(page);
  await sample(page, 1);

  await page.getByRole("textbox", { name: "Question" }).fill("Where is the car?");
  await page.getByRole("button", { name: "Compare token counts" }).click();
  const columns = page.locator(".comparison article");
  await expect(columns.last()).toHaveAttribute("data-finish-reason", "stop", {
    timeout: 240_000,
  });
  const used = await columns.evaluateAll(all =>
    all.map(a => [a.dataset.imageTokens, a.dataset.visionRuns]),
  );
  expect(used.map(([m]) => Number(m))).toEqual([2, 8, 16, 64]);
  // The first one has the account of the picture that was looked at before.
  expect(used.map(([, runs]) => runs)).toEqual(["1", "0", "0", "0"]);
  await reached(page, "ready");
  // The result in words, and what each column was: nobody has to compare four cards.
  await expect(page.locator(".verdict")).toHaveText(
    /^(Only 64 tokens give this answer: here detail counts\.|\d+ tokens already give the answer of 64(, read [\d.]+ times faster)?\.( \d+ gives? it too, with low confidence\.)?)$/,
  );
  await expect(columns.first()).toContainText(/confidence \d+ %/);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy as Markdown" }).click();
  await expect
    .poll(() => page.evaluate(() => navigator.clipboard.readText()))
    .toMatch(/^\*\*Where is the car\?\*\*\n\n\| Image tokens .*\n\| --- .*\n\| 2 \| middle /);

  // Other columns, by hand; what makes no sense is refused where it was typed.
  const box = page.locator(".comparison").last();
  const field = box.getByRole("textbox", { name: /Image tokens to compare/ });
  await field.fill("9, 65");
  await box.getByRole("button", { name: "Compare again" }).click();
  expect(await field.evaluate(input => input.validationMessage)).toContain("1 to 64");
  await expect(page.locator(".comparison")).toHaveCount(1);
  await field.fill("36 3");
  await box.getByRole("button", { name: "Compare again" }).click();
  const others = page.locator(".comparison").last().locator("article");
  await expect(others.last()).toHaveAttribute("data-image-tokens", "36", { timeout: 240_000 });
  expect(await others.evaluateAll(all => all.map(a => a.dataset.imageTokens))).toEqual(["3", "36"]);
  await reached(page, "ready");
  // A question that is stopped at once does not bring the last column back into the conversation.
  // The program may have answered it by then: the page tells it the turns before each question.
  if (isNative) return;
  const before = await page.evaluate(
    async () => (await globalThis.mqt.engine.estimate(16, "")).contextUsed,
  );
  await page.evaluate(async () => {
    const soon = new AbortController();
    const answering = globalThis.mqt.engine.ask({
      question: "Where is the car?",
      tokens: 64,
      signal: soon.signal,
    });
    soon.abort();
    await answering.answer.catch(() => {});
  });
  expect(
    await page.evaluate(async () => (await globalThis.mqt.engine.estimate(16, "")).contextUsed),
  ).toBe(before);
});

test("an answer says how sure it is; an unsure draft asks to be refined", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);

  // What the model would have to be unsure about is the model's business; that the page shows it
  // is the page's.
  const sure = (await ask(page, "Where is the car?")).locator(".facts");
  await expect(sure).toContainText(/confidence \d+ %/);
  const unsure = () =>
    page.evaluate(() => {
      const { engine } = globalThis.mqt;
      const ask = engine.ask;
      engine.ask = request => {
        engine.ask = ask;
        const answering = ask.call(engine, request);
        const answer = answering.answer.then(a => ({ ...a, meanProbability: 0.4 }));
        return { answer, [Symbol.asyncIterator]: () => answering[Symbol.asyncIterator]() };
      };
    });
  await unsure();
  await tokens(page, 8);
  const draft = await ask(page, "Where is the car?");
  await expect(draft).toContainText("Low confidence (below 85 %): try more image tokens");
  await expect(draft.getByRole("button", { name: "Refine with 64" })).toHaveClass("main");
  // With all of them there is nothing more to try; it is said all the same.
  await unsure();
  await tokens(page, 64);
  await expect(await ask(page, "Where is the car?")).toContainText("Low confidence");
  expect(await axe(page)).toEqual([]);
});

test("stop, while it looks and while it answers; then the next question", async ({ site }) => {
  const page = await site.open("");
  await load(page);
  await sample(page, 1);

  const stopWhile = async (state, act) => {
    const there = passes(page, state);
    await act();
    await there;
    const pressed = Date.now();
    await page.keyboard.press("Escape");
    await reached(page, "stopped", "ready");
    expect(Date.now() - pressed, `stop while ${state}`).toBeLessThan(1000);
  };
  await stopWhile("encoding", () =>
    page.getByRole("button", { name: "Sample picture 2", exact: true }).click(),
  );
  await stopWhile("answering", async () => {
    await page.getByRole("textbox", { name: "Question" }).fill("What is there?");
    await page.getByRole("button", { name: "Ask", exact: true }).click();
  });
  await expect(await ask(page, "How many dogs do you see?")).toHaveAttribute(
    "data-finish-reason",
    "stop",
  );
});

test("a question asked while its picture is encoded waits for that; Stop drops it", async ({
  site,
}) => {
  const page = await site.open("?tokens=16");
  await load(page);
  await sample(page, 1);
  /** Another picture, and a question the moment it is being encoded; then a click on `after`. */
  const hurry = async (n, question, after = "") => {
    const seen = page.evaluate(
      ([question, after]) =>
        new Promise(done => {
          const ask = () => {
            if (document.body.dataset.state !== "encoding") return;
            observer.disconnect();
            const [box, button] = ["#question", "#ask"].map(id => document.querySelector(id));
            box.value = question;
            box.dispatchEvent(new Event("input"));
            const offered = !button.hidden && !button.disabled;
            box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
            const stoppable = !document.querySelector("#stop").hidden;
            if (after) document.querySelector(after).click();
            done({ offered, stoppable });
          };
          const observer = new MutationObserver(ask);
          observer.observe(document.body, { attributeFilter: ["data-state"] });
        }),
      [question, after],
    );
    await page.getByRole("button", { name: `Sample picture ${n}`, exact: true }).click();
    return seen;
  };
  expect(await hurry(2, "Is there a dog?")).toEqual({ offered: true, stoppable: true });
  await expect(page.locator("article")).toHaveAttribute("data-finish-reason", "stop");
  await expect(page.locator("article")).toHaveAttribute("data-vision-runs", "1");
  await expect(page.getByRole("textbox", { name: "Question" })).toHaveValue("");

  await hurry(3, "Is there a car?", "#stop");
  const dropped = page.getByRole("article", { name: "Is there a car?" });
  await expect(dropped).toHaveAttribute("data-finish-reason", "cancelled");
  await reached(page, "stopped", "ready");
  await expect(await ask(page, "Is there a dog?")).toHaveAttribute("data-finish-reason", "stop");
});

test("a recorded answer is a button: one click downloads, loads, asks and compares", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  expect(site.fetched).toEqual([]);
  await page.getByRole("button", { name: /^Which number is on the card\?/ }).click();
  await expect(page.locator(".verdict")).toHaveText(/^8 tokens already give the answer of 64/, {
    timeout: 60_000,
  });
  expect(await page.locator(".column .text").allTextContents()).toEqual(["0", "7", "7"]);
  await expect(page.locator(".notice")).toHaveCount(0);
  // What fits the picture is asked with one click.
  await page.locator("#chips button").first().click();
  await expect(page.locator("#answers > article")).toHaveAttribute("data-finish-reason", "stop");
});
