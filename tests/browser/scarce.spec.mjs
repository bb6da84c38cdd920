// Every kind of large buffer and texture of a load and of an answer finds no memory, once each: the
// page says so, frees what it had, answers nothing wrong, and the next try starts from the
// beginning.

import { ask, expect, load, reached, sample, test, tokens, forgetful } from "./site.mjs";

// The worker's script is rewritten here: no copy of it may be kept.
test.use({ serviceWorkers: "block" });

/** What counts as large for a model of 6 MB; those below are uniforms, biases and norms. */
const LARGE = 65_536;

/**
 * Lists the large buffers in `self.made`, and lets the one with index `fail` have no memory behind
 * it: the scope around its creation, or the device, reports it as a browser does, and the buffer is
 * good for nothing.
 */
const scarce = fail => `{
  const scopes = [];
  self.made = [];
  const { createBuffer, createTexture, pushErrorScope, popErrorScope } = GPUDevice.prototype;
  const none = () => new GPUOutOfMemoryError("no room");
  GPUDevice.prototype.pushErrorScope = function (filter) {
    scopes.push({ filter, failed: false });
    return pushErrorScope.call(this, filter);
  };
  GPUDevice.prototype.popErrorScope = async function () {
    const { failed } = scopes.pop();
    const error = await popErrorScope.call(this);
    return failed ? none() : error;
  };
  const given = (device, what, label, bytes) => {
    if (bytes < ${LARGE} || self.made.push(label + " " + bytes) - 1 !== ${fail}) return what;
    what.destroy();
    const scope = scopes.findLast(({ filter }) => filter === "out-of-memory");
    if (scope) scope.failed = true;
    else device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error: none() }));
    return what;
  };
  GPUDevice.prototype.createBuffer = function (wanted) {
    return given(this, createBuffer.call(this, wanted), wanted.label, wanted.size);
  };
  GPUDevice.prototype.createTexture = function (wanted) {
    const texture = createTexture.call(this, wanted);
    // Of four 32-bit words each.
    return given(this, texture, wanted.label, texture.width * texture.height * 16);
  };
}`;

test("every kind of large buffer without memory, one after the other", async ({ site }) => {
  site.prelude = scarce(-1);
  const page = await site.open();
  await forgetful(page);
  await load(page);
  await sample(page, 1);
  await tokens(page, 64);
  const question = "How many things are there?";
  await expect((await ask(page, question)).locator(".text")).toHaveText("3");
  const made = await page
    .workers()
    .at(-1)
    .evaluate(() => self.made);
  expect(made.length).toBeGreaterThan(60);
  // Layers and shards differ in their numbers only: the first and the last of each kind stand for
  // the others.
  const kinds = made.map(label => label.replace(/\d+/g, "#"));
  const chosen = [...made.keys()].filter(
    i => kinds.indexOf(kinds[i]) === i || kinds.lastIndexOf(kinds[i]) === i,
  );
  const started = Date.now();
  for (const fail of chosen) {
    site.prelude = scarce(fail);
    const before = await page.locator("article").count();
    await page.evaluate(() => globalThis.mqt.switchTo({}));
    if ((await page.evaluate(() => document.body.dataset.state)) === "ready") {
      const answer = await ask(page, question);
      await expect(answer, made[fail]).toHaveAttribute("data-finish-reason", "out-of-memory");
    } else expect(await page.locator("article").count()).toBe(before);
    await reached(page, "out-of-memory");
    await expect(page.locator(".notice"), made[fail]).toContainText("memory freed");
    expect(await page.evaluate(() => globalThis.mqt.engine), made[fail]).toBeUndefined();
  }
  console.log(
    `${chosen.length} of ${made.length} buffers tried: ${((Date.now() - started) / 1000).toFixed(0)} s`,
  );

  site.prelude = " ";
  await page.getByRole("button", { name: "Try again" }).click();
  await reached(page, "ready");
  await expect((await ask(page, question)).locator(".text")).toHaveText("3");
});
