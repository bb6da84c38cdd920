// Several pictures in one conversation: each is encoded once, each stands before the turn that it
// came with, and none is dropped in silence.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask, axe, expect, load, panel, reached, sample, test, toybox } from "./site.mjs";

test.use({ serviceWorkers: "block" });

/** Adds a sample picture to the conversation, and waits until the model looked at it. */
async function add(page, n) {
  const before = await page.evaluate(() => globalThis.mqt.pictures.length);
  await page.locator("#add summary").click();
  await page.getByRole("button", { name: `Add sample picture ${n}`, exact: true }).click();
  await expect.poll(() => page.evaluate(() => globalThis.mqt.pictures.length)).toBe(before + 1);
  const all = () => page.evaluate(() => globalThis.mqt.pictures.every(({ view }) => view));
  await expect.poll(all).toBe(true);
  await reached(page, "ready");
}

const last = page =>
  page.evaluate(() => {
    const { answer } = globalThis.mqt.records.at(-1);
    const { images, newImages, visionRuns, cachedTokens, promptTokens } = answer;
    return { images: images.length, newImages, visionRuns, cachedTokens, promptTokens };
  });

/** What stands in the conversation, in its order: pictures, questions, answers. */
const order = page =>
  page
    .locator("#answers > *")
    .evaluateAll(all =>
      all.map(e =>
        e.matches(".came")
          ? e.querySelector("figcaption").textContent
          : e.matches(".question")
            ? e.querySelector("p").textContent
            : e.tagName.toLowerCase(),
      ),
    );

