// What stays over a reload: the last conversation, on this device only, until it is cleared. And
// what can be saved of it.

import { readFileSync } from "node:fs";
import { ask, compare, expect, load, panel, reached, sample, test } from "./site.mjs";

test.use({ serviceWorkers: "block" });

test("the last conversation is there after a reload, goes on, and can be cleared", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=64");
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  const first = (await ask(page, "How many things are there?")).locator(".text");
  await expect(first).toHaveText("3");
  const before = await page.evaluate(() => globalThis.mqt.records.at(-1).answer.promptTokens);

  await page.reload();
  await expect(page.locator("article .text")).toHaveText(["middle", "3"]);
  await expect(page.locator("#shown")).toBeVisible();
  expect(await page.locator("#spoken").textContent(), "it is not said once more").toBe("");
  await reached(page, "first-visit");
  // Asking on loads the model, which reads what was said.
  await expect((await ask(page, "Is there a dog?")).locator(".text")).toHaveText("no");
  const after = await page.evaluate(() => globalThis.mqt.records.at(-1).answer.promptTokens);
  expect(after).toBeGreaterThan(before);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(3);

  await panel(page, "Storage");
  await expect(page.locator("#kept-talk")).toContainText("3 answers");
  await page.getByRole("button", { name: "Delete Last conversation" }).click();
  await expect(page.locator("#kept-talk")).toContainText("No conversation is stored.");

  // All at once, after one more press: model, conversation, encoded pictures; also on the page.
  await page.keyboard.press("Escape");
  await ask(page, "Is there a cat?");
  await panel(page, "Storage");
  await expect(page.locator("#kept-talk")).toContainText("4 answers");
  await page.getByRole("button", { name: "Delete everything" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Delete everything" }).click();
  await expect(page.locator("#kept-talk")).toContainText("4 answers");
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.locator("#packs")).toContainText("No model is stored.");
  await expect(page.locator("#kept-talk")).toContainText("No conversation is stored.");
  await expect(page.locator(".pack, .everything")).toHaveCount(0);
  await expect(page.getByText("Deleted. The picture in the frame and the loaded")).toBeVisible();
  await expect(page.locator("article")).toHaveCount(0);
  await expect(page.locator("#undo")).toBeEmpty();
  await page.reload();
  await expect(page.locator(".welcome")).toBeVisible();
  await expect(page.locator("article")).toHaveCount(0);
});

test("comparisons are kept where they stood, also one alone", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);
  /** Questions, answers, numbers and verdicts, in their order. */
  const all = () =>
    page
      .locator("#answers")
      .evaluate(list =>
        [...list.querySelectorAll(".came, .question p, h3, .text, .verdict, .facts")].map(
          part => part.textContent,
        ),
      );
  await compare(page, "What do you see?");
  let before = await all();
  await page.reload();
  await expect(page.locator(".comparison")).toHaveCount(1);
  expect(await all()).toEqual(before);
  await expect(page.locator("article .use")).toHaveCount(4);

  // It goes on: with the same question and other columns, and between turns.
  await page.getByRole("button", { name: "Compare again" }).click();
  await expect(page.locator(".verdict").last()).not.toBeEmpty({ timeout: 60_000 });
  await reached(page, "ready");
  await ask(page, "Where is the car?");
  await compare(page, "How many things are there?");
  await page.locator("#add summary").click();
  await page.getByRole("button", { name: "Add sample picture 2", exact: true }).click();
  await expect(page.locator(".came")).toHaveCount(2);
  await reached(page, "ready");
  await ask(page, "Is there a dog?");
  before = await all();
  await page.reload();
  await expect(page.locator(".comparison")).toHaveCount(3);
  expect(await all()).toEqual(before);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);
  await panel(page, "Storage");
  await expect(page.locator("#kept-talk")).toContainText("2 answers, 3 comparisons");
});

test("conversations before the last one are kept too; a picture that began one can be taken back", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  await ask(page, "Is there a dog?");
  await sample(page, 3);
  await expect(page.locator("#undo")).toContainText("New conversation.");
  await page.locator("#undo button").click();
  await reached(page, "ready");
  await expect(page.locator("#shown")).toHaveAttribute("alt", "The picture: toybox-1.png");
  await expect(page.locator("#answers .divider")).toHaveCount(0);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);
  await ask(page, "How many things are there?");
  await sample(page, 2);
  await compare(page, "Is there a dog?");
  await sample(page, 3);
  await ask(page, "What is this?");
  const all = () =>
    page
      .locator("#answers > *")
      .evaluateAll(list => list.map(part => `${part.className} ${part.textContent}`));
  const before = await all();
  expect(before.filter(part => part.startsWith("divider"))).toHaveLength(2);
  await page.reload();
  await expect(page.locator("article")).toHaveCount(8);
  expect((await all()).map(part => part.replace(/(Compare|Edit|What it looked at)/g, ""))).toEqual(
    before.map(part => part.replace(/(Compare|Edit|What it looked at)/g, "")),
  );
  // The last one goes on.
  await expect(page.locator("#shown")).toHaveAttribute("alt", "The picture: toybox-3.png");
  await ask(page, "What colour is it?");
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);
  await panel(page, "Storage");
  await expect(page.locator("#kept-talk")).toContainText("Last 3 conversations");
  await expect(page.locator("#kept-talk")).toContainText("5 answers, 1 comparison, 3 pictures");
});

