// What the tests share: a server, a page with the engine in its worker, and the page's complaints.

import { test as base, expect } from "@playwright/test";
import { fileURLToPath } from "node:url";
import { serve } from "../../www/serve.mjs";

export { expect };

const here = path => fileURLToPath(new URL(path, import.meta.url));

/** Where tests put models that they make; served as `/made/`. */
export const made = here("../../target/browser-models");

const folders = {
  "/made/": made,
  "/pkg/": here("../../web/pkg"),
  "/models/": here("../../models"),
  "/golden/": here("../golden"),
  "/families/": here("../families"),
  "/": here("page"),
};

export const test = base.extend({
  /** `engine(name, ...args)` calls the worker; the test fails if the page logged an error. */
  engine: async ({ page }, use) => {
    const server = await serve({ folders, headers: {} });
    const complaints = [];
    page.on("console", message => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", error => complaints.push(String(error)));
    page.on("request", request => {
      if (!request.url().startsWith(server.url) && !request.url().startsWith("data:"))
        complaints.push(`a request to ${request.url()}`);
    });
    await page.goto(server.url);
    await page.waitForFunction(() => "mqt" in globalThis);
    await use((name, ...args) =>
      page.evaluate(([name, args]) => globalThis.mqt(name, ...args), [name, args]),
    );
    expect(complaints).toEqual([]);
    server.close();
  },
});
