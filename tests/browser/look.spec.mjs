// How the page looks and is operated: with the keyboard alone, on a phone, in the dark, without
// motion, installed.

import { ask, axe, expect, load, panel, reached, sample, source, test, tokens } from "./site.mjs";

const NARROW = { width: 400, height: 860 };

test("narrow and dark: nothing serious for axe, nothing wider than the screen, every target large enough", async ({
  site,
}) => {
  const page = await site.open();
  await page.setViewportSize(NARROW);
  await page.emulateMedia({ colorScheme: "dark" });
  const check = async what => {
    expect(await axe(page), what).toEqual([]);
    expect(
      await page.evaluate(() => document.documentElement.scrollWidth),
      what,
    ).toBeLessThanOrEqual(NARROW.width);
    const small = await page
      .locator("button:visible, summary:visible, .button:visible")
      .evaluateAll(all =>
        all
          .filter(
            b => Math.min(b.getBoundingClientRect().width, b.getBoundingClientRect().height) < 24,
          )
          .map(b => b.outerHTML),
      );
    expect(small, what).toEqual([]);
  };
  await check("first visit");
  await load(page);
  await sample(page, 1);
  await tokens(page, 2);
  const draft = await ask(page, "How many things are there?");
  await check("an answer");
  await draft.getByRole("button", { name: /Refine/ }).click();
  await expect(page.locator("details.draft")).toHaveCount(1);
  await reached(page, "ready");
  await page.getByRole("textbox", { name: "Question" }).fill("Where is the car?");
  await page.getByRole("button", { name: "Compare token counts" }).click();
  await expect(page.locator(".verdict:not(:empty)")).toBeVisible({ timeout: 120_000 });
  await check("compare");
  const dialogs = [
    ...["Model", "Settings"].map(name => [
      name,
      () => page.getByRole("button", { name, exact: true }).click(),
    ]),
    ...["Storage", "Benchmark", "Diagnostics", "About"].map(name => [
      name,
      () => panel(page, name),
    ]),
    ...["Link", "Make a scene…"].map(name => [name, () => source(page, name)]),
  ];
  for (const [name, open] of dialogs) {
    await open();
    await expect(page.getByRole("dialog")).toBeVisible();
    await check(name);
    await page.keyboard.press("Escape");
  }
  for (const menu of [".top summary", "#own summary", "#add summary"]) {
    await page.locator(menu).click();
    await check(menu);
    await page.keyboard.press("Escape");
  }
});

test("the keyboard alone: everything is reached, a question is asked, stopped, compared", async ({
  site,
}) => {
  const page = await site.open("?tokens=16");
  const stops = new Set();
  /** Presses Tab, notes where the focus is, and says so. */
  const tab = async (key = "Tab") => {
    await page.keyboard.press(key);
    const at = await page.evaluate(() => {
      const { activeElement: e } = document;
      return e.ariaLabel || e.labels?.[0]?.textContent.trim() || e.textContent.trim();
    });
    stops.add(at);
    return at;
  };
  const tabTo = async (name, key) => {
    for (let i = 0; i < 60; i++) if ((await tab(key)) === name) return;
    throw new Error(`Tab never reaches ${name}; it stops at: ${[...stops].join(", ")}`);
  };
  await tabTo("Sample picture 1");
  await page.keyboard.press("Enter");
  await tabTo("Question");
  await page.keyboard.type("How many things are there?");
  await page.keyboard.press("Enter");
  await expect(page.locator("article")).toHaveAttribute("data-finish-reason", "stop", {
    timeout: 120_000,
  });
  await reached(page, "ready");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("]");
  await expect(page.getByRole("slider", { name: "Image tokens" })).toHaveValue("36");
  await page.keyboard.press("[");
  await expect(page.getByRole("slider", { name: "Image tokens" })).toHaveValue("16");
  await tabTo("Image tokens");
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("slider", { name: "Image tokens" })).toHaveValue("36");
  await tabTo("Where tokens look", "Shift+Tab");
  await page.keyboard.press("Enter");
  await tabTo("Show token (0 = all)");
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
  await expect(page.locator("#reads")).toContainText("Token 3 reads mainly");
  await tabTo("Question");
  await page.keyboard.type("Where is the car?");
  await tabTo("Compare token counts");
  await page.keyboard.press("Enter");
  await reached(page, "answering");
  await page.keyboard.press("Escape");
  await reached(page, "stopped", "ready");
  // Once around: every button, field and link that can be used now.
  const names = await page
    .locator("button:enabled:visible, input:visible, textarea:visible, summary:visible")
    .evaluateAll(all =>
      all.map(e => e.ariaLabel || e.labels?.[0]?.textContent.trim() || e.textContent.trim()),
    );
  await page.evaluate(() => document.activeElement.blur());
  for (let i = 0; i < names.length + 5; i++) await tab();
  expect(names.filter(name => !stops.has(name))).toEqual([]);
});

test("who wants no motion sees none", async ({ site }) => {
  const page = await site.open();
  const moving = () =>
    page.evaluate(() => document.getAnimations().map(a => a.animationName ?? a.transitionProperty));
  await page.emulateMedia({ reducedMotion: "no-preference" });
  await page.locator(".notice .start").click();
  await expect.poll(async () => (await moving()).length).toBeGreaterThan(0);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.reload();
  const seen = page.evaluate(
    () =>
      new Promise(done => {
        const all = new Set();
        const look = () => {
          for (const a of document.getAnimations())
            all.add(a.animationName ?? a.transitionProperty);
          if (document.body.dataset.state === "ready") done([...all]);
          else requestAnimationFrame(look);
        };
        look();
      }),
  );
  await load(page);
  expect(await seen).toEqual([]);
});

test("installable, with icons that are there", async ({ site, context }) => {
  const page = await site.open();
  await page.evaluate(() => navigator.serviceWorker.ready);
  const browser = await context.newCDPSession(page);
  const { errors, data } = await browser.send("Page.getAppManifest");
  expect(errors).toEqual([]);
  const { icons } = JSON.parse(data);
  for (const { src, sizes } of icons) {
    const found = await page.evaluate(async src => {
      const image = new Image();
      image.src = src;
      await image.decode();
      return `${image.naturalWidth}x${image.naturalHeight}`;
    }, src);
    if (sizes !== "any") expect(found, src).toBe(sizes);
  }
  const { installabilityErrors } = await browser.send("Page.getInstallabilityErrors");
  // The tests' own windows count as private ones.
  expect(
    installabilityErrors.map(({ errorId }) => errorId).filter(id => id !== "in-incognito"),
  ).toEqual([]);
});
