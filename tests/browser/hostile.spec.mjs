// What a link, a server, a model or a file says is text, of bounded size, and nothing else.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HEADERS, serve } from "../../www/serve.mjs";
import { ask, expect, reached, root, start, test, toybox, panel } from "./site.mjs";

// The second server's certificate is the tests' own.
test.use({ ignoreHTTPSErrors: true, serviceWorkers: "block" });

const MEGABYTE = 1 << 20;

/** Sends bytes for as long as somebody takes them; `sent()` says how many. */
function endless(response, type) {
  let [sent, open] = [0, true];
  response.on("close", () => (open = false));
  response.writeHead(200, { ...HEADERS, "content-type": type });
  const piece = Buffer.alloc(MEGABYTE, " ");
  const more = () => {
    if (!open) return;
    sent += piece.length;
    if (response.write(piece)) setImmediate(more);
    else response.once("drain", more);
  };
  more();
  return { sent: () => sent, isOpen: () => open };
}

const report = page => page.evaluate(() => globalThis.mqt.report());

test("a model's address that is none is said, and the page works", async ({ site }) => {
  for (const [model, words] of [
    ["http://[", "“http://[” is not an address"],
    ["javascript:alert(1)", "“javascript:” is not a kind of address to fetch from"],
    ["data:application/json,{}", "“data:” is not a kind of address to fetch from"],
    [
      "https://someone:s3cret@example.invalid/manifest.json",
      "an address with a name or a password in it is not fetched",
    ],
  ]) {
    const page = await site.open(`?model=${encodeURIComponent(model)}&adapter=cpu`);
    const card = page.locator(".notice");
    await expect(card.locator("h2"), model).toHaveText("The link's model address is wrong");
    await expect(card, model).toContainText(words, { ignoreCase: true });
    expect(`${await page.locator("body").innerText()} ${await report(page)}`).not.toContain(
      "s3cret",
    );
    await card.getByRole("button", { name: "Use the bundled model" }).click();
    await expect(card.locator(".start")).toContainText("Load the model (7.6 MB)");
    await page.close();
  }
  const page = await site.open("?adapter=cpu");
  await page.getByRole("button", { name: "Model", exact: true }).click();
  const field = page.locator("#model-address");
  for (const typed of [
    "javascript:alert(1)",
    "https://someone:s3cret@example.invalid/manifest.json",
  ]) {
    await field.fill(typed);
    await page.keyboard.press("Enter");
    expect(await field.evaluate(input => input.validationMessage), typed).toMatch(
      /not a kind of address|name or a password/,
    );
  }
  await page.keyboard.press("Escape");
  // A picture's link is no better.
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "https://someone:s3cret@example.invalid/picture.png");
    document.body.dispatchEvent(
      new ClipboardEvent("paste", { clipboardData: data, bubbles: true }),
    );
  });
  await expect(page.locator("#remark")).toContainText("name or a password in it is not fetched");
  expect(`${await page.locator("body").innerText()} ${await report(page)}`).not.toContain("s3cret");
});

test("a manifest and a picture without an end are cut off", async ({ site }) => {
  let stream;
  site.intercept = (name, _, response) => {
    stream = endless(response, name.endsWith(".json") ? "application/json" : "image/png");
    return true;
  };
  const page = await site.open("?model=pack/manifest.json&adapter=cpu");
  await page.locator(".notice .start").click();
  await expect(page.locator(".notice")).toContainText("is too large for a pack's manifest");
  await expect.poll(() => stream.isOpen()).toBe(false);
  expect(stream.sent()).toBeLessThan(30 * MEGABYTE);

  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", new URL("pack/picture.png", location.href).href);
    document.body.dispatchEvent(
      new ClipboardEvent("paste", { clipboardData: data, bubbles: true }),
    );
  });
  await expect(page.locator("#remark")).toContainText("is too large for a picture", {
    timeout: 30_000,
  });
  await expect.poll(() => stream.isOpen()).toBe(false);
  expect(stream.sent()).toBeLessThan(260 * MEGABYTE);
  expect(await page.evaluate(() => globalThis.mqt.picture)).toBeUndefined();

  site.intercept = (_name, _, response) => (
    response
      .writeHead(200, { ...HEADERS, "content-type": "application/json" })
      .end('{"name":null,"files":[null],"shards":3}'),
    true
  );
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.locator(".notice")).toContainText("it is not a pack's manifest");
});