test("a picture is added: what was said goes on, and nothing is encoded twice", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await sample(page, 1);
  await expect(page.locator("#gallery")).toBeHidden();
  await ask(page, "How many things are there?");
  expect(await last(page)).toMatchObject({ images: 1, newImages: 1, visionRuns: 1 });

  await add(page, 2);
  expect(await order(page)).toEqual([
    "Picture 1: toybox-1.png",
    "How many things are there?",
    "article",
    "Picture 2: toybox-2.png",
  ]);
  await expect(page.locator("#thumbs button")).toHaveCount(2);
  await expect(page.locator("#shown")).toHaveAttribute("alt", "The picture: toybox-2.png");
  await expect(page.locator("#estimate")).toContainText("16 image tokens × 2 pictures");

  const second = await ask(page, "Is there a dog?");
  expect(await last(page)).toMatchObject({ images: 2, newImages: 1, visionRuns: 1 });
  await expect(second).toContainText("16 tokens × 2 pictures");
  await expect(page.locator(".question").last().locator("img")).toHaveCount(2);
  // About the first again: the tower does not run, and what was read is not read again.
  await ask(page, "What about the first picture?");
  const third = await last(page);
  expect(third).toMatchObject({ images: 2, newImages: 0, visionRuns: 0 });
  expect(third.promptTokens - third.cachedTokens).toBeLessThan(20);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(3);

  // Either can be looked at.
  await page.getByRole("button", { name: "Picture 1: toybox-1.png", exact: true }).click();
  await expect(page.locator("#shown")).toHaveAttribute("alt", "The picture: toybox-1.png");
  expect(await axe(page)).toEqual([]);

  // What questions are about is said; one alone is what a new conversation is about.
  await expect(page.locator("#several")).toContainText("Questions are about both pictures.");
  await expect(page.locator("#question")).toHaveAttribute(
    "placeholder",
    "Ask about the 2 pictures",
  );
  await page
    .getByRole("button", { name: /^Ask about (this one only: )?picture 1( only)?$/ })
    .click();
  await expect(page.locator("#several")).toHaveText("Questions are about picture 1 of 2 only.");
  await expect(page.locator("#forget")).toBeHidden();
  await expect(page.locator("#question")).toHaveAttribute("placeholder", "Ask about the picture");
  // What was there can be had again, until something is asked.
  await expect(page.locator("#answers .divider")).toHaveText("New conversation");
  await expect(page.locator("#undo")).toContainText("New conversation about picture 1.");
  await page.locator("#undo button").click();
  await expect(page.locator("#thumbs button")).toHaveCount(2);
  await expect(page.locator("#answers .divider")).toHaveCount(0);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(3);
  await page
    .getByRole("button", { name: /^Ask about (this one only: )?picture 1( only)?$/ })
    .click();
  await ask(page, "How many things are there?");
  expect(await last(page)).toMatchObject({ images: 1, newImages: 1, visionRuns: 0 });
  await expect(page.locator("#undo")).toBeEmpty();

  // From there the other one is one press away, and both together are.
  await page
    .getByRole("button", { name: /^Ask about (this one only: )?picture 2( only)?$/ })
    .click();
  await expect(page.locator("#several")).toHaveText("Questions are about picture 2 of 2 only.");
  await expect(page.locator("#shown")).toHaveAttribute("alt", "The picture: toybox-2.png");
  await ask(page, "Is there a dog?");
  expect(await last(page)).toMatchObject({ images: 1, newImages: 1, visionRuns: 0 });
  // Also after a reload.
  const stood = await order(page);
  await page.reload();
  await expect(page.locator("#several")).toHaveText("Questions are about picture 2 of 2 only.");
  await expect(page.locator("#thumbs button")).toHaveCount(2);
  expect(await order(page)).toEqual(stood);
  await load(page);
  await page.getByRole("button", { name: "Ask about both pictures" }).click();
  await expect(page.locator("#several")).toContainText("Questions are about both pictures.");
  await expect(page.locator("#undo")).toContainText("New conversation about both pictures.");
  await page.locator("#undo button").click();
  await expect(page.locator("#several")).toHaveText("Questions are about picture 2 of 2 only.");
  await page.getByRole("button", { name: "Ask about both pictures" }).click();
  await ask(page, "Is there a dog?");
  expect(await last(page)).toMatchObject({ images: 2, newImages: 2, visionRuns: 0 });
  // What stands above is of other conversations: its pictures cannot be framed from there.
  await expect(page.locator("#answers .came button:enabled")).toHaveCount(2);

  // A sample picture begins a new conversation about it alone.
  await sample(page, 3);
  await expect(page.locator("#gallery")).toBeHidden();
  await ask(page, "How many things are there?");
  expect(await last(page)).toMatchObject({ images: 1, newImages: 1 });
});

