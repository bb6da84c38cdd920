// How image tokens are chosen, where a model knows several ways; and how finely pictures are cut.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import {
  ask,
  expect,
  load,
  pooled,
  reached,
  root,
  sample,
  start,
  test,
  tokens,
  toybox,
} from "./site.mjs";

test.use({ serviceWorkers: "block" });

const field = page => page.getByRole("combobox", { name: "How image tokens are chosen" });

/** Chooses a way in the Settings dialog; the ways there are. */
async function choose(page, way) {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  const ways = await field(page)
    .locator("option")
    .evaluateAll(all => all.map(o => o.value));
  await field(page).selectOption(way);
  await page.getByRole("button", { name: "Done" }).click();
  return ways;
}

const last = page => page.evaluate(() => globalThis.mqt.records.at(-1).answer);

test("another way of choosing is set, remembered, and gives other numbers", async ({
  site,
}, info) => {
  site.add("pack", pooled(info.outputDir));
  const page = await site.open("?model=pack/manifest.json&adapter=cpu&tokens=9");
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await expect(field(page), "no model, no choice").toBeHidden();
  await page.locator("#most").fill("3");
  await page.locator("#most").press("Tab");
  await page.getByRole("button", { name: "Done" }).click();
  await start(page);
  await reached(page, "ready");
  await sample(page, 1);
  const ticks = page.locator(".tick b");
  await expect(ticks).toHaveText(["1", "9", "36"]);
  await ask(page, "What is this?");
  expect((await last(page)).select).toBe("pool");

  expect(await choose(page, "spread")).toEqual(["", "spread", "random"]);
  await expect(ticks).toHaveText(["2", "4", "8", "16", "36"]);
  await tokens(page, 7);
  const spread = await ask(page, "What is this?");
  const { select, imageTokens, visionRuns } = await last(page);
  expect([select, imageTokens, visionRuns]).toEqual(["spread", 7, 0]);
  await spread.getByRole("button", { name: "Details" }).click();
  await expect(spread).toContainText("image tokens chosen by spread");
  // The conversation goes on, although the model's own way gives no 7.
  await expect(await ask(page, "What else?")).toHaveAttribute("data-finish-reason", /stop|length/);

  await page.reload();
  await page.locator(".notice .start").click();
  await reached(page, "ready");
  await expect(ticks).toHaveText(["2", "4", "8", "16", "36"]);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await expect(field(page)).toHaveValue("spread");
  await page.getByRole("button", { name: "Reset" }).click();
  await expect(field(page)).toHaveValue("");
  await page.getByRole("button", { name: "Done" }).click();
  await expect(ticks).toHaveText(["1", "9", "36"]);
});

test("the bundled model's tokens by chance: as the program chooses them", async ({ site }) => {
  const page = await site.open("?adapter=cpu&arithmetic=exact&tokens=8");
  await load(page);
  await sample(page, 1);
  expect(await choose(page, "random")).toEqual(["", "spread", "random"]);
  const question = "What do you see?";
  await ask(page, question);
  const got = await last(page);
  const picture = join(toybox, "samples/toybox-1.png");
  const args = ["ask", "--json", "--adapter", "cpu", "--arithmetic", "exact", "-m", "8"];
  const said = execFileSync(
    process.env.MQT_BIN,
    [...args, "--select", "random", "--model", toybox, picture, question],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  );
  const expected = JSON.parse(said);
  expect([got.select, got.tokenIds]).toEqual(["random", expected.token_ids]);
});

test("the levels of a model that cuts pictures are steps of the slider", async ({ site }, info) => {
  const pack = info.outputPath("smolvlm");
  const family = join(root, "tests/families/smolvlm");
  execFileSync(
    process.env.MQT_BIN,
    ["convert", join(family, "checkpoint"), "-o", pack, "--weights", "f32"],
    { stdio: "pipe" },
  );
  site.add("pack", pack);
  const page = await site.open("?model=pack/manifest.json&adapter=cpu&tokens=1");
  await page
    .locator("#most")
    .evaluate(field => ((field.value = "3"), field.dispatchEvent(new Event("change"))));
  await start(page);
  await reached(page, "ready");
  await page.locator("#file").setInputFiles(join(family, "image.png"));
  await expect
    .poll(() => page.evaluate(() => globalThis.mqt.picture?.view?.offer.levels))
    .toEqual([
      { imageTokens: 4, tiles: 1 },
      { imageTokens: 20, tiles: 5 },
      { imageTokens: 40, tiles: 10 },
      { imageTokens: 52, tiles: 13 },
    ]);
  await reached(page, "ready");
  await expect(page.locator(".tick.level b")).toHaveText(["4", "20", "40", "52"]);
  await tokens(page, 20);
  await expect(page.locator("#estimate")).toContainText(
    "20 image tokens · the picture in 5 squares",
  );
  const fine = await ask(page, "What is unusual?");
  expect(await last(page)).toMatchObject({ imageTokens: 20, tiles: 5 });
  await fine.getByRole("button", { name: "Details" }).click();
  await expect(fine).toContainText("the picture in 5 squares");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("[");
  await expect(page.locator("#estimate")).toContainText("4 image tokens · the whole picture");
  await ask(page, "What is unusual?");
  expect(await last(page)).toMatchObject({ imageTokens: 4, tiles: 1, visionRuns: 0 });
});
