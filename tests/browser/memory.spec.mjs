// However long one goes on, memory stays as it was.

import { ask, expect, load, sample, test, tokens } from "./site.mjs";

test("memory is flat after the third question: thirty by themselves, thirty in one conversation", async ({
  site,
}) => {
  const page = await site.open();
  await load(page);
  await sample(page, 1);
  await test.step("by themselves", async () => {
    const memory = () =>
      page.evaluate(async () => {
        const { engine, picture } = globalThis.mqt;
        await engine.look(picture.blob);
        const sizes = [];
        for (let i = 0; i < 30; i++) {
          await engine.startAnew();
          await engine.ask({
            question: "What is this?",
            tokens: [2, 16, 64][i % 3],
            maxNewTokens: 4,
          }).answer;
          sizes.push(await engine.memory());
        }
        return sizes;
      });
    const sizes = await memory();
    for (const kind of ["wasmBytes", "gpuBytes"]) {
      const bytes = sizes.map(size => size[kind]);
      expect(bytes[0]).toBeGreaterThan(1e6);
      expect(new Set(bytes.slice(3)).size, `${kind} after each question: ${bytes}`).toBe(1);
    }
  });

  await test.step("in one conversation, on the page", async () => {
    await page.evaluate(() => globalThis.mqt.startAnew());
    await tokens(page, 16);
    const sizes = [];
    for (let i = 0; i < 30; i++) {
      await expect(
        await ask(
          page,
          ["Where is the car?", "What colour is the apple?", "Is there a dog?"][i % 3],
        ),
      ).toHaveAttribute("data-finish-reason", "stop");
      sizes.push(await page.evaluate(() => globalThis.mqt.engine.memory()));
    }
    expect(await page.evaluate(() => globalThis.mqt.turns.length)).toBe(30);
    for (const kind of ["wasmBytes", "gpuBytes"]) {
      const bytes = sizes.map(size => size[kind]);
      expect(new Set(bytes.slice(3)).size, `${kind} after each question: ${bytes}`).toBe(1);
    }
    await tokens(page, 64);
  });
  expect(site.weights().map(w => w.start)).toEqual([0]);
});
