// A model that gives only some numbers of image tokens, as an M3 does, and models that cannot
// be used at all.

import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  ask,
  expect,
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

const slider = page => page.getByRole("slider", { name: "Image tokens" });
const note = page => page.locator("#tokens-note");

/** Types a number of image tokens. */
async function type(page, text) {
  await page.locator("#tokens-exact").fill(text);
  await page.locator("#tokens-exact").press("Enter");
}

test("a model that gives 1, 9 or 36 image tokens is asked for no others", async ({
  site,
}, info) => {
  site.add("pack", pooled(info.outputDir));
  const page = await site.open("?model=pack/manifest.json&adapter=cpu&tokens=16");
  await start(page);
  await reached(page, "ready");

  await test.step("a link's number that it does not give is said, and the nearest taken", async () => {
    await expect(note(page)).toHaveText(
      "The link asks for 16 image tokens; this model gives 1, 9 or 36. 9 are used.",
    );
    await expect(slider(page)).toHaveValue("9");
    await page.goto(`${page.url().split("#")[0]}#m=20`);
    await expect(note(page)).toHaveText(
      "The link asks for 20 image tokens; this model gives 1, 9 or 36. 36 are used.",
    );
    await page.goto(`${page.url().split("#")[0]}#m=9`);
    await expect(slider(page)).toHaveValue("9");
    await expect(note(page)).toHaveText("");
  });

  await test.step("the offer is the model's own", async () => {
    expect(await page.evaluate(() => globalThis.mqt.engine.model.offer)).toEqual({
      max: 36,
      exactly: [1, 9, 36],
      ladder: [1, 9, 36],
      levels: [{ imageTokens: 36, tiles: 1 }],
    });
  });

  await test.step("slider, keys and field know the three", async () => {
    expect(await page.locator(".tick b").allTextContents()).toEqual(["1", "9", "36"]);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("]");
    await expect(slider(page)).toHaveValue("36");
    for (const m of ["9", "1", "1"]) {
      await page.keyboard.press("[");
      await expect(slider(page)).toHaveValue(m);
    }
    await expect(page.locator("#estimate")).toContainText("1 image token");
    await expect(page.locator("#estimate")).not.toContainText("1 image tokens");
    await slider(page).fill("20");
    await expect(slider(page)).toHaveValue("36");
    await type(page, "9");
    await expect(slider(page)).toHaveValue("9");
    for (const wrong of ["37", "2", "0"]) {
      await type(page, wrong);
      await expect(note(page)).toHaveText(`Give 1, 9 or 36, not ${wrong}. It stays at 9.`);
      await expect(slider(page)).toHaveValue("9");
    }
  });

  await test.step("an answer, then Compare with all there are", async () => {
    await sample(page, 1);
    expect(
      await page.evaluate(() => globalThis.mqt.picture.view.offer),
      "for this picture as for any",
    ).toEqual(await page.evaluate(() => globalThis.mqt.engine.model.offer));
    await page
      .locator("#most")
      .evaluate(field => ((field.value = "3"), field.dispatchEvent(new Event("change"))));
    await tokens(page, 1);
    const answer = await ask(page, "What is this?");
    await expect(answer).toHaveAttribute("data-finish-reason", /stop|length/);
    await expect(answer).toHaveAttribute("data-image-tokens", "1");
    await page.getByRole("textbox", { name: "Question" }).fill("Where is it?");
    await page.getByRole("button", { name: "Compare token counts" }).click();
    const columns = page.locator(".comparison").last().locator("article");
    await expect(columns.last()).toHaveAttribute("data-finish-reason", /stop|length/, {
      timeout: 60_000,
    });
    expect(await columns.evaluateAll(all => all.map(a => a.dataset.imageTokens))).toEqual([
      "1",
      "9",
      "36",
    ]);
    await reached(page, "ready");
    const box = page.locator(".comparison").last();
    const field = box.getByRole("textbox", { name: /Image tokens to compare: 2 to 6 of 1, 9, 36/ });
    await field.fill("9, 16");
    await box.getByRole("button", { name: "Compare again" }).click();
    expect(await field.evaluate(input => input.validationMessage)).toBe("Give 2 to 6 of 1, 9, 36.");
  });

  await test.step("where tokens read from: an average reads its square", async () => {
    await page.getByRole("button", { name: "Where tokens look" }).click();
    await tokens(page, 9);
    await expect(page.locator("#reads")).toHaveText(
      "All 9 tokens together read all parts about evenly.",
    );
    expect(await page.locator("#strip i").count()).toBe(9);
    await page.getByRole("slider", { name: "Show token (0 = all)" }).fill("9");
    await expect(page.locator("#reads")).toHaveText(
      "Token 9 reads mainly the bottom right (100 %).",
    );
  });

  await test.step("the benchmark measures those three", async () => {
    const report = await page.evaluate(() =>
      globalThis.mqt.engine.bench({ prefill: [], contexts: [], patience: 0.01, vision: false }),
    );
    expect(report.firstToken.map(({ imageTokens }) => imageTokens)).toEqual([1, 9, 36]);
    const refused = await page.evaluate(() =>
      globalThis.mqt.engine
        .bench({ tokens: [10] })
        .catch(({ code, message }) => ({ code, message })),
    );
    expect(refused).toEqual({
      code: "budget-not-offered",
      message: "10 image tokens asked for, but this model gives 1, 9 or 36",
    });
  });

  await test.step("a number that is not given is an error of the question alone", async () => {
    const engine = await page.evaluate(async () => {
      const { code, facts } = await globalThis.mqt.engine
        .ask({ question: "What?", tokens: 10 })
        .answer.catch(error => error);
      const { answer } = await globalThis.mqt.engine.ask({
        question: "What?",
        tokens: 9,
        maxNewTokens: 2,
      }).answer;
      return { code, facts, answer: typeof answer };
    });
    expect(engine).toEqual({
      code: "budget-not-offered",
      facts: { asked: 10, offered: [1, 9, 36] },
      answer: "string",
    });
  });
});

