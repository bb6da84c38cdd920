// The composer offers what the loaded model's pack says it knows: its stickers appear with it, and
// only then.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { convert, expect, load, reached, root, test, toybox, source } from "./site.mjs";

const all = JSON.parse(readFileSync(join(root, "models/toybox/stickers/manifest.json"), "utf8"));
const named = (list, ...names) => list.filter(({ name }) => names.includes(name));

/** Names of what can be added, in order. */
async function offered(page) {
  await source(page, "Make a scene…");
  const box = page.getByRole("dialog", { name: "Make a scene" });
  await expect(box).toBeVisible();
  const labels = await box
    .getByRole("button", { name: /^Add: / })
    .evaluateAll(all => all.map(b => b.ariaLabel.slice(5)));
  await page.keyboard.press("Escape");
  return labels;
}

test("the bundled model's stickers are those of its pack, before it is loaded and after", async ({
  site,
}) => {
  const file = join(toybox, "scenes.json");
  const { shapes, stickers } = existsSync(file)
    ? JSON.parse(readFileSync(file, "utf8"))
    : { ...all, stickers: [] };
  const names = [...shapes, ...stickers].map(({ name }) => name);
  const page = await site.open();
  expect(await offered(page)).toEqual(names);
  await load(page);
  expect(await offered(page)).toEqual(names);
});

test("a model that knows stickers gets them; one that says nothing gets plain shapes", async ({
  site,
}, info) => {
  const ghost = { name: "ghost", file: "ghost.webp" };
  const scenes = {
    ...all,
    shapes: named(all.shapes, "circle", "star"),
    stickers: [...named(all.stickers, "dog", "car"), ghost],
  };
  site.add("pack", convert(info.outputPath("with"), scenes));
  const page = await site.open("?model=pack/manifest.json");
  const pictures = [];
  page.on("request", request => request.url().endsWith(".webp") && pictures.push(request.url()));
  await load(page);
  expect(site.fetched.map(({ name }) => name)).toContain("scenes.json");
  expect(pictures, "no sticker is fetched before it is shown").toEqual([]);
  // There is no picture of a ghost.
  expect(await offered(page)).toEqual(["circle", "star", "dog", "car"]);

  await source(page, "Make a scene…");
  const box = page.getByRole("dialog", { name: "Make a scene" });
  await box.getByRole("button", { name: "Clear" }).click();
  await box.getByRole("group", { name: "Background" }).getByRole("button").first().click();
  const car = await box.getByRole("button", { name: "Add: car" }).boundingBox();
  const scene = await page.locator("#scene").boundingBox();
  await page.mouse.move(car.x + car.width / 2, car.y + car.height / 2);
  await page.mouse.down();
  await page.mouse.move(scene.x + scene.width * 0.4, scene.y + scene.height * 0.5, { steps: 4 });
  await page.mouse.move(scene.x + scene.width * 0.25, scene.y + scene.height * 0.75, { steps: 4 });
  await page.mouse.up();
  await box.getByRole("button", { name: "Add: dog" }).click();
  await expect(page.locator("#scene-words")).toHaveText(
    /^In the scene: car, dog\. Chosen: dog, (top|bottom|middle|left|right)/,
  );
  // The car lies where it was dropped: that part of the picture has many colours, the corner has
  // one.
  const colours = (x, y) =>
    page
      .locator("#scene")
      .evaluate(
        (c, [x, y]) =>
          new Set(
            new Uint32Array(
              c.getContext("2d").getImageData(x * c.width - 20, y * c.height - 20, 40, 40).data
                .buffer,
            ),
          ).size,
        [x, y],
      );
  await expect.poll(() => colours(0.25, 0.75)).toBeGreaterThan(50);
  // With the keyboard alone: choose, size, remove.
  await page.locator("#scene").focus();
  await page.keyboard.press("Delete");
  await expect(page.locator("#scene-words")).toHaveText(
    "In the scene: car. Chosen: car, bottom left.",
  );
  await box.getByRole("button", { name: "Use this scene" }).click();
  await expect
    .poll(() => page.evaluate(() => globalThis.mqt.picture?.view !== undefined))
    .toBe(true);
  await reached(page, "ready");

  site.add("plain", convert(info.outputPath("without")));
  await page.evaluate(() =>
    globalThis.mqt.switchTo({
      model: { from: new URL("plain/manifest.json", location.href).href, name: "plain" },
    }),
  );
  await reached(page, "ready");
  expect(await offered(page)).toEqual(all.shapes.map(({ name }) => name));
});
