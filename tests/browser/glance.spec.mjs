// What an answer looked at: its map lies on the thing that was asked about, is the program's,
// follows the picture in the frame, and goes when something else is shown or asked.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask, axe, expect, isNative, load, reached, root, test, toybox } from "./site.mjs";

test.use({ serviceWorkers: "block" });

const heldout = name => join(toybox, "heldout", name);
const [TRIANGLE, CROSS, PEAR] = ["0009.png", "0005.png", "0040.png"];

/**
 * Where the thing lies that a colour question is about, in shares of the padded square: as in
 * `tests/toybox.rs`.
 */
function asked(picture) {
  const lines = file => readFileSync(file, "utf8").trim().split("\n").map(JSON.parse);
  const questions = lines(heldout("questions.jsonl"));
  const all = lines(join(root, "tests/cases/toybox-things.jsonl"));
  const { question_id, things, asked } = all.find(
    line => questions[line.question_id].image === picture,
  );
  return { question: questions[question_id].text, thing: things[asked] };
}

const looking = page => page.locator("#answers .look");

/** Puts a picture of the held-out set into the frame. */
async function take(page, name, field = "#file") {
  await page.locator(field).setInputFiles(heldout(name));
  const seen = name => {
    const { pictures } = globalThis.mqt;
    return pictures.at(-1)?.name === name && pictures.every(({ view }) => view);
  };
  await expect.poll(() => page.evaluate(seen, name), { timeout: 240_000 }).toBe(true);
  await reached(page, "ready");
}

/** Where the drawing is lightest, in shares of its width and height; lightness tells the weight. */
const lightest = page =>
  page.locator("#seen").evaluate(canvas => {
    // A cell's worth of pixels in each of many places, so that the picture below does not decide.
    const small = new OffscreenCanvas(24, 24);
    const on = small.getContext("2d");
    on.drawImage(canvas, 0, 0, 24, 24);
    const { data } = on.getImageData(0, 0, 24, 24);
    // Blue tells the picture more than the map.
    const light = i => data[i * 4] + data[i * 4 + 1];
    const best = Array.from({ length: 576 }, (_, i) => i).reduce((a, b) =>
      light(b) > light(a) ? b : a,
    );
    return [((best % 24) + 0.5) / 24, (Math.floor(best / 24) + 0.5) / 24];
  });

/** Whether a place, in shares of the padded square, lies on a thing: in the square around it. */
const liesOn = ([x, y], [cx, cy, extent]) =>
  Math.max(Math.abs(x - cx), Math.abs(y - cy)) <= extent / 2;