test("the engine takes a list, and answers as the program does", async ({ site }) => {
  const page = await site.open("?adapter=cpu&arithmetic=exact");
  await load(page);
  const names = ["toybox-1.png", "toybox-2.png", "toybox-1.png"];
  for (const question of ["How many things are there?", "What is on the left?"]) {
    const paths = names.map(name => join(toybox, "samples", name));
    const args = ["ask", "--json", "--adapter", "cpu", "--arithmetic", "exact", "-m", "8"];
    const said = execFileSync(
      process.env.MQT_BIN,
      [...args, "--model", toybox, "--together", ...paths, "-q", question],
      { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
    );
    const expected = JSON.parse(said);
    const got = await page.evaluate(
      async ([names, question]) => {
        const { engine } = globalThis.mqt;
        globalThis.files ??= await Promise.all(
          names.map(async name => (await fetch(`other/samples/${name}`)).blob()),
        );
        await engine.startAnew();
        const asked = { image: globalThis.files, question, tokens: 8 };
        const { answer } = engine.ask(asked);
        return [await answer, await engine.pictures()];
      },
      [names, question],
    );
    expect(got[1]).toBe(3);
    expect(got[0].tokenIds).toEqual(expected.token_ids);
    expect(got[0].promptTokens).toBe(expected.prompt_tokens);
    expect(got[0].images.map(image => image.imageTokens)).toEqual([8, 8, 8]);
  }
  // Two of the three are equal: each was encoded once.
  const runs = await page.evaluate(async () => {
    const { engine } = globalThis.mqt;
    const [a, b] = globalThis.files;
    await engine.forget(2);
    const left = await engine.pictures();
    const answer = await engine.ask({ question: "Is there a dog?", tokens: 8 }).answer;
    await engine.look(b);
    await engine.lookAlso(a);
    const turned = await engine.ask({ question: "Is there a dog?", tokens: 8 }).answer;
    const none = await engine.forget(7).catch(({ code }) => code);
    return [left, answer.images.length, answer.visionRuns, turned.visionRuns, none];
  });
  expect(runs).toEqual([2, 2, 0, 0, "invalid-setting"]);
});

test("one is forgotten; compare and refine ask about what was there", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=8");
  await load(page);
  await sample(page, 1);
  await ask(page, "How many things are there?");
  const first = page.locator("article").first();
  await add(page, 2);
  await ask(page, "Is there a dog?");

  // The earlier question is compared with what was there then: one picture.
  await first.getByRole("button", { name: "Compare", exact: true }).click();
  const box = page.locator(".comparison");
  await expect(box.locator(".verdict")).toHaveText(/./, { timeout: 60_000 });
  expect(await last(page)).toMatchObject({ images: 1, visionRuns: 0 });
  await expect(box).not.toContainText("pictures");
  await reached(page, "ready");
  await ask(page, "Is there a cat?");
  expect(await last(page)).toMatchObject({ images: 2, newImages: 0, visionRuns: 0 });
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(3);

  // With both it says what the number counts.
  await page.getByRole("textbox", { name: "Question" }).fill("Where is the car?");
  await page.getByRole("button", { name: "Compare token counts" }).click();
  await expect(box.last()).toContainText(
    "The same question about both pictures; the number is image tokens of each.",
  );
  await expect(box.last().locator("h3").first()).toHaveText("2 tokens");
  await expect(box.last().locator(".verdict")).toHaveText(/./, { timeout: 60_000 });
  await reached(page, "ready");

  // Added after a question, a picture is none of its refinement.
  const asked = await ask(page, "Where is the car?");
  await add(page, 3);
  await asked.getByRole("button", { name: /Refine/ }).click();
  await expect(page.locator("details.draft")).toHaveCount(1);
  await reached(page, "ready");
  // What was encoded meanwhile is on its account, and not among its pictures.
  expect(await last(page)).toMatchObject({ images: 2, newImages: 0 });
  await expect.poll(() => page.evaluate(() => globalThis.mqt.engine.pictures())).toBe(3);

  // The one in the frame is forgotten: the others are counted anew, what was said stays.
  await page.getByRole("button", { name: "Picture 1: toybox-1.png", exact: true }).click();
  await page.getByRole("button", { name: "Forget picture 1", exact: true }).click();
  await reached(page, "ready");
  await expect(page.locator("#thumbs button")).toHaveCount(2);
  await expect(page.locator(".came.forgotten")).toHaveText("Forgotten: toybox-1.png");
  await expect(page.locator(".came:not(.forgotten)").first()).toHaveText("Picture 1: toybox-2.png");
  expect(await page.evaluate(() => globalThis.mqt.engine.pictures())).toBe(2);
  await ask(page, "Is there a dog?");
  // The third picture stands before this question, and was encoded for it; the second was before.
  expect(await last(page)).toMatchObject({ images: 2, newImages: 1 });
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(5);
});