test("a number of image tokens that the model does not give is refused where it is typed", async ({
  site,
}) => {
  const page = await site.open("?adapter=cpu&tokens=1");
  await expect(page.locator("#estimate")).toHaveText("1 of 64 image tokens.");
  for (const wrong of ["0", "65", "257", "-3", "1.5"]) {
    await type(page, wrong);
    await expect(note(page)).toHaveText(
      `Give a whole number from 1 to 64, not ${wrong}. It stays at 1.`,
    );
    await expect(page.locator("#tokens-exact")).toHaveAttribute("aria-invalid", "true");
    await expect(page.locator("#tokens-exact")).toHaveValue(wrong);
    await expect(slider(page)).toHaveValue("1");
  }
  await page.locator("#tokens-exact").selectText();
  await page.keyboard.type("abc");
  await page.keyboard.press("Enter");
  await expect(note(page)).toHaveText("Give a whole number from 1 to 64. It stays at 1.");
  await type(page, "7");
  await expect(note(page)).toHaveText("");
  await expect(slider(page)).toHaveValue("7");
  await page.getByRole("checkbox", { name: "Auto" }).check();
  await type(page, "65");
  await expect(note(page)).toHaveText(
    "Give a whole number from 1 to 64, not 65. It stays at Auto.",
  );

  for (const [link, words] of [
    [
      "?tokens=257",
      "The link asks for 257 image tokens; this model gives a whole number from 1 to 64. 64 are used.",
    ],
    [
      "?tokens=0",
      "The link asks for “0” image tokens: that is not a number of them. It stays at Auto.",
    ],
    [
      "#m=1.5",
      "The link asks for “1.5” image tokens: that is not a number of them. It stays at Auto.",
    ],
    [
      "?tokens=%3Cb%3E",
      "The link asks for “<b>” image tokens: that is not a number of them. It stays at Auto.",
    ],
  ]) {
    const linked = await site.open(link);
    await expect(note(linked)).toHaveText(words);
    await linked.close();
  }
});

/** The bundled model's checkpoint, with two tensors of another shape. */
function badTensors(folder) {
  cpSync(join(toybox, "checkpoint"), folder, { recursive: true });
  const file = join(folder, "model.safetensors");
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const names = Object.keys(header)
    .filter(name => /layers\.\d+\.mlp\.up_proj\.weight$/.test(name))
    .slice(0, 2);
  for (const name of names)
    header[name].shape = [header[name].shape[0] / 2, header[name].shape[1] * 2];
  const text = JSON.stringify(header);
  if (names.length !== 2 || text.length > length)
    throw new Error("the checkpoint is another one now");
  bytes.write(text.padEnd(length), 8);
  writeFileSync(file, bytes);
  return folder;
}

