// The Settings dialog and links with settings.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask, expect, load, reached, sample, set, test, toybox } from "./site.mjs";

test("a system prompt opens the conversation; too long a one is refused; Reset takes all back", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);

  const own = await page.evaluate(
    async () => (await globalThis.mqt.engine.estimate(16, "")).contextUsed,
  );
  const used = () =>
    page.evaluate(async () => (await globalThis.mqt.engine.estimate(16, "")).contextUsed);
  await set(page, { "#system": "Be brief." });
  await expect.poll(used).toBeLessThan(own);
  await expect(await ask(page, "Where is the car?")).toHaveAttribute("data-finish-reason", "stop");
  const dialog = page.getByRole("button", { name: "Settings", exact: true });
  await dialog.click();
  const field = page.getByRole("textbox", { name: "System prompt" });
  await field.fill("xq".repeat(1999));
  await field.press("Tab");
  await expect
    .poll(() => field.evaluate(input => input.validationMessage))
    .toContain("system prompt");
  expect(
    await page.evaluate(() => globalThis.mqt.engine.estimate(16, "").then(e => e.contextUsed)),
  ).toBeLessThan(own);
  await reached(page, "ready", "stopped");
  await page.getByRole("button", { name: "Reset" }).click();
  await expect(field).toHaveValue("");
  await page.getByRole("button", { name: "Done" }).click();
  await expect.poll(used).toBeGreaterThan(own);
  await page.getByRole("button", { name: "New conversation" }).click();
  await expect.poll(used).toBe(own);
});

test("what the dialog says reaches the answer", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);

  await set(page, { "#most": "1" });
  await expect(await ask(page, "What do you see?")).toHaveAttribute("data-finish-reason", "length");
  await set(page, { "#most": "512" });
  await set(page, { "#stop-text": "car" });
  const cut = await ask(page, "What do you see?");
  await expect(cut).toHaveAttribute("data-finish-reason", "stop");
  await expect(cut.locator(".text")).not.toContainText("car");
  await set(page, { "#stop-text": "" });
  await set(page, { "#temperature": "2" });
  const drawn = new Set();
  for (const seed of ["3", "4", "5", "3"]) {
    await set(page, { "#seed": seed });
    await page.getByRole("button", { name: "New conversation" }).click();
    await expect.poll(() => page.evaluate(() => globalThis.mqt.turns.length)).toBe(0);
    const answer = await ask(page, "What do you see?");
    await expect(answer.locator(".more")).toContainText(`seed ${seed}`);
    drawn.add(await answer.getAttribute("data-token-ids"));
  }
  // The same seed gives the same answer, another one may give another.
  expect(drawn.size).toBeGreaterThan(1);
  expect(drawn.size).toBeLessThan(4);
  await set(page, { "#temperature": "0" });
  await set(page, { "#seed": "0" });
});

test("a link to the open page changes its settings; what it says of other things is not taken", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=64");
  await load(page);
  await sample(page, 1);

  // A link to the open page changes its settings; what it says of other things is not taken.
  await page.goto(
    `${site.url}?adapter=cpu&tokens=64#m=12&seed=5&temperature=0.85&top_p=7&system=Be+kind.`,
  );
  await expect(page.getByRole("slider", { name: "Image tokens" })).toHaveValue("12");
  await expect(page.locator("#seed")).toHaveValue("5");
  await expect(page.locator("#temperature")).toHaveValue("0.85");
  await expect(page.locator("#top-p")).toHaveValue("1");
  await expect(page.locator("#system")).toHaveValue("Be kind.");
  await expect(page.locator("#remark")).toContainText("system prompt");
  await reached(page, "ready", "stopped");
  // A value between the field's steps does not block the button; another engine is told the same.
  const used = () =>
    page.evaluate(async () => (await globalThis.mqt.engine.estimate(16, "")).contextUsed);
  await page.getByRole("button", { name: "New conversation" }).click();
  await expect.poll(() => page.evaluate(() => globalThis.mqt.turns.length)).toBe(0);
  const before = await used();
  await expect(await ask(page, "Where is the car?")).toHaveAttribute("data-finish-reason", "stop");
  await page.getByRole("button", { name: "New conversation" }).click();
  await expect.poll(used).toBe(before);
  await page.evaluate(() => globalThis.mqt.switchTo({}));
  await reached(page, "ready");
  expect(await used()).toBe(before);
});

test("settings are kept over a reload until they are reset; a link that sets any comes first", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  const fields = {
    "#temperature": "0.8",
    "#most": "40",
    "#stop-text": "car",
    "#system": "Be kind.",
  };
  for (const [field, value] of Object.entries(fields)) await set(page, { [field]: value });
  await page.reload();
  for (const [field, value] of Object.entries(fields))
    await expect(page.locator(field)).toHaveValue(value);
  await expect(page.locator("#top-p")).toHaveValue("1");

  // What a link says holds for this visit; what is changed then is kept, and nothing else of it.
  await page.goto(`${site.url}?adapter=cpu#m=16&top_k=7&system=Be+brief.`);
  await page.reload();
  await expect(page.locator("#top-k")).toHaveValue("7");
  await expect(page.locator("#temperature")).toHaveValue("0");
  await set(page, { "#seed": "5" });
  await page.goto(`${site.url}?adapter=cpu#m=16`);
  await page.reload();
  await expect(page.locator("#seed")).toHaveValue("5");
  await expect(page.locator("#top-k")).toHaveValue("50");
  await expect(page.locator("#system")).toHaveValue("Be kind.");

  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("button", { name: "Reset" }).click();
  await page.reload();
  for (const field of Object.keys(fields).slice(2))
    await expect(page.locator(field)).toHaveValue("");
  await expect(page.locator("#temperature")).toHaveValue("0");
  await expect(page.locator("#seed")).toHaveValue("0");
});

test("a picture by its address: typed as people do, and what went wrong is said there", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  await page.route("https://pictures.example/**", async route => {
    const url = new URL(route.request().url());
    const headers = { "access-control-allow-origin": "*" };
    if (!url.pathname.endsWith("/cat.png")) return route.fulfill({ status: 404, headers });
    const body = readFileSync(join(toybox, "samples/toybox-1.png"));
    return route.fulfill({ body, headers, contentType: "image/png" });
  });
  await page.locator("#own summary").click();
  await page.locator("#own [data-source=link]").click();
  const field = page.getByRole("textbox", { name: "Address of a picture" });
  await expect(field, "one can type at once").toBeFocused();
  const dialog = page.getByRole("dialog", { name: "A picture from the web" });
  for (const [typed, says] of [
    ["cat", "That is not the address of a picture."],
    ["pictures.example/dog.png", "pictures.example answered 404"],
    ["data:image/png,x", "Only pictures in base64"],
  ]) {
    await field.fill(typed);
    await page.keyboard.press("Enter");
    await expect(dialog.getByRole("status"), typed).toContainText(says);
    await expect(field, "what was typed stays").toHaveValue(typed);
  }
  await field.fill("pictures.example/cat.png");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.locator("#shown")).toHaveAttribute("alt", "The picture: cat.png");
  // That server was asked for what was typed, and for nothing else.
  expect(site.complaints.splice(0)).toEqual([
    "a request to https://pictures.example/dog.png",
    "a request to https://pictures.example/cat.png",
  ]);
});