test("over a reload, and in a file, every picture stands where it came", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=8");
  await load(page);
  await sample(page, 1);
  await ask(page, "How many things are there?");
  await add(page, 2);
  await ask(page, "Is there a dog?");
  const before = await order(page);
  const prompt = (await last(page)).promptTokens;

  const saved = async name => {
    const [download] = await Promise.all([page.waitForEvent("download"), panel(page, name)]);
    return readFileSync(await download.path(), "utf8");
  };
  const markdown = await saved("Save as Markdown");
  expect(markdown).toContain("# A conversation about toybox-1.png, toybox-2.png");
  expect(markdown).toMatch(/About: toybox-1\.png\n\n1\. \*\*How many things are there\?\*\*/);
  expect(markdown).toMatch(/About: toybox-1\.png, toybox-2\.png\n\n2\. \*\*Is there a dog\?\*\*/);
  expect(markdown).toContain("(8 image tokens × 2 pictures, confidence");
  const json = JSON.parse(await saved("Save as JSON"));
  expect(json.pictures.map(({ name }) => name)).toEqual(["toybox-1.png", "toybox-2.png"]);
  expect(json.pictures[1].hash).toMatch(/^[0-9a-f]{64}$/);
  expect(json.answers[0].image).toBe("toybox-1.png");
  expect(json.answers[1].images.map(({ image }) => image)).toEqual([
    "toybox-1.png",
    "toybox-2.png",
  ]);

  await page.reload();
  await expect(page.locator("article")).toHaveCount(2);
  expect(await order(page)).toEqual(before);
  await expect(page.locator("#thumbs button")).toHaveCount(2);
  await panel(page, "Storage");
  await expect(page.getByRole("dialog", { name: /Storage/ })).toBeVisible();
  await expect(page.locator("#kept-talk")).toContainText("2 answers, 2 pictures");
  await page.keyboard.press("Escape");
  await ask(page, "Is there a dog?");
  const after = await last(page);
  // What the tower made of both was kept as well.
  expect(after).toMatchObject({ images: 2, newImages: 0, visionRuns: 0 });
  expect(after.promptTokens).toBeGreaterThan(prompt);

  // A forgotten one does not come back, and what was said about it still says so: an answer offers
  // neither a comparison nor a map of pictures that are not there.
  const offers = () =>
    page
      .locator("article")
      .evaluateAll(all => all.map(card => card.querySelectorAll(".look").length));
  const thumbs = () =>
    page
      .locator(".question")
      .evaluateAll(all => all.map(one => one.querySelectorAll("img").length));
  expect(await offers()).toEqual([1, 1, 1]);
  await page.getByRole("button", { name: "Forget picture 2", exact: true }).click();
  await reached(page, "ready");
  expect(await offers()).toEqual([1, 0, 0]);
  await expect(page.locator("#undo")).toContainText("Picture 2 is forgotten.");
  await page.locator("#undo button").click();
  await reached(page, "ready");
  expect(await offers()).toEqual([1, 1, 1]);
  await expect(page.locator("#thumbs button")).toHaveCount(2);
  await page.getByRole("button", { name: "Forget picture 2", exact: true }).click();
  await reached(page, "ready");
  const [said, shown] = [await order(page), await thumbs()];
  expect(shown).toEqual([1, 2, 2]);
  await page.reload();
  await expect(page.locator("article")).toHaveCount(3);
  await expect(page.locator("#gallery")).toBeHidden();
  expect(await page.evaluate(() => globalThis.mqt.pictures.map(({ name }) => name))).toEqual([
    "toybox-1.png",
  ]);
  expect([await order(page), await thumbs(), await offers()]).toEqual([said, shown, [1, 0, 0]]);
  await expect(page.locator(".came.forgotten")).toHaveText("Forgotten: toybox-2.png");
});

