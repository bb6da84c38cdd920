// Every way in which things go wrong: its state, what was kept, what to press, and that it works
// afterwards.

import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  ask,
  axe,
  convert,
  expect,
  load,
  onGpu,
  passes,
  reached,
  sample,
  shard,
  shardBytes,
  start,
  stopIn,
  test,
  tokens,
  toybox,
  weightBytes,
} from "./site.mjs";

// The worker's script is rewritten here and there: no copy of it may be kept.
test.use({ serviceWorkers: "block" });

const shardFile = () => readFileSync(join(toybox, shard));

test("a network that dies at 40 % and a reload at 70 %: hardly a byte is fetched twice", async ({
  site,
}, info) => {
  const folder = convert(info.outputDir);
  site.add("pack", folder);
  const sizes = shardBytes(folder);
  const all = sizes.reduce((a, b) => a + b, 0);
  expect(sizes.length).toBeGreaterThan(3);
  let [given, limit] = [0, 0.4 * all];
  site.intercept = (name, _, response, start) => {
    if (!name.endsWith(".safetensors")) return false;
    const whole = readFileSync(join(folder, name));
    const piece = whole.subarray(
      start,
      start + Math.max(0, Math.min(whole.length - start, limit - given)),
    );
    const headers = { "content-length": whole.length - start, "accept-ranges": "bytes" };
    if (start > 0) headers["content-range"] = `bytes ${start}-${whole.length - 1}/${whole.length}`;
    // With nothing left to give, not even the connection is taken.
    if (piece.length === 0) return (response.destroy(), true);
    given += piece.length;
    response.writeHead(start > 0 ? 206 : 200, headers);
    response.write(piece);
    if (start + piece.length === whole.length) response.end();
    else if (limit < 0.5 * all) setTimeout(() => response.destroy(), 300);
    return true;
  };
  const page = await site.open("?model=pack/manifest.json");
  await start(page);
  // The network is gone for good: the page waits for it, and asks again by itself.
  await reached(page, "offline");
  limit = 0.7 * all;
  await expect.poll(() => given / all).toBeGreaterThan(0.69);
  await page.waitForTimeout(500);
  await page.reload();
  limit = Infinity;
  await load(page);
  await page.waitForTimeout(200);
  // Counted where it was sent, headers, manifest and tokenizer included.
  const sent = site.fetched.reduce((sum, { sent }) => sum + sent, 0);
  const files = ["manifest.json", "tokenizer.json", "tokenizer_config.json"].reduce(
    (sum, name) => sum + statSync(join(folder, name)).size,
    0,
  );
  console.log(`${sent} bytes sent for ${all + files}; the largest shard has ${Math.max(...sizes)}`);
  expect(sent).toBeGreaterThan(all + files);
  expect(sent).toBeLessThan(all + files + Math.max(...sizes));
  // Its size asked for, taken, asked for again, looked at for a new version.
  expect(site.fetched.filter(({ name }) => name === "manifest.json")).toHaveLength(4);
});

test("pause, no network, cancel: what arrived is kept", async ({ site }) => {
  let stall = true;
  site.intercept = (name, _, response, start) => {
    if (name !== shard || !stall) return false;
    response.writeHead(200, { "content-length": weightBytes });
    response.write(shardFile().subarray(start, start + 2_000_000));
    return true;
  };
  const page = await site.open();
  await page.locator(".notice .start").click();
  await expect(page.locator(".notice.progress .line")).toContainText(/2\.[01] MB of/);
  await page.getByRole("button", { name: "Pause" }).click();
  await reached(page, "paused");
  await expect(page.locator(".notice")).toContainText("kept");
  site.intercept = (name, _, response) => name === shard && (response.destroy(), true);
  await page.getByRole("button", { name: "Continue" }).click();
  await reached(page, "offline");
  await expect(page.locator(".notice")).toContainText(/2\.[01] MB/);
  expect(await axe(page)).toEqual([]);
  await expect(
    page.locator(".notice button").first(),
    "the focus goes on with the card",
  ).toBeFocused();
  await page.getByRole("button", { name: /Cancel/ }).click();
  await reached(page, "first-visit");
  stall = false;
  site.intercept = () => false;
  await load(page);
  expect(site.weights().at(-1).start).toBeGreaterThan(1_900_000);
});