test("an address with https that leads on to one without is not followed", async ({ site }) => {
  const tls = {
    key: readFileSync(join(root, "tests/browser/tls/localhost.key")),
    cert: readFileSync(join(root, "tests/browser/tls/localhost.crt")),
  };
  const open = { "access-control-allow-origin": "*" };
  const plain = await serve({ folders: { "/": toybox }, headers: open });
  let leadsOn = () => true;
  const intercept = (_, response, { pathname }) =>
    leadsOn(pathname) &&
    (response.writeHead(302, { ...open, location: `${plain.url}${pathname.slice(1)}` }).end(),
    true);
  const secure = await serve({ folders: { "/": toybox }, headers: open, tls, intercept });
  site.allowed = [plain.url, secure.url];
  const page = await site.open(`?model=${secure.url}manifest.json&adapter=cpu`);
  await page.locator(".notice .start").click();
  const card = page.locator(".notice.trouble");
  await expect(card).toContainText(
    `${secure.url}manifest.json is, or leads on to, an address without https: it is not fetched`,
  );
  // The same for the files of a manifest.
  leadsOn = path => path.endsWith(".safetensors");
  await card.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("button", { name: /^Download \d/ }).click();
  await reached(page, "offline");
  await expect(card).toContainText("an address without https: it is not fetched");
  plain.close();
  secure.close();
});

const NAME = "<img src=x onerror=alert(1)>\u202egnp.exe\u0007\n# Heading";

/** A report's text outside of code. */
const prose = markdown =>
  markdown.replace(/^(`{3,})$[\s\S]*?^\1$/gm, "").replace(/(`+) .*? \1(?!`)/g, "");

test("names and answers are text, on the page and in the report", async ({ site }) => {
  const manifest = JSON.parse(readFileSync(join(toybox, "manifest.json"), "utf8"));
  site.intercept = (name, _, response) =>
    name === "manifest.json" &&
    (response.writeHead(200, HEADERS).end(JSON.stringify({ ...manifest, name: NAME })), true);
  const page = await site.open("?adapter=cpu&tokens=4");
  await start(page);
  await reached(page, "ready");
  const status = await page.getByRole("status").textContent();
  expect(status).toContain("<img src=x onerror=alert(1)>\\u{202e}gnp.exe\\x07");
  await page.locator("#file").setInputFiles({
    name: "a<b>\u202egnp.png",
    mimeType: "image/png",
    buffer: readFileSync(join(toybox, "samples/toybox-1.png")),
  });
  await reached(page, "ready");
  await expect(page.locator("#caption")).toContainText("a<b>\\u{202e}gnp.png");
  const words =
    "```\n# Heading\n<img src=x onerror=alert(1)> \u202ereversed @someone ``x`` $(x) [a](javascript:x)";
  await page.evaluate(words => {
    const { engine } = globalThis.mqt;
    const ask = engine.ask;
    engine.ask = request => {
      const answering = ask.call(engine, request);
      return {
        answer: answering.answer.then(answer => ({ ...answer, answer: words })),
        [Symbol.asyncIterator]: () => answering[Symbol.asyncIterator](),
      };
    };
  }, words);
  const answer = await ask(page, "`<b>` What?\n```");
  await expect(answer.locator(".text")).toHaveText(words);
  expect(
    await page.locator("#answers img:not(.question img), #answers b, #answers h1").count(),
  ).toBe(0);
  await panel(page, "Storage");
  await expect(page.locator("#packs b")).toHaveText(
    "<img src=x onerror=alert(1)>\\u{202e}gnp.exe\\x07\n# Heading",
  );
  await page.keyboard.press("Escape");
  await page.evaluate(() =>
    globalThis.mqt.failed({
      code: "invalid-setting",
      message: "``` \n# Heading <b>\u202e",
      facts: {},
    }),
  );
  const text = await report(page);
  expect(text).toContain("onerror");
  expect(text).not.toMatch(/[\u202a-\u202e\u0007]/);
  expect(prose(text)).not.toMatch(/Heading\b(?!s)|onerror|<b>|@someone|javascript/);
  expect(prose(text)).toContain("### Answers");
});