test("what does not fit is said, with choices; nothing is dropped", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=64");
  await load(page);
  await page.evaluate(() => globalThis.mqt.switchTo({ context: 256 }));
  await reached(page, "ready");
  await sample(page, 1);
  await add(page, 2);
  await add(page, 3);
  await add(page, 4);
  await ask(page, "How many things are there?");
  await reached(page, "context-full");
  const card = page.locator(".notice.trouble");
  await expect(card).toContainText("The conversation is full");
  await expect(page.locator("#thumbs button")).toHaveCount(4);
  await expect(
    card.getByRole("button", { name: "New conversation with 8 image tokens" }),
  ).toBeVisible();
  await card.getByRole("button", { name: "Forget picture 1" }).click();
  await reached(page, "ready");
  await expect(page.locator("#thumbs button")).toHaveCount(3);

  // A file that is none leaves the others as they were.
  await page
    .locator("#add-file")
    .setInputFiles({ name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await expect(card).toContainText("notes.png");
  await expect(card).toContainText("The 3 others are kept");
  await expect(page.locator("#thumbs button")).toHaveCount(3);
  expect(await page.evaluate(() => globalThis.mqt.engine.pictures())).toBe(3);

  // A model that has no place for a second one: asked about it alone, or not at all.
  await page.evaluate(() => {
    const { engine } = globalThis.mqt;
    engine.lookAlso = () =>
      Promise.reject({ code: "invalid-setting", message: "there is no place for it" });
  });
  const refuse = async () => {
    await page.locator("#add summary").click();
    await page.getByRole("button", { name: "Add sample picture 5", exact: true }).click();
    await expect(card).toContainText("No further picture fits");
    await expect(page.locator("#thumbs button")).toHaveCount(3);
  };
  await refuse();
  await card.getByRole("button", { name: "OK" }).click();
  await expect(card).toHaveCount(0);
  await refuse();
  await card.getByRole("button", { name: "New conversation about the new one" }).click();
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.mqt.pictures.map(({ name }) => name))).toEqual([
    "toybox-5.png",
  ]);
});

test("dropped on the conversation or pasted into its box, a picture is added; while one is answered, too", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=8");
  const names = () => page.evaluate(() => globalThis.mqt.pictures.map(({ name }) => name));
  const send = (type, selector, name) =>
    page.evaluate(
      async ([type, selector, name]) => {
        const data = new DataTransfer();
        const blob = await (await fetch("other/samples/toybox-3.png")).blob();
        data.items.add(new File([blob], name, { type: "image/png" }));
        const event =
          type === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.querySelector(selector).dispatchEvent(event);
      },
      [type, selector, name],
    );
  // Without a picture there is nothing to add to.
  await send("drop", "#talk", "a.png");
  expect(await names()).toEqual(["a.png"]);
  await send("drop", "#talk", "b.png");
  await send("paste", "#question", "c.png");
  expect(await names()).toEqual(["a.png", "b.png", "pasted picture"]);
  await send("drop", "#frame", "d.png");
  expect(await names()).toEqual(["d.png"]);

  await load(page);
  await page.getByRole("textbox", { name: "Question" }).fill("How many things are there?");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await send("paste", "#question", "e.png");
  await expect(page.locator("article")).toHaveAttribute("data-finish-reason", "stop");
  await reached(page, "ready");
  expect(await last(page)).toMatchObject({ images: 1 });
  await expect.poll(() => page.evaluate(() => globalThis.mqt.engine.pictures())).toBe(2);
  await ask(page, "Is there a dog?");
  expect(await last(page)).toMatchObject({ images: 2, newImages: 1 });
});

test("a new conversation can be taken back, until something is asked in it", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=8");
  await load(page);
  await sample(page, 1);
  await ask(page, "How many things are there?");
  await add(page, 2);
  await ask(page, "Is there a dog?");
  const before = await order(page);
  const turns = () => page.evaluate(() => globalThis.mqt.turns.length);

  await page.locator("#anew").click();
  await expect(page.locator("article")).toHaveCount(0);
  expect(await turns()).toBe(0);
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  expect(await order(page)).toEqual(before);
  expect(await turns()).toBe(2);
  await ask(page, "Is there a cat?");
  const { newImages, images } = await last(page);
  expect([newImages, images]).toEqual([0, 2]);
  expect(await turns()).toBe(3);
  // It is kept again, too.
  await page.reload();
  await expect(page.locator("article")).toHaveCount(3);

  await load(page);
  await page.locator("#anew").click();
  await ask(page, "Is there a dog?");
  await expect(page.getByRole("button", { name: "Undo", exact: true })).toHaveCount(0);
});