test("a byte that changed in storage: that shard alone is fetched again", async ({ site }) => {
  const page = await site.open();
  await load(page);
  const { sha256 } = JSON.parse(readFileSync(join(toybox, "manifest.json"))).shards[0];
  await page.evaluate(async name => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("mqt-models");
    const writable = await (await folder.getFileHandle(name)).createWritable({
      keepExistingData: true,
    });
    const file = await (await folder.getFileHandle(name)).getFile();
    const [byte] = new Uint8Array(await file.slice(3_000_000, 3_000_001).arrayBuffer());
    await writable.write({ type: "write", position: 3_000_000, data: new Uint8Array([byte ^ 1]) });
    await writable.close();
  }, sha256);
  await page.reload();
  await reached(page, "first-visit");
  await expect(page.locator(".notice .start")).toContainText("on this device");
  const before = site.fetched.length;
  const seen = passes(page, "bad-shard");
  await page.locator(".notice .start").click();
  await seen;
  await reached(page, "ready");
  const again = site.fetched.slice(before).map(({ name }) => name);
  expect(again.filter(name => name !== "manifest.json")).toEqual([shard]);
});

test("a server that sends a damaged shard: it is never used", async ({ site }) => {
  site.intercept = (name, _, response) => {
    if (name !== shard) return false;
    const bytes = shardFile();
    bytes[4_000_000] ^= 1;
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    return true;
  };
  const page = await site.open();
  await page.locator(".notice .start").click();
  await reached(page, "bad-shard");
  await expect(page.locator(".notice")).toContainText(shard);
  expect(await axe(page)).toEqual([]);
  site.intercept = () => false;
  await page.getByRole("button", { name: new RegExp(`Fetch ${shard}`) }).click();
  await reached(page, "ready");
});

test("no room: in memory, this time", async ({ site }) => {
  site.prelude = "navigator.storage.estimate = async () => ({ quota: 1e6, usage: 5e5 });";
  const page = await site.open();
  await page.locator(".notice .start").click();
  await reached(page, "storage-full");
  await expect(page.locator(".notice")).toContainText(/It needs \d\.\d MB more; 500 kB are left/);
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: "Keep in memory this time" }).click();
  await reached(page, "ready");
  await sample(page, 1);
  await expect((await ask(page, "Where is the car?")).locator(".text")).toHaveText(/middle/);
});

test("no storage at all", async ({ site }) => {
  site.prelude =
    "navigator.storage.getDirectory = async () => { throw new DOMException('not here', 'SecurityError'); };";
  const page = await site.open();
  await page.locator(".notice .start").click();
  await reached(page, "storage-full");
  await page.getByRole("button", { name: "Keep in memory this time" }).click();
  await reached(page, "ready");
});

test("no WebGPU: the reason, and the processor answers alike; Stop works there too", async ({
  site,
  context,
}) => {
  await context.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }),
  );
  const page = await site.open();
  // Said at once, before a button is pressed.
  await reached(page, "no-webgpu");
  await expect(page.locator(".notice")).toContainText("This browser has no WebGPU");
  await expect(page.locator(".notice"), "the one step for this browser").toContainText(
    "chrome://flags/#enable-unsafe-webgpu",
  );
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: "Use the CPU instead" }).click();
  await reached(page, "ready");
  await expect(page.getByRole("status")).toContainText("CPU");
  const stopped = stopIn(page, "encoding", ["stopped", "ready"]);
  await page.getByRole("button", { name: "Sample picture 2", exact: true }).click();
  expect(await stopped).toBeLessThan(1000);
  await sample(page, 1);
  await tokens(page, 64);
  // So long that reading it takes a while.
  await page
    .getByRole("textbox", { name: "Question" })
    .fill("How many things are there? ".repeat(60));
  const cut = stopIn(page, "answering", ["stopped"]);
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  expect(await cut).toBeLessThan(1000);
  await page.getByRole("button", { name: "New conversation" }).click();
  await expect(page.locator("article")).toHaveCount(0);
  await tokens(page, 16);
  const article = await ask(page, "Where is the car?");
  // The stopped question told nobody of the tower's run.
  await expect(article).toHaveAttribute("data-vision-runs", "1");
  await expect(article.locator(".text")).toHaveText(/middle/);
});

