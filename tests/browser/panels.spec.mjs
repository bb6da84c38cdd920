// What opens beside the conversation: views of the picture, the benchmark, the scene editor,
// storage, diagnostics.

import {
  ask,
  axe,
  expect,
  load,
  panel,
  passes,
  reached,
  sample,
  source,
  test,
  tokens,
} from "./site.mjs";

test("what the model sees, and where tokens look", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);

  await page.getByRole("button", { name: "What the model sees" }).click();
  const seen = () =>
    page
      .locator("#seen")
      .evaluate(c =>
        [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data].reduce(
          (a, b, i) => (a * 31 + b * (i % 7)) % 1e9,
          0,
        ),
      );
  await expect(page.locator("#caption")).toContainText("112 × 112");
  const plain = await seen();
  await page.getByRole("button", { name: "Where tokens look" }).click();
  await expect(page.locator("#reads")).toHaveText(
    "All 64 tokens together read all parts about evenly.",
  );
  await expect.poll(seen).not.toBe(plain);
  // Strip and map are on the screen together; it is said that the map is not the answer's.
  await expect(page.locator("#strip")).toBeInViewport();
  await expect(page.locator("#seen")).toBeInViewport();
  await expect(page.locator("#caption")).toContainText("the same for every picture");
  await page.getByRole("slider", { name: "Show token (0 = all)" }).fill("3");
  await expect(page.locator("#reads")).toContainText(/Token 3 reads mainly .* \(\d+ %\)/);
  expect(await axe(page)).toEqual([]);
  await expect(page.locator("#strip .picked")).toHaveCount(1);
  await page.getByRole("button", { name: "Original" }).click();
  await expect(page.locator("#strip .picked"), "only while the map is shown").toHaveCount(0);
});

test("benchmark: run, plot, copy; stopped half-way it says so", async ({ site }) => {
  const page = await site.open("");
  await load(page);
  await sample(page, 1);

  await panel(page, "Benchmark");
  const box = page.getByRole("dialog", { name: "Benchmark" });
  await box.getByRole("button", { name: "Run" }).click();
  await box.getByRole("button", { name: "Stop" }).click();
  await expect(box.getByRole("status")).toHaveText("Stopped.", { timeout: 30_000 });
  await box.getByRole("button", { name: "Run" }).click();
  await expect(box.getByRole("status")).toHaveText("Medians of this run.", { timeout: 240_000 });
  await expect(box.locator("dl")).toContainText("Prompt, 64 tokens");
  await expect(box.getByRole("img", { name: /Time to the first token.*64 tokens/ })).toBeVisible();
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await box.getByRole("button", { name: "Copy JSON" }).click();
  const report = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
  expect([report.schema, report.decode[0].objects_created_per_token]).toEqual(["mqt.bench/1", 0]);
  // One for each batch of steps, which is one step on a slow device, and the token of the prompt.
  expect(report.decode[0].readbacks_per_token).toBeLessThan(1.1);
  expect(await axe(page)).toEqual([]);
  await box.getByRole("button", { name: "Close Benchmark" }).click();
});

test("a composed scene is a picture like any other", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await load(page);
  await sample(page, 1);

  await source(page, "Make a scene…");
  const box = page.getByRole("dialog", { name: "Make a scene" });
  await box.getByRole("button", { name: "Clear" }).click();
  await box.getByRole("group", { name: "Background" }).getByRole("button").first().click();
  await box.getByRole("button", { name: "blue", exact: true }).click();
  await box.getByRole("button", { name: "Add: star" }).click();
  await expect(box.locator("#scene-words")).toContainText("blue star");
  expect(await axe(page)).toEqual([]);
  const looks = passes(page, "encoding");
  await box.getByRole("button", { name: "Use this scene" }).click();
  await looks;
  await reached(page, "ready");
  await tokens(page, 64);
  const answer = await ask(page, "What colour is the star?");
  await expect(answer.locator(".text")).toHaveText(/blue/);
  await expect(answer).toHaveAttribute("data-vision-runs", "1");
});

test("storage, diagnostics, about", async ({ site }) => {
  const page = await site.open("?tokens=64");
  await load(page);
  await sample(page, 1);

  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  for (let i = 0; i < 3; i++) await ask(page, "Where is the car?");
  await panel(page, "Storage");
  await expect(page.getByRole("dialog", { name: /Storage/ })).toContainText("complete");
  await page.keyboard.press("Escape");
  await panel(page, "Diagnostics");
  await expect(page.locator("#facts")).toContainText("Model SHA-256");
  expect(await axe(page)).toEqual([]);
  await expect(page.locator("#facts")).toContainText(/Version0\.\d/);
  await expect(page.locator("#facts")).toContainText("Driver");
  await expect(page.locator("#facts")).toContainText("Features");
  await expect(
    page.getByRole("button", { name: "Copy report" }),
    "its buttons are on the screen",
  ).toBeInViewport();
  const report = await page.evaluate(() => globalThis.mqt.report());
  expect(report).toContain("m=64");
  const box = page.getByRole("dialog", { name: "Diagnostics" });
  const copied = async name => {
    await box.getByRole("button", { name }).click();
    await expect(box.getByRole("button", { name: "Copied" })).toBeVisible();
    await expect(box.getByRole("button", { name })).toBeVisible();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const plain = JSON.parse(await copied("Copy JSON"));
  expect([plain.schema, plain.picture.data, plain.answers.length]).toEqual([
    "mqt.report/1",
    null,
    3,
  ]);
  expect(plain.picture.hash).toMatch(/^[0-9a-f]{64}$/);
  expect(plain.answers.at(-1).pictures).toEqual([plain.picture.hash]);
  await box.getByRole("checkbox", { name: /Include the picture/ }).check();
  expect(JSON.parse(await copied("Copy JSON")).picture.data).toMatch(/^data:image\/png;base64,/);
  expect(await copied("Copy report")).toContain("![picture](data:image/png");
  const link = await copied("Copy link");
  expect(link).toMatch(/#m=64&seed=0$/);
  await page.keyboard.press("Escape");

  await panel(page, "About");
  await expect(page.getByRole("dialog", { name: "About" })).toContainText("Matryoshka");
  expect(await axe(page)).toEqual([]);
});
