// Live captions: one question about what the camera sees, asked again and again, one request at a
// time; the camera is on only while they run.

import { ask, axe, expect, load, reached, sample, source, test } from "./site.mjs";

test.use({ serviceWorkers: "block" });

/** Notes what is asked of the camera and which streams it gives; there are two of them. */
const watchCamera = context =>
  context.addInitScript(() => {
    globalThis.cameras = { asked: [], tracks: [] };
    const devices = navigator.mediaDevices;
    if (!devices) return;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async constraints => {
      globalThis.cameras.asked.push(constraints.video.facingMode);
      const stream = await open(constraints);
      globalThis.cameras.tracks.push(...stream.getTracks());
      return stream;
    };
    devices.enumerateDevices = async () => [{ kind: "videoinput" }, { kind: "videoinput" }];
  });

const camera = page =>
  page.evaluate(() => ({
    asked: globalThis.cameras.asked,
    on: globalThis.cameras.tracks.filter(({ readyState }) => readyState === "live").length,
  }));

const box = page => page.getByRole("dialog", { name: "Live captions" });
const button = (page, name) => box(page).getByRole("button", { name, exact: true });

test("the camera is described again and again, from either side, and let go of", async ({
  site,
  context,
}) => {
  await context.grantPermissions(["camera"]);
  await watchCamera(context);
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await sample(page, 1);
  await ask(page, "Where is the car?");
  // Never two requests at once.
  await page.evaluate(() => {
    const { engine } = globalThis.mqt;
    globalThis.flight = { now: 0, most: 0, asked: 0, tokens: [] };
    const { flight } = globalThis;
    const during = work => {
      flight.most = Math.max(flight.most, ++flight.now);
      return work.finally(() => flight.now--);
    };
    const { look, ask } = engine;
    engine.look = (...args) => during(look.apply(engine, args));
    engine.ask = request => {
      flight.asked++;
      flight.tokens.push(request.tokens);
      const answering = ask.call(engine, request);
      void during(answering.answer).catch(() => {});
      return answering;
    };
  });

  await source(page, "Live captions…");
  await expect(box(page)).toContainText("toybox only understands toy scenes");
  expect(await camera(page), "off until Start").toEqual({ asked: [], on: 0 });
  await button(page, "Start").click();
  await expect(page.locator(".live-caption")).toHaveText(/./, { timeout: 60_000 });
  await expect(box(page)).toContainText(/[\d.]+ frames\/s · \d+ tokens\/s · 4 image tokens each/);
  await expect(page.locator("body")).toHaveAttribute("data-state", "live");
  expect(await axe(page)).toEqual([]);
  await button(page, "2").click();
  await expect(box(page)).toContainText("2 image tokens each", { timeout: 60_000 });
  await button(page, "Other camera").click();
  await expect.poll(async () => (await camera(page)).asked).toEqual(["environment", "user"]);
  await expect.poll(async () => (await camera(page)).on, "one at a time").toBe(1);
  const asked = () => page.evaluate(() => globalThis.flight.asked);
  const before = await asked();
  await expect.poll(asked).toBeGreaterThan(before + 1);

  await button(page, "Stop").click();
  await expect.poll(async () => (await camera(page)).on).toBe(0);
  await reached(page, "ready");
  const { most, tokens } = await page.evaluate(() => globalThis.flight);
  expect(most).toBe(1);
  expect(new Set(tokens)).toEqual(new Set([4, 2]));

  // Out of sight it stops by itself, and says so.
  await button(page, "Start").click();
  await expect.poll(asked).toBeGreaterThan(tokens.length + 1);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    delete document.hidden;
  });
  await expect(box(page)).toContainText("the page was out of sight. The camera is off.");
  expect((await camera(page)).on).toBe(0);
  await reached(page, "ready");
  // So does closing the dialog.
  await button(page, "Start").click();
  await expect(page.locator(".live-caption")).toHaveText(/./);
  await page.keyboard.press("Escape");
  await expect(box(page)).toBeHidden();
  await expect.poll(async () => (await camera(page)).on).toBe(0);
  await reached(page, "ready");

  // The conversation goes on where it was; no frame was kept.
  await expect(await ask(page, "Where is the car?")).toContainText("middle");
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);
  const kept = () =>
    page.evaluate(async () => (await (await caches.open("pictures")).keys()).length);
  expect(await kept()).toBe(1);
});

test("without a model Start says what it downloads; a camera that is not there is said", async ({
  site,
  context,
}) => {
  await watchCamera(context);
  const page = await site.open("?adapter=cpu");
  // A browser that asks nobody refuses.
  await source(page, "Live captions…");
  await button(page, /^Start \(downloads [\d.]+ MB\)$/).click();
  await expect(box(page)).toContainText("This page may not use the camera.");
  expect(site.fetched, "without a camera nothing is fetched").toEqual([]);
  await page.keyboard.press("Escape");
  await source(page, "Camera");
  await expect(page.locator("#remark")).toContainText("This page may not use the camera.");

  await page.evaluate(() => {
    const { mediaDevices } = navigator;
    globalThis.real = mediaDevices.getUserMedia;
    mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
  });
  await source(page, "Live captions…");
  await button(page, /^Start/).click();
  await expect(box(page)).toContainText("There is no camera on this device.");

  await context.grantPermissions(["camera"]);
  await page.evaluate(() => (navigator.mediaDevices.getUserMedia = globalThis.real));
  await button(page, /^Start/).click();
  await expect(box(page)).toContainText("Loading the model");
  await expect(page.locator(".live-caption")).toHaveText(/./, { timeout: 60_000 });
  await expect(button(page, "Stop")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect.poll(async () => (await camera(page)).on).toBe(0);
  await reached(page, "ready");
});
