// The page as a visitor meets it: first visit, second visit, without a network; where pictures come
// from.

import { join } from "node:path";
import { ask, axe, expect, reached, root, source, test } from "./site.mjs";

test("first visit, second visit, no network", async ({ site, context }) => {
  const started = Date.now();
  // How many tokens Auto takes depends on the machine's speed, and so may the answer.
  const page = await site.open("?tokens=64");
  await reached(page, "first-visit");
  expect(site.fetched, "nothing of the model is fetched before a click").toEqual([]);
  expect(await axe(page)).toEqual([]);
  const policy = await page.evaluate(async () =>
    (await fetch(location.href)).headers.get("content-security-policy"),
  );
  expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");

  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  // What the card says while kernels compile.
  await page.evaluate(() => {
    globalThis.compiled = new Set();
    const look = () => {
      const [, n, all] =
        /^(\d+) of (\d+) kernels/.exec(
          document.querySelector(".notice.progress .line")?.textContent ?? "",
        ) ?? [];
      if (all) globalThis.compiled.add(`${n}/${all}`);
    };
    new MutationObserver(look).observe(document.querySelector("#notices"), {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  const first = await ask(page, "How many things are there?");
  const seconds = (Date.now() - started) / 1000;
  console.log(`first visit to answer: ${seconds.toFixed(1)} s`);
  expect(seconds).toBeLessThan(30);
  const compiled = (await page.evaluate(() => [...globalThis.compiled])).map(pair =>
    pair.split("/").map(Number),
  );
  console.log(`kernels compiled: ${compiled.map(pair => pair.join("/")).join(", ")}`);
  expect(compiled.length).toBeGreaterThan(1);
  // Nearly as many as were announced from the start: kernels are chosen by the model's widths and
  // the device.
  const [[, announced], [made]] = [compiled[0], compiled.at(-1)];
  expect(made / announced).toBeGreaterThan(0.75);
  expect(made / announced).toBeLessThan(1.25);
  await expect(first.locator(".text")).toHaveText("3");
  await expect(first).toHaveAttribute("data-vision-runs", "1");
  await expect(page.getByRole("status")).toContainText("ready");
  await expect(page.locator("#spoken"), "those who hear the page hear the answer once").toHaveText(
    "3",
  );
  expect(await axe(page)).toEqual([]);
  expect(site.weights()).toHaveLength(1);

  // Once a model was loaded the service worker keeps everything; the second visit reads storage
  // only.
  const stickersKept = () =>
    page.evaluate(async () => {
      const kept = await Promise.all(
        (await caches.keys()).map(async name => (await caches.open(name)).keys()),
      );
      return kept.flat().filter(({ url }) => url.endsWith(".webp")).length;
    });
  await expect.poll(stickersKept).toBeGreaterThan(50);
  const again = Date.now();
  await page.reload();
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  const second = await ask(page, "How many things are there?");
  console.log(`second visit to answer: ${((Date.now() - again) / 1000).toFixed(1)} s`);
  expect((Date.now() - again) / 1000).toBeLessThan(10);
  await expect(second.locator(".text")).toHaveText("3");
  expect(site.weights()).toHaveLength(1);

  site.server.close();
  await context.setOffline(true);
  await page.reload();
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
  await expect(page.locator("#network")).toBeVisible();
  // The composer was never opened, and yet its stickers are here.
  await source(page, "Make a scene…");
  const stickers = page.locator(".palette img");
  await stickers.last().scrollIntoViewIfNeeded();
  await expect.poll(() => stickers.last().evaluate(image => image.naturalWidth)).toBeGreaterThan(0);
  await page
    .getByRole("dialog", { name: "Make a scene" })
    .getByRole("button", { name: "Use this scene" })
    .click();
  await reached(page, "ready");
  await context.setOffline(false);
});

test("a picture from a file, dropped, pasted, from the camera; and what is none", async ({
  site,
  context,
}) => {
  await context.grantPermissions(["camera"]);
  const page = await site.open();
  const name = () => page.evaluate(() => globalThis.mqt.picture?.name);
  const samples = join(root, "models/toybox/samples");
  await page.locator("#file").setInputFiles(join(samples, "toybox-2.png"));
  expect(await name()).toBe("toybox-2.png");
  await expect(page.locator("#shown")).toBeVisible();
  await expect(page.locator("#chip")).toHaveText("toybox · toy scenes only");
  await expect(page.locator("#photo")).toHaveText("");

  /** A drop or a paste of a file, as the browser would tell of it. */
  const send = (type, file) =>
    page.evaluate(
      ([type, { name, mime, text }]) => {
        const data = new DataTransfer();
        data.items.add(new File([text], name, { type: mime }));
        const event =
          type === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.body.dispatchEvent(event);
      },
      [type, file],
    );
  await send("drop", { name: "notes.txt", mime: "text/plain", text: "no picture" });
  await expect(page.locator("#remark")).toContainText("notes.txt isn't a picture");
  expect(await name()).toBe("toybox-2.png");
  await send("drop", { name: "dropped.png", mime: "image/png", text: "later found to be damaged" });
  expect(await name()).toBe("dropped.png");
  await send("paste", { name: "image.png", mime: "image/png", text: "the same" });
  expect(await name()).toBe("pasted picture");

  // A sky, a meadow and the grain of a sensor: a photograph, for which this model is none.
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(320, 240);
    const context = canvas.getContext("2d");
    const image = context.createImageData(320, 240);
    for (let i = 0; i < image.data.length; i += 4) {
      const [x, y] = [(i / 4) % 320, Math.floor(i / 1280)];
      const grain = ((x * 7919 + y * 104729) % 41) - 20;
      const colour = y < 120 ? [90 + y, 130 + y / 2, 220] : [60 + x / 4, 120 + (y - 120) / 3, 40];
      image.data.set([...colour.map(value => value + grain), 255], i);
    }
    context.putImageData(image, 0, 0);
    const data = new DataTransfer();
    data.items.add(new File([await canvas.convertToBlob()], "meadow.png", { type: "image/png" }));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
  });
  await expect(page.locator("#photo")).toContainText("toybox only understands toy scenes");

  await source(page, "Camera");
  await page.getByRole("button", { name: "Take photo" }).click();
  await expect.poll(name).toBe("camera picture");
  await expect(page.getByRole("dialog", { name: "Camera" })).toHaveCount(0);
  expect(site.fetched, "pictures alone fetch no model").toEqual([]);
});
