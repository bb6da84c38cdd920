// By keyboard alone: from the first sight to an answer, a comparison, other image tokens, a dialog
// and back. What has the focus is on the screen and uncovered, and what a screen reader is told is
// there in words.

import { expect, reached, test } from "./site.mjs";

test.use({ serviceWorkers: "block" });

/** What has the focus: its name, its role, and where it is covered or cut off. */
const focused = page =>
  page.evaluate(() => {
    const e = document.activeElement;
    const label = e.labels?.[0]?.textContent ?? e.textContent;
    const { left, right, top, bottom } = e.getBoundingClientRect();
    // A slider is drawn by what stands around it; of a tall box the middle counts.
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const found = document.elementFromPoint(x, y);
    const isSeen = e.contains(found) || e.parentElement.contains(found);
    return { name: (e.ariaLabel ?? label).trim(), id: e.id, isSeen, at: [x, y].map(Math.round) };
  });

/** Presses Tab until something of this name has the focus; everything on the way is seen. */
async function to(page, name, key = "Tab") {
  const passed = [];
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press(key);
    // It may still be scrolling to it.
    await expect
      .poll(async () => {
        const { isSeen, name, at } = await focused(page);
        return isSeen ? "seen" : `${name} is covered at ${at}`;
      })
      .toBe("seen");
    const now = await focused(page);
    if (now.name === name) return;
    passed.push(now.name);
  }
  throw new Error(`no “${name}” among ${passed.join(", ")}`);
}

for (const [width, height] of [
  [1280, 800],
  [390, 844],
])
  test(`an answer, a comparison, a dialog by keyboard alone, ${width}×${height}`, async ({
    site,
  }) => {
    const page = await site.open("?adapter=cpu&tokens=8");
    await page.setViewportSize({ width, height });
    await page.locator(".demo").waitFor();
    const press = key => page.keyboard.press(key);

    await to(page, "To the question");
    await press("Enter");
    expect((await focused(page)).id).toBe("question");
    await to(page, "Sample picture 1", "Shift+Tab");
    await press("Enter");
    await to(page, "Question");
    await page.keyboard.type("How many things are there?");
    await press("Enter");
    await expect(page.locator("article[data-finish-reason]")).toHaveCount(1, { timeout: 60_000 });
    await reached(page, "ready");
    // Who asked goes on typing; who hears the page hears the answer, once.
    expect((await focused(page)).id).toBe("question");
    const answer = await page.locator("article .text").textContent();
    await expect(page.locator("#spoken p")).toHaveText([answer]);

    await to(page, "Compare", "Shift+Tab");
    await press("Enter");
    await expect(page.locator(".verdict")).toHaveText(/./, { timeout: 60_000 });
    await expect(page.locator(".verdict")).toHaveAttribute("aria-live", "polite");
    await reached(page, "ready");
    await to(page, "Use 2");
    await press("Enter");
    expect((await focused(page)).name).toBe("2 from now on");
    await to(page, "Image tokens", "Shift+Tab");
    const slider = page.getByRole("slider", { name: "Image tokens" });
    await expect(slider).toHaveAttribute("aria-valuetext", "2 of 64 image tokens");
    await press("ArrowRight");
    await expect(slider).toHaveAttribute("aria-valuetext", "4 of 64 image tokens");

    await to(page, "Settings", "Shift+Tab");
    await press("Enter");
    await expect(page.getByRole("dialog", { name: "Settings" })).toBeVisible();
    await press("Escape");
    expect((await focused(page)).name).toBe("Settings");
    await to(page, "More");
    await press("Enter");
    await to(page, "Storage");
    await press("Enter");
    await expect(page.getByRole("dialog", { name: /Storage/ })).toBeVisible();
    await press("Escape");

    await to(page, "New conversation");
    await press("Enter");
    await expect(page.locator("article")).toHaveCount(0);
    await expect(page.locator("#undo")).toHaveAttribute("aria-live", "polite");
    await to(page, "Undo", "Shift+Tab");
    await press("Enter");
    await expect(page.locator("article .text").first()).toHaveText(answer);
  });