test("a weak adapter is told about, and tried on demand", async ({ site, context }) => {
  await context.addInitScript(() => {
    if (!("GPUSupportedLimits" in globalThis)) return;
    const { get } = Object.getOwnPropertyDescriptor(GPUSupportedLimits.prototype, "maxBufferSize");
    Object.defineProperty(GPUSupportedLimits.prototype, "maxBufferSize", {
      get() {
        return Math.min(get.call(this), 1000);
      },
    });
  });
  const page = await site.open();
  await reached(page, "weak-adapter");
  await expect(page.locator(".notice")).toContainText("maxBufferSize is 1000");
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: "Try it anyway" }).click();
  await reached(page, "ready");
});

test("the conversation's cache finds no memory: a shorter context is offered, and fits", async ({
  site,
}) => {
  site.prelude = `{
    let failed = false;
    const { createBuffer, popErrorScope } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (d) { failed ||= d.label === "keys" && d.size > 400_000; return createBuffer.call(this, d); };
    GPUDevice.prototype.popErrorScope = async function () {
      const error = await popErrorScope.call(this);
      const ours = failed;
      failed = false;
      return ours ? new GPUOutOfMemoryError("no room") : error;
    };
  }`;
  const page = await site.open();
  await page.locator(".notice .start").click();
  await reached(page, "out-of-memory");
  await expect(page.locator(".notice")).toContainText("memory freed");
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: /Shorter context/ }).click();
  await reached(page, "ready");
  expect(await page.evaluate(() => globalThis.mqt.engine.model.context)).toBe(1024);
});

const catchDevice = `{
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (d) { return (self.theDevice = await requestDevice.call(this, d)); };
}`;

test("the device goes away three times: rebuilt twice, then it is left to the person", async ({
  site,
}) => {
  site.prelude = catchDevice;
  const page = await site.open();
  await load(page);
  await sample(page, 1);
  await tokens(page, 16);
  await ask(page, "Where is the car?");
  const destroy = () =>
    page
      .workers()
      .at(-1)
      .evaluate(() => self.theDevice.destroy());
  for (const time of [1, 2, 3]) {
    const question = page.getByRole("textbox", { name: "Question" });
    // So long that it is still being read when the device goes.
    await question.fill("How many things are there? ".repeat(60));
    const lost = passes(page, "device-lost");
    const answering = passes(page, "answering");
    await page.getByRole("button", { name: "Ask", exact: true }).click();
    await answering;
    await question.fill("a draft");
    await destroy();
    await lost;
    await expect(page.locator("article").last()).toHaveAttribute(
      "data-finish-reason",
      "device-lost",
    );
    if (time < 3) {
      await reached(page, "ready");
      expect(await question.inputValue()).toBe("a draft");
      const kept = await page.evaluate(() => globalThis.mqt.turns.length);
      expect(kept).toBe(1);
    }
  }
  await expect(page.locator(".notice")).toContainText("keeps going away");
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: "Rebuild once more" }).click();
  await reached(page, "ready");
  const answer = await ask(page, "How many things are there?");
  await expect(answer.locator(".text")).toHaveText("3");
});

test("a full conversation", async ({ site }) => {
  const page = await site.open();
  await load(page);
  await page.evaluate(() => globalThis.mqt.switchTo({ context: 80 }));
  await reached(page, "ready");
  await sample(page, 1);
  await tokens(page, 16);
  for (
    let i = 0;
    i < 5 && (await page.evaluate(() => document.body.dataset.state)) === "ready";
    i++
  )
    await ask(page, "How many things are there?");
  await reached(page, "context-full");
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: "New conversation about this picture" }).click();
  await reached(page, "ready");
  await expect(await ask(page, "Where is the car?")).toHaveAttribute("data-finish-reason", "stop");
});

test("two tabs, one model", async ({ site }) => {
  const first = await site.open();
  await load(first);
  const second = await site.open();
  await second.locator(".notice .start").click();
  await reached(second, "second-tab");
  expect(await axe(second)).toEqual([]);
  await second.getByRole("button", { name: "Use it here instead" }).click();
  await reached(second, "ready");
  await reached(first, "second-tab");
  await expect(first.locator(".notice")).toContainText("freed its memory");
  await first.getByRole("button", { name: "Bring it back here" }).click();
  await reached(first, "ready");
});