for (const picture of [TRIANGLE, CROSS])
  test(`the map of ${picture} lies on the thing asked about, and is the program's`, async ({
    site,
  }) => {
    const page = await site.open("?adapter=cpu&arithmetic=exact&tokens=64");
    await load(page);
    await take(page, picture);
    const { question, thing } = asked(picture);
    await ask(page, question);
    const before = await page.evaluate(() => globalThis.mqt.turns.length);
    await looking(page).click();
    await expect(page.locator("#looked")).toContainText(
      /the model looked most at the .* \(\d+ % of its attention\)/,
    );
    await expect(page.locator("#looked")).toContainText("the same for every picture");
    await expect(page.locator("#spoken p").last()).toContainText("the model looked most at");
    await expect(page.locator("#seen")).toBeVisible();
    await expect(page.locator("#shown")).toBeHidden();

    const [map] = await page.evaluate(() => globalThis.mqt.engine.lookedAt());
    const [left, top, across, down] = map.area;
    const { width, height } = await page.evaluate(() => globalThis.mqt.picture.view);
    const toSquare = ([x, y]) => [(x * width - left) / across, (y * height - top) / down];
    await expect
      .poll(async () => liesOn(toSquare(await lightest(page)), thing), "the drawing")
      .toBe(true);

    const said = execFileSync(
      process.env.MQT_BIN,
      ["attention", "--answer", "--json", "--quiet", "--adapter", "cpu", "--model", toybox].concat([
        "-m",
        "64",
        "-q",
        question,
        heldout(picture),
      ]),
      { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
    );
    const native = JSON.parse(said).images[0];
    expect([map.columns, map.rows, map.area]).toEqual([native.columns, native.rows, native.area]);
    // Exact arithmetic differs in the order of its sums alone. `mqt serve` computes fast, with
    // activations of 8 bits: that moved a weight by 0.002.
    const tolerance = isNative ? 0.01 : 1e-4;
    const differences = map.weights.map((weight, i) => Math.abs(weight - native.weights[i]));
    expect(Math.max(...differences), "the largest difference").toBeLessThan(tolerance);
    expect(Math.abs(map.share - native.share)).toBeLessThan(tolerance);
    const most = map.weights.indexOf(Math.max(...map.weights));
    const [column, row] = [most % map.columns, Math.floor(most / map.columns)];
    expect(liesOn([(column + 0.5) / map.columns, (row + 0.5) / map.rows], thing)).toBe(true);
    // The conversation is as it was.
    expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(before);
    const answer = await ask(page, question);
    await expect(answer).toHaveAttribute("data-finish-reason", "stop");
  });

test("shown and hidden by keyboard; another view, another question, Escape end it", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await take(page, PEAR);
  await ask(page, asked(PEAR).question);
  const map = page.getByRole("img", { name: "Heat map: what this answer looked at" });
  await looking(page).focus();
  await page.keyboard.press("Enter");
  await expect(map).toBeVisible();
  await expect(looking(page)).toHaveAttribute("aria-pressed", "true");
  await expect(looking(page), "whoever stood on it still does").toBeFocused();
  const words = () => page.locator("#looked p").first().textContent();
  const first = await words();
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press("Enter");
  await expect(map).toBeHidden();
  await expect(page.locator("#shown")).toBeVisible();
  await expect(looking(page)).toHaveAttribute("aria-pressed", "false");

  await page.keyboard.press("Enter");
  await expect(map).toBeVisible();
  await page.getByRole("button", { name: "Hide map" }).press("Enter");
  await expect(map).toBeHidden();
  await expect(looking(page)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(map).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(map).toBeHidden();

  // The two maps are drawn in the same place, each with its own words.
  await looking(page).click();
  await page.getByRole("button", { name: "Where tokens look" }).click();
  await expect(page.locator("#looked")).toBeHidden();
  await expect(page.locator("#reads")).toContainText(/tokens together read mainly/);
  await looking(page).click();
  await expect(map).toBeVisible();
  await expect(page.locator("#heat")).toBeHidden();

  await ask(page, "How many things are there?");
  await expect(map).toBeHidden();
  // Every answer about these pictures can be asked for its map: it is read once more.
  await expect(looking(page)).toHaveCount(2);
  await looking(page).last().click();
  await expect(map).toBeVisible();
  const second = await words();
  await looking(page).first().click();
  await expect(looking(page).first()).toHaveAttribute("aria-pressed", "true");
  await expect(looking(page).last()).toHaveAttribute("aria-pressed", "false");
  expect(await words(), "of each answer its own").toBe(first);
  expect(first).not.toBe(second);

  // After a comparison, and after a reload, which loads the model again.
  await page.getByRole("button", { name: "Compare", exact: true }).last().click();
  await expect(page.locator(".verdict")).not.toBeEmpty();
  await looking(page).first().click();
  await expect(map).toBeVisible();
  expect(await words()).toBe(first);
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);
  await page.reload();
  await looking(page).first().click();
  await expect(map).toBeVisible({ timeout: 60_000 });
  expect(await words()).toBe(first);
  await take(page, TRIANGLE);
  await expect(map).toBeHidden();
  await expect(looking(page), "the engine looks at another picture").toHaveCount(0);
});