test("another model does not go on with what was kept, nor says what it looked at", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  await expect(page.locator(".look")).toHaveCount(1);
  // As if another model had given it.
  await page.evaluate(
    () =>
      new Promise((done, failed) => {
        const open = indexedDB.open("mqt-history", 1);
        open.onerror = failed;
        open.onsuccess = () => {
          const transaction = open.result.transaction("conversations", "readwrite");
          const store = transaction.objectStore("conversations");
          const read = store.get("last");
          read.onsuccess = () => {
            for (const { answers } of read.result)
              for (const answer of answers) answer.model.sha256 = "0".repeat(64);
            store.put(read.result, "last");
          };
          transaction.oncomplete = done;
        };
      }),
  );
  await page.reload();
  await expect(page.locator("article")).toHaveCount(1);
  await load(page);
  await expect(page.locator(".divider")).toHaveCount(1);
  await expect(page.locator("article .look")).toHaveCount(0);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(0);
  await ask(page, "Is there a dog?");
  await expect(page.locator("article .look")).toHaveCount(1);
  expect(await page.evaluate(() => globalThis.mqt.records.at(-1).answer.newImages)).toBe(1);
});

test("drafts and the chosen m are kept; a comparison is a table in the saved file", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);
  const slider = page.getByRole("slider", { name: "Image tokens" });
  await slider.fill("8");
  await ask(page, "What do you see?");
  await page.getByRole("button", { name: "Refine with 64" }).click();
  await expect(page.locator("article")).toHaveCount(2);
  await expect(page.locator("article").last()).toHaveAttribute("data-finish-reason", "stop");
  await reached(page, "ready");
  const cards = () =>
    page.locator("article").evaluateAll(all => all.map(card => card.dataset.tokenIds));
  const before = await cards();
  await page.reload();
  await expect(page.locator("details.draft summary")).toHaveText(
    "Earlier answer with 8 image tokens",
  );
  expect(await cards()).toEqual(before);
  await expect(slider).toHaveAttribute("aria-valuetext", "8 of 64 image tokens");
  await expect(page.getByRole("checkbox", { name: "Auto" })).not.toBeChecked();
  await ask(page, "Is there a dog?");
  expect(await page.evaluate(() => globalThis.mqt.records.at(-1).answer.imageTokens)).toBe(8);

  await compare(page, "How many things are there?");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    panel(page, "Save as Markdown"),
  ]);
  const markdown = readFileSync(await download.path(), "utf8");
  expect(markdown).toMatch(
    /4\. A comparison\n\n\*\*How many things are there\?\*\*\n\n\| Image tokens/,
  );
  expect(markdown.match(/^\| (2|8|16|64) \|/gm)).toHaveLength(4);
  expect(markdown).toContain(await page.locator(".verdict").textContent());
  expect(markdown.match(/How many things are there/g)).toHaveLength(1);
});

test("what is switched off is not kept; the conversation is saved as Markdown and JSON", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=64");
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("checkbox", { name: /Keep conversations/ }).uncheck();
  await page.getByRole("button", { name: "Done" }).click();
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  const saved = async name => {
    const [download] = await Promise.all([page.waitForEvent("download"), panel(page, name)]);
    return [download.suggestedFilename(), readFileSync(await download.path(), "utf8")];
  };
  const [name, markdown] = await saved("Save as Markdown");
  expect(name).toBe("conversation.md");
  expect(markdown).toContain("# A conversation about toybox-1.png");
  expect(markdown).toMatch(/1\. \*\*Where is the car\?\*\*\n\n +middle\n/);
  const json = JSON.parse((await saved("Save as JSON"))[1]);
  expect([json.schema, json.answers.length, json.answers[0].schema]).toEqual([
    "mqt.conversation/1",
    1,
    "mqt.answer/1",
  ]);
  await page.reload();
  await expect(page.locator(".welcome")).toBeVisible();
  await expect(page.locator("article")).toHaveCount(0);
});