test("a new version of the model is offered, never taken by itself", async ({ site }) => {
  const page = await site.open();
  await load(page);
  site.intercept = (name, _, response) => {
    if (name !== "manifest.json") return false;
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(`${readFileSync(join(toybox, name), "utf8")}\n`);
    return true;
  };
  await page.reload();
  await page.locator(".notice .start").click();
  await reached(page, "update-available");
  expect(await axe(page)).toEqual([]);
  await page.getByRole("button", { name: /Update/ }).click();
  await reached(page, "ready");
  expect(site.weights(), "the weights are the same").toHaveLength(1);
});

const otherHash = text => text.replace(JSON.parse(text).shards[0].sha256, "0".repeat(64));
const manifest = () => readFileSync(join(toybox, "manifest.json"), "utf8");
const sendsManifest = text => (name, _, response) =>
  name === "manifest.json" &&
  (response.writeHead(200, { "content-type": "application/json" }).end(text), true);

test("an update that breaks off leaves the version that was there", async ({ site }) => {
  const page = await site.open();
  await load(page);
  site.intercept = sendsManifest(otherHash(manifest()));
  await page.reload();
  await page.locator(".notice .start").click();
  await reached(page, "update-available");
  await page.getByRole("button", { name: /Update/ }).click();
  // What the server has is not what its new manifest says.
  await reached(page, "bad-shard");
  await page.reload();
  await expect(page.locator(".notice .start")).toContainText("on this device");
  await page.locator(".notice .start").click();
  await reached(page, "ready", "update-available");
  expect(site.weights(), "once at first, once for the update").toHaveLength(2);
});

test("a stored manifest whose files the server has no more: fetching again takes the new one", async ({
  site,
}) => {
  site.intercept = sendsManifest(otherHash(manifest()));
  const page = await site.open();
  await page.locator(".notice .start").click();
  await reached(page, "bad-shard");
  site.intercept = () => false;
  await page.getByRole("button", { name: new RegExp(`Fetch ${shard}`) }).click();
  await reached(page, "ready");
});

test("no adapter, an adapter of few words, a refusal", async ({ site, context }) => {
  for (const [answer, words] of [
    ["async () => null", "found no graphics device"],
    [
      "async () => { throw new Error('blocked by policy'); }",
      "refused its WebGPU: blocked by policy",
    ],
  ]) {
    const page = await context.newPage();
    await page.addInitScript(`if (navigator.gpu) navigator.gpu.requestAdapter = ${answer}`);
    await page.goto(site.url + onGpu());
    await reached(page, "no-webgpu");
    await expect(page.locator(".notice")).toContainText(words);
    await page.close();
  }
  // Browsers of 2023 do not say what the adapter is called.
  const page = await context.newPage();
  await page.addInitScript(
    "Object.defineProperty(GPUAdapter.prototype, 'info', { get: () => undefined })",
  );
  await page.goto(site.url + onGpu());
  await load(page);
});

test("files from disk, a model by its address, an address that leads nowhere", async ({ site }) => {
  const page = await site.open();
  await page.getByRole("button", { name: "Another model…" }).click();
  const files = readdirSync(toybox).filter(name => /\.(json|safetensors)$/.test(name));
  const choose = change =>
    page.locator("#model-files").setInputFiles(
      files.map(name => ({
        name,
        mimeType: "application/octet-stream",
        buffer: change(name, readFileSync(join(toybox, name))),
      })),
    );
  // Nobody has hashed these before: the engine does.
  await choose((name, bytes) => (name === shard && (bytes[5_000_000] ^= 1), bytes));
  await reached(page, "bad-shard");
  await expect(page.locator(".notice")).toContainText(
    `${shard} is not usable: its content does not match its SHA-256`,
  );
  await page.getByRole("button", { name: "Another model…" }).click();
  await choose((_, bytes) => bytes);
  await reached(page, "ready");
  expect(site.fetched).toEqual([]);

  const other = await site.open("?model=other/manifest.json&tokens=4&seed=7");
  await expect(other.locator(".notice")).toContainText("other/manifest.json");
  await load(other);
  await expect(other.locator("#seed")).toHaveValue("7");
  await expect(other.getByRole("slider", { name: "Image tokens" })).toHaveValue("4");
  await other.close();

  const lost = await site.open("?model=nowhere/manifest.json&adapter=cpu");
  await lost.locator(".notice .start").click();
  await reached(lost, "offline");
  await expect(lost.locator(".notice")).toContainText("404");
});