test("of several pictures the map follows the frame, and says which got most", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await take(page, TRIANGLE);
  await take(page, PEAR, "#add-file");
  await ask(page, asked(PEAR).question);
  await looking(page).click();
  const words = page.locator("#looked");
  const maps = await page.evaluate(() => globalThis.mqt.engine.lookedAt());
  expect(maps.length).toBe(2);
  const [first, second] = maps.map(({ share }) => share);
  const most = first > second ? 1 : 2;
  const percent = Math.round((100 * Math.max(first, second)) / (first + second));
  // That one is seen first.
  await expect(words).toContainText(
    `Of all pictures it looked most at picture ${most} (${percent} %).`,
  );
  await expect(words).toContainText(`In picture ${most} this answer looked`);
  const drawn = () =>
    page.locator("#seen").evaluate(canvas => canvas.toDataURL("image/png").slice(-4000));
  await expect.poll(drawn).not.toBe("");
  const before = await drawn();
  const other = most === 1 ? `Picture 2: ${PEAR}` : `Picture 1: ${TRIANGLE}`;
  await page.getByRole("button", { name: other, exact: true }).click();
  await expect(words).toContainText(`In picture ${3 - most} this answer looked`);
  await expect.poll(drawn).not.toBe(before);
  await page.getByRole("button", { name: "Forget picture 1", exact: true }).click();
  await expect(page.locator("#looked")).toBeHidden();
});

test("it can be stopped; what cannot be told is one sentence", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await load(page);
  await take(page, PEAR);
  const early = await page.evaluate(() =>
    globalThis.mqt.engine.lookedAt().catch(({ code, message }) => [code, message]),
  );
  expect(early[0]).toBe("invalid-setting");
  expect(early[1]).toContain("there is none yet");
  await ask(page, asked(PEAR).question);
  const stopped = await page.evaluate(async () => {
    const { engine } = globalThis.mqt;
    const [before, control] = [new AbortController(), new AbortController()];
    // To `mqt serve` each call is a request, and a stop too: none is to overtake another.
    const pause = () => new Promise(wake => setTimeout(wake, 300));
    // Behind work that takes seconds, so that the stop arrives before the end.
    const bench = engine.bench({ signal: before.signal }).catch(({ code }) => code);
    await pause();
    const looks = engine.lookedAt({ signal: control.signal }).catch(({ code }) => code);
    await pause();
    control.abort();
    await pause();
    before.abort();
    const [cell] = (await bench) && (await engine.lookedAt())[0].weights;
    return [await looks, typeof cell];
  });
  expect(stopped).toEqual(["cancelled", "number"]);

  // As on a device that takes long.
  await page.evaluate(() => {
    const { engine } = globalThis.mqt;
    engine.lookedAt = ({ signal }) =>
      new Promise((_, stop) =>
        signal.addEventListener("abort", () => stop({ code: "cancelled", message: "stopped" })),
      );
  });
  await looking(page).click();
  await reached(page, "mapping");
  await expect(page.getByRole("status")).toContainText("finding what the answer looked at");
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await reached(page, "ready");
  await expect(page.locator("#looked")).toBeHidden();
  await page.evaluate(() => {
    const { engine } = globalThis.mqt;
    const message = "the answer: there is none yet; ask about the pictures first";
    engine.lookedAt = () => Promise.reject({ code: "invalid-setting", message, facts: {} });
  });
  await looking(page).click();
  await expect(page.locator(".notice.trouble")).toContainText("there is none yet");
  await page.locator(".notice.trouble").getByRole("button", { name: "OK" }).click();
  await page.evaluate(() => delete globalThis.mqt.engine.lookedAt);
  await looking(page).click();
  await expect(page.locator("#looked")).toContainText("the model looked most at");
});

test("on a phone the map and its words are on the screen after the click", async ({ site }) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ reducedMotion: "reduce" });
  await load(page);
  await take(page, TRIANGLE);
  for (let i = 0; i < 3; i++) await ask(page, asked(TRIANGLE).question);
  await looking(page).last().click();
  await expect(page.locator("#looked")).toContainText("the model looked most at");
  for (const part of ["#seen", "#looked p >> nth=0", "#looked button"]) {
    const isOnTop = () =>
      page.locator(part).evaluate(element => {
        const { left, top, width, height } = element.getBoundingClientRect();
        // The frame's corners are round.
        const heights = [top + 2, top + height / 2, top + height - 2];
        const x = left + width / 2;
        return heights.every(y => element.contains(document.elementFromPoint(x, y)));
      });
    await expect.poll(isOnTop, part).toBe(true);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBe(390);
  await page.getByRole("button", { name: "Hide map" }).click();
  await expect(looking(page).last(), "back at the answer").toBeInViewport();
});
