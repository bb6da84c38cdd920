// Stop gives control back within a second, whatever the page is doing, and the next question works.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  ask,
  expect,
  load,
  sample,
  shard,
  stopIn,
  test,
  tokens,
  toybox,
  weightBytes,
} from "./site.mjs";

// The worker's script is rewritten here: no copy of it may be kept.
test.use({ serviceWorkers: "block" });

const slow =
  what => `{ const { ${what.name} } = ${what.on}; ${what.on}.${what.name} = async function (...args) {
  await new Promise((go) => setTimeout(go, ${what.ms}));
  return ${what.name}.apply(this, args);
}; }`;

/** What makes a phase of loading last. */
const PHASES = {
  downloading: { stall: true },
  verifying: { prelude: slow({ on: "SubtleCrypto.prototype", name: "digest", ms: 400 }) },
  uploading: { prelude: slow({ on: "GPUDevice.prototype", name: "popErrorScope", ms: 30 }) },
  compiling: { prelude: slow({ on: "GPUQueue.prototype", name: "onSubmittedWorkDone", ms: 300 }) },
};

test("stop in every phase of loading, then a question", async ({ site }) => {
  const page = await site.open();
  await page.getByRole("button", { name: "Sample picture 1", exact: true }).click();
  for (const [phase, { prelude = " ", stall = false }] of Object.entries(PHASES)) {
    site.prelude = prelude;
    site.intercept = (name, _, response, start) => {
      if (!stall || name !== shard) return false;
      response.writeHead(200, { "content-length": weightBytes });
      response.write(readFileSync(join(toybox, shard)).subarray(start, start + 1_000_000));
      return true;
    };
    const stopped = stopIn(page, phase, ["first-visit"]);
    await page.locator(".notice .start").click();
    const ms = await stopped;
    console.log(`${phase}: ${ms.toFixed(0)} ms`);
    expect(ms, phase).toBeLessThan(1000);
    await expect(page.getByRole("button", { name: "Stop" })).toBeHidden();
  }
  site.prelude = " ";
  site.intercept = () => false;
  await tokens(page, 64);
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
});

test("stop while it looks, reads and writes, then a question", async ({ site }) => {
  const page = await site.open("?tokens=64");
  await load(page);
  for (let round = 0; round < 3; round++) {
    const encoding = stopIn(page, "encoding", ["stopped"]);
    await page.getByRole("button", { name: `Sample picture ${2 + round}`, exact: true }).click();
    const looked = await encoding;
    await sample(page, 1);
    const answering = stopIn(page, "answering", ["stopped"]);
    // So long that reading it takes a while.
    await page.getByRole("textbox", { name: "Question" }).fill("What is there? ".repeat(60));
    await page.getByRole("button", { name: "Ask", exact: true }).click();
    const answered = await answering;
    console.log(`encoding ${looked.toFixed(0)} ms, answering ${answered.toFixed(0)} ms`);
    expect(looked).toBeLessThan(1000);
    expect(answered).toBeLessThan(1000);
    await page.getByRole("button", { name: "New conversation" }).click();
    await expect(page.locator("article")).toHaveCount(0);
    await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
  }
});