test("a folder with two bad tensors: said once, and the model that was there goes on", async ({
  site,
}, info) => {
  const folder = badTensors(info.outputPath("bad"));
  const page = await site.open("?adapter=cpu&tokens=16");
  await start(page);
  await reached(page, "ready");
  await sample(page, 1);
  await ask(page, "Where is the car?");
  await page.evaluate(() => {
    globalThis.cards = [];
    new MutationObserver(() => {
      const title = document.querySelector(".notice.trouble h2")?.textContent;
      if (title && globalThis.cards.at(-1) !== title) globalThis.cards.push(title);
    }).observe(document.querySelector("#notices"), { childList: true });
  });
  await page.getByRole("button", { name: "Model", exact: true }).click();
  await page.locator("#model-folder").setInputFiles(folder);
  const card = page.locator(".notice.trouble");
  await expect(card).toContainText("does not fit its configuration in 2 places");
  await expect(card).toContainText("The model before stays in use");
  await expect(page.getByRole("status")).toContainText("toybox");
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.cards)).toEqual(["That model's tensors do not fit"]);
  // Its picture and its conversation are as they were.
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(1);
  const answer = await ask(page, "How many things are there?");
  await expect(answer).toHaveAttribute("data-vision-runs", "0");
  await expect(answer).toHaveAttribute("data-finish-reason", "stop");
  expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(2);

  // With nothing loaded there is nothing to go on with.
  const empty = await site.open("?adapter=cpu");
  await empty.getByRole("button", { name: "Model", exact: true }).click();
  await empty.locator("#model-folder").setInputFiles(folder);
  await reached(empty, "bad-model");
  await expect(empty.locator(".notice h2")).toHaveText("The model's tensors do not fit");
});

test("a fault of the engine's own is called that, once", async ({ site }) => {
  // What a panic looks like from outside.
  site.prelude = `GPUDevice.prototype.createShaderModule = () => {
    self.mqtPanic = "panicked at src/somewhere.rs:1:2:\\nnothing is as it should be";
    throw new WebAssembly.RuntimeError("unreachable");
  };`;
  const page = await site.open();
  await page.locator(".notice .start").click();
  await reached(page, "internal-error");
  await expect(page.locator(".notice h2")).toHaveText("An internal error");
  await expect(page.locator(".notice")).toContainText("nothing is as it should be");
  await expect(page.locator(".notice")).not.toContainText("graphics device");
  await page.waitForTimeout(500);
  expect(
    await page.evaluate(() => document.body.dataset.state),
    "nothing is tried again by itself",
  ).toBe("internal-error");
  await expect(page.getByRole("button", { name: "Copy report" })).toBeVisible();
  expect(site.complaints.splice(0)).toEqual(["RuntimeError: unreachable"]);
  site.prelude = " ";
  await page.getByRole("button", { name: "Start the engine again" }).click();
  await reached(page, "ready");
});

test("an error that is not the device's leaves the model as it is", async ({ site }) => {
  const [, list] = readFileSync(join(root, "web/ts/generated.ts"), "utf8").split("ERROR_CODES = [");
  const codes = list.split("] as const")[0].match(/(?<=^ {2}")[a-z-]+(?=",$)/gm);
  const fatal = ["device-lost", "out-of-memory", "internal"];
  const harmless = codes.filter(code => !fatal.includes(code));
  expect(harmless.length).toBe(codes.length - fatal.length);
  const page = await site.open("?adapter=cpu&tokens=1");
  await start(page);
  await reached(page, "ready");
  await sample(page, 1);
  const left = await page.evaluate(codes => {
    const { mqt } = globalThis;
    const { engine } = mqt;
    return codes.filter(code => {
      mqt.failed({ code, message: "something happened", facts: {} });
      return mqt.engine === engine;
    });
  }, harmless);
  expect(left).toEqual(harmless);
  const answer = await ask(page, "Where is the car?");
  await expect(answer).toHaveAttribute("data-finish-reason", "stop");
  await expect(answer).toHaveAttribute("data-vision-runs", "1");
});

test("an answer is the program's record, its names in camelCase", async ({ site }, info) => {
  const page = await site.open("?adapter=cpu&tokens=16");
  await start(page);
  await reached(page, "ready");
  await sample(page, 1);
  await ask(page, "Where is the car?");
  const [answer, document] = await page.evaluate(() => {
    const { answer } = globalThis.mqt.records.at(-1);
    return [answer, globalThis.mqt.programRecord(answer)];
  });
  const picture = info.outputPath("picture.png");
  writeFileSync(picture, readFileSync(join(toybox, "samples/toybox-1.png")));
  const args = ["ask", "--adapter", "cpu", "--json", "-m", "16", picture, "Where is the car?"];
  const record = JSON.parse(
    execFileSync(process.env.MQT_BIN, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  // The page gives its pictures no name.
  const { image, ...rest } = record;
  expect(image).toBe(picture);
  expect(Object.keys(document)).toEqual(Object.keys(rest));
  for (const part of ["timings_ms", "adapter", "model"])
    expect(Object.keys(document[part])).toEqual(Object.keys(rest[part]));
  expect(Object.keys(answer).filter(name => /_/.test(name))).toEqual([]);
  for (const same of ["schema", "question", "answer", "image_tokens", "finish_reason", "model"])
    expect(document[same], same).toEqual(record[same]);
  expect(answer.timingsMs.load).toBeGreaterThan(0);
});
