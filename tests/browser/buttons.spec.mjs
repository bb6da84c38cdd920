// Buttons that the other specs pass by: under answers, in panels, beside the picture.

import { join } from "node:path";
import {
  ask,
  expect,
  load,
  reached,
  sample,
  start,
  test,
  tokens,
  toybox,
  panel,
  source,
} from "./site.mjs";

const last = page => page.locator("#answers > article").last();

/** Presses Stop as soon as the answer has its first words. */
const stopAtFirstWords = page =>
  page.evaluate(() => {
    const look = new MutationObserver(() => {
      const text = [...document.querySelectorAll("article.running .text")].at(-1)?.textContent;
      if (!text) return;
      look.disconnect();
      document.querySelector("#stop").click();
    });
    look.observe(document.querySelector("#answers"), {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });

test("Continue, Again with m, Use m from now on, Repeat the question", async ({ site }) => {
  const page = await site.open("?tokens=64");
  await load(page);
  await sample(page, 6);
  const whole = await (await ask(page, "Describe the picture")).locator(".text").textContent();
  let stopped;
  for (let i = 0; i < 8; i++) {
    await page.getByRole("button", { name: "New conversation" }).click();
    await expect(page.locator("article")).toHaveCount(0);
    await stopAtFirstWords(page);
    stopped = await ask(page, "Describe the picture");
    if ((await stopped.getAttribute("data-finish-reason")) === "cancelled") break;
  }
  await expect(stopped, "stopped in time once in eight times").toHaveAttribute(
    "data-finish-reason",
    "cancelled",
  );
  const cut = await stopped.locator(".text").textContent();
  expect(cut.length).toBeLessThan(whole.length);
  await stopped.getByRole("button", { name: "Continue" }).click();
  await expect(last(page)).toHaveAttribute("data-finish-reason", "stop");
  await expect(last(page).locator(".text")).toHaveText(whole);

  await tokens(page, 8);
  await last(page).getByRole("button", { name: "Again with 8" }).click();
  await expect(last(page)).toHaveAttribute("data-image-tokens", "8");
  await expect(last(page)).toHaveAttribute("data-finish-reason", "stop");

  await page.getByRole("textbox", { name: "Question" }).fill("Is there a dog?");
  await page.getByRole("button", { name: "Compare token counts" }).click();
  await page.getByRole("button", { name: "Use 16" }).click();
  await expect(page.getByRole("slider", { name: "Image tokens" })).toHaveValue("16");

  // Stopped before the first token: nothing was said, and it can be asked again.
  await page.getByRole("textbox", { name: "Question" }).fill("What is there? ".repeat(60));
  await expect(page.locator("#ask")).toBeEnabled();
  await page.evaluate(() => {
    document.querySelector("#ask").click();
    document.querySelector("#stop").click();
  });
  await expect(last(page)).toHaveAttribute("data-finish-reason", "cancelled");
  await last(page).getByRole("button", { name: "Repeat the question" }).click();
  await expect(last(page)).toHaveAttribute("data-finish-reason", "stop", { timeout: 60_000 });
});

test("a longer context; Delete; the clipboard's picture; a model's folder", async ({
  site,
  context,
}) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await site.open("?tokens=16");
  await load(page);
  await page.evaluate(() => globalThis.mqt.switchTo({ context: 80 }));
  await reached(page, "ready");
  await sample(page, 1);
  for (
    let i = 0;
    i < 5 && (await page.evaluate(() => document.body.dataset.state)) === "ready";
    i++
  )
    await ask(page, "How many things are there?");
  await reached(page, "context-full");
  await page.getByRole("button", { name: "A longer context" }).click();
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.mqt.engine.model.context)).toBeGreaterThan(1000);
  await expect((await ask(page, "Where is the car?")).locator(".text")).toHaveText("middle");

  await panel(page, "Storage");
  const box = page.getByRole("dialog", { name: /Storage/ });
  await box.getByRole("button", { name: "Delete toybox" }).click();
  await expect(box).toContainText("No model is stored.");
  await page.keyboard.press("Escape");
  await expect(
    (await ask(page, "Is there a dog?")).locator(".text"),
    "what is loaded runs on",
  ).toHaveText("no");

  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 64);
    canvas.getContext("2d").fillRect(0, 0, 64, 64);
    await navigator.clipboard.write([
      new ClipboardItem({ "image/png": canvas.convertToBlob({ type: "image/png" }) }),
    ]);
  });
  await source(page, "Paste");
  await expect.poll(() => page.evaluate(() => globalThis.mqt.picture.name)).toBe("pasted picture");

  await page.getByRole("button", { name: "Model", exact: true }).click();
  await page.locator("#model-folder").setInputFiles(join(toybox, "checkpoint"));
  await reached(page, "ready");
  await sample(page, 1);
  await expect((await ask(page, "Where is the car?")).locator(".text")).toHaveText("middle");
});

test("?adapter=cpu: the processor, said in the status line", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await start(page);
  await reached(page, "ready");
  await expect(page.getByRole("status")).toContainText("CPU");
  await sample(page, 2);
  await expect((await ask(page, "What is this?")).locator(".text")).toHaveText("a dog");
});
