// Faults that people met on the page, and what should happen instead.

import { ask, expect, load, reached, sample, shard, start, test, panel } from "./site.mjs";

const words = {
  name: "holiday.jpg",
  mimeType: "image/jpeg",
  buffer: Buffer.from("these are words, not a picture"),
};

test("a picture that cannot be read leaves the one before as it was", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  // Before a model is there nobody knows whether it can be read: no broken image stands there
  // meanwhile.
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  await page.locator("#file").setInputFiles(words);
  await expect(page.locator("#caption")).toHaveText("holiday.jpg: this browser cannot show it");
  await expect(page.locator("#shown")).toBeHidden();
  await start(page);
  const card = page.locator(".notice.trouble");
  await expect(card.locator("h2")).toHaveText("That picture cannot be read");
  await expect(card).toContainText("The picture before it is kept");
  await reached(page, "ready");
  await expect(page.locator("#caption")).toHaveText("toybox-1.png · 480 × 360");

  await ask(page, "Where is the car?");
  await page.locator("#file").setInputFiles(words);
  await expect(card).toContainText("holiday.jpg");
  await reached(page, "ready");
  expect(
    await page.evaluate(() => [globalThis.mqt.picture.name, globalThis.mqt.turns.length]),
  ).toEqual(["toybox-1.png", 1]);
  expect(await page.locator("#shown").evaluate(image => image.naturalWidth)).toBe(480);
  await expect(page.locator("#answers .divider")).toHaveCount(0);
  const answer = await ask(page, "How many things are there?");
  await expect(answer).toHaveAttribute("data-vision-runs", "0");
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);

  await test.step("the status line says where the model is kept", async () => {
    await expect(page.getByRole("status")).toContainText("(on this device)");
    await panel(page, "Storage");
    await page.getByRole("button", { name: "Delete toybox" }).click();
    await expect(page.locator("#packs")).toContainText("No model is stored.");
    await page.keyboard.press("Escape");
    await expect(page.getByRole("status")).toContainText("(in memory)");
    await expect(page.getByRole("status")).not.toContainText("on this device");
  });
});

test("a picture that cannot be read, with none before it, is put aside", async ({ site }) => {
  const page = await site.open("?adapter=cpu");
  await page.locator("#file").setInputFiles(words);
  await start(page);
  await expect(page.locator(".notice.trouble")).toContainText("Choose another picture.");
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.mqt.picture)).toBeUndefined();
  await page.getByRole("textbox", { name: "Question" }).fill("What is this?");
  await expect(page.getByRole("button", { name: "Ask", exact: true })).toBeDisabled();
  await sample(page, 1);
  await expect(page.getByRole("button", { name: "Ask", exact: true })).toBeEnabled();
});

test("nothing but what the page shows is fetched before a click; afterwards all of it is kept", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu");
  await page.evaluate(() => navigator.serviceWorker.ready);
  const kept = () =>
    page.evaluate(async () => {
      const names = [];
      let bytes = 0;
      for (const name of await caches.keys())
        for (const request of await (await caches.open(name)).keys()) {
          names.push(request.url);
          bytes += (await (await caches.match(request)).arrayBuffer()).byteLength;
        }
      return { names, bytes };
    });
  const before = await kept();
  console.log(`${before.names.length} files, ${before.bytes} bytes before a click`);
  expect(before.names.filter(name => /\.wasm|\.webp|worker-|composer-/.test(name))).toEqual([]);
  expect(before.names.length).toBeGreaterThan(10);
  expect(before.bytes).toBeLessThan(600_000);
  await load(page);
  await expect
    .poll(
      async () => (await kept()).names.filter(name => /\.wasm|worker-|composer-/.test(name)).length,
      { timeout: 30_000 },
    )
    .toBe(3);
  expect((await kept()).names.filter(name => name.endsWith(".webp")).length).toBeGreaterThan(50);
});

test("a server that was away is asked again until it answers; what was fetched is counted as fetched only", async ({
  site,
}) => {
  let away = true;
  let asked = 0;
  site.intercept = (name, _, response) => {
    if (name !== shard || !away) return false;
    asked++;
    if (asked % 2) response.destroy();
    else response.writeHead(503).end();
    return true;
  };
  const page = await site.open();
  // The card's title and buttons, each time that anything in it changes.
  await page.evaluate(() => {
    globalThis.cards = new Set();
    globalThis.made = 0;
    new MutationObserver(changes => {
      // The first visit's card may be drawn again once the adapter is known to be software.
      const card = document.querySelector(".notice:not(.welcome)");
      if (!card) return;
      const buttons = [...card.querySelectorAll("button")].map(b => b.textContent);
      globalThis.cards.add([card.querySelector("h2").textContent, ...buttons].join(", "));
      globalThis.made += changes.filter(({ addedNodes }) => [...addedNodes].includes(card)).length;
    }).observe(document.querySelector("#notices"), {
      childList: true,
      characterData: true,
      subtree: true,
    });
    globalThis.said = [];
    const status = document.querySelector("#status");
    new MutationObserver(() => globalThis.said.push(status.textContent)).observe(status, {
      childList: true,
    });
  });
  await page.locator(".notice .start").click();
  await reached(page, "offline");
  await expect(page.locator(".notice")).toContainText("asked again in 2.0 s");
  const before = asked;
  await expect.poll(() => asked, { timeout: 10_000 }).toBeGreaterThan(before);
  away = false;
  await reached(page, "ready");
  const { cards, made, said } = await page.evaluate(() => ({
    cards: [...globalThis.cards],
    made: globalThis.made,
    said: globalThis.said,
  }));
  // One card from beginning to end: it counts nothing that it did not fetch, and its buttons stay.
  expect(made).toBe(1);
  expect(
    cards.filter(card => !/^Loading toybox, (Pause|Try again now), Cancel$/.test(card)),
  ).toEqual([]);
  // Each step would be announced to those who hear the page: that it loads is said once.
  expect(said.filter(line => line === "loading the model").length).toBeLessThanOrEqual(2);
});
