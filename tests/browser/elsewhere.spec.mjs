// Models and pictures from another origin, which has to allow it: it does, or it does not, or there
// is nothing.

import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import {
  ask,
  elsewhere,
  expect,
  load,
  reached,
  root,
  sample,
  test,
  toybox,
  source,
} from "./site.mjs";

// The second server's certificate is the tests' own.
test.use({ ignoreHTTPSErrors: true, serviceWorkers: "block" });

const folders = { "/": toybox };

test("a model from a server that allows it answers; from one that does not, the page says why", async ({
  site,
}) => {
  const open = await elsewhere(folders, true);
  const closed = await elsewhere(folders, false);
  site.allowed = [open.url, closed.url];

  const refused = await site.open(`?model=${closed.url}manifest.json`);
  await refused.locator(".notice .start").click();
  await reached(refused, "offline");
  await expect(refused.locator(".notice")).toContainText(
    "does not allow other pages to read it (CORS)",
  );
  await expect(
    refused.locator(".notice").getByRole("button", { name: "Another model…" }),
  ).toBeVisible();
  await refused.close();

  const page = await site.open(`?model=${open.url}manifest.json&tokens=64`);
  await expect(page.locator(".notice")).toContainText(open.url);
  await load(page);
  await sample(page, 1);
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
  expect(site.fetched, "nothing of the bundled model").toEqual([]);
  open.close();
  closed.close();
});

test("a picture by its link: pasted, dropped, typed; and what goes wrong", async ({ site }) => {
  const pictures = { "/": join(toybox, "samples") };
  const open = await elsewhere(pictures, true);
  const closed = await elsewhere(pictures, false);
  site.allowed = [open.url, closed.url];
  const page = await site.open();
  const name = () => page.evaluate(() => globalThis.mqt.picture?.name);
  const remark = page.locator("#remark");
  const send = (type, format, text) =>
    page.evaluate(
      ([type, format, text]) => {
        const data = new DataTransfer();
        data.setData(format, text);
        const event =
          type === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.body.dispatchEvent(event);
      },
      [type, format, text],
    );

  await send("paste", "text/plain", `${open.url}toybox-2.png`);
  await expect.poll(name).toBe("toybox-2.png");
  await send("drop", "text/uri-list", `# a comment\r\n${open.url}toybox-3.png\r\n`);
  await expect.poll(name).toBe("toybox-3.png");
  await source(page, "Link");
  await page.getByRole("textbox", { name: "Address of a picture" }).fill(`${open.url}toybox-1.png`);
  await page.keyboard.press("Enter");
  await expect.poll(name).toBe("toybox-1.png");

  await send("paste", "text/plain", `${closed.url}toybox-4.png`);
  await expect(remark).toContainText("does not let other pages read its pictures (CORS)");
  await send("paste", "text/plain", `${open.url}nothing.png`);
  await expect(remark).toContainText("answered 404");
  await send("drop", "text/plain", "just words");
  await expect(remark).toContainText("links to pictures");
  expect(site.fetched, "a link alone fetches no model").toEqual([]);

  const bytes = readFileSync(join(toybox, "samples/toybox-5.png")).toString("base64");
  await send("paste", "text/plain", `data:image/png;base64,${bytes}`);
  await expect.poll(name).toBe("pasted picture");
  expect(
    await page.evaluate(async () => (await globalThis.mqt.picture.blob.arrayBuffer()).byteLength),
  ).toBe(readFileSync(join(toybox, "samples/toybox-5.png")).length);

  // In the question box a link is text.
  const question = page.getByRole("textbox", { name: "Question" });
  await question.focus();
  await page.evaluate(text => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    document.activeElement.dispatchEvent(
      new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }),
    );
  }, `${open.url}toybox-6.png`);
  await page.waitForTimeout(300);
  expect(await name()).toBe("pasted picture");
  open.close();
  closed.close();
});

test("any static server will do: in a folder, without our headers, without ranges", async ({
  site,
  context,
}) => {
  const types = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".wasm": "application/wasm",
  };
  const prefix = "/some/where/";
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = join(root, "www/dist", pathname.slice(prefix.length) || "index.html");
    if (!pathname.startsWith(prefix) || !existsSync(file)) return response.writeHead(404).end();
    response
      .writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" })
      .end(readFileSync(file));
  });
  await new Promise(ready => server.listen(0, "localhost", ready));
  const url = `http://localhost:${server.address().port}${prefix}`;
  site.allowed = [url];
  const page = await context.newPage();
  await page.goto(`${url}?tokens=64&adapter=gpu`);
  await page.locator(".notice .start").click();
  // Cut off and begun again: all of it is sent once more.
  await reached(page, "downloading", "compiling", "uploading", "ready");
  await page.reload();
  await load(page);
  await sample(page, 1);
  await expect((await ask(page, "How many things are there?")).locator(".text")).toHaveText("3");
  // The policy stands in the page.
  const run = page.evaluate(
    () =>
      new Promise(done => {
        document.addEventListener("securitypolicyviolation", event =>
          done(event.effectiveDirective),
        );
        document.body.append(
          Object.assign(document.createElement("script"), {
            textContent: "globalThis.broken = true",
          }),
        );
        setTimeout(() => done("nothing was refused"), 2000);
      }),
  );
  expect(await run).toMatch(/^script-src/);
  server.close();
  server.closeAllConnections();
});
