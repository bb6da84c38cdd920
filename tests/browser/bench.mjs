// `mqt bench` in a browser: `node tests/browser/bench.mjs [pack folder] [settings as JSON] >
// report.json`, after `cargo xtask web`. Without a folder the bundled model is measured.
// MQT_CHROMIUM names another browser, MQT_CHROMIUM_ARGS its flags, MQT_ADAPTER=cpu the processor,
// MQT_DIST another built page.

import { chromium } from "@playwright/test";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { serve } from "../../www/serve.mjs";

const dist = process.env.MQT_DIST ?? fileURLToPath(new URL("../../www/dist", import.meta.url));

const [folder, settings = "{}"] = process.argv.slice(2);
const measured = folder && { "/measured/": resolve(folder) };
const server = await serve({ folders: { ...measured, "/": dist } });
const args = process.env.MQT_CHROMIUM_ARGS?.split(" ") ?? ["--use-webgpu-adapter=swiftshader"];
const browser = await chromium.launch({
  executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
  args: ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", ...args],
});
const page = await browser.newPage();
page.setDefaultTimeout(0);
page.on("console", message => console.error(message.text()));
await page.goto(`${server.url}?adapter=${process.env.MQT_ADAPTER ?? "gpu"}`);
const report = await page.evaluate(
  async ([url, settings]) => {
    const app = globalThis.mqt;
    // The longest the page's own thread was kept from drawing.
    let [last, longest] = [performance.now(), 0];
    const watch = setInterval(() => {
      const now = performance.now();
      [last, longest] = [now, Math.max(longest, now - last)];
    }, 4);
    await app.switchTo({ model: { from: url, name: "measured" } });
    if (!app.engine) throw new Error(`not loaded: ${document.body.dataset.state}`);
    const report = await app.engine.bench({ ...settings, onProgress: what => console.log(what) });
    clearInterval(watch);
    return { ...app.programRecord(report), page_blocked_ms_most: longest };
  },
  [
    new URL(folder ? "measured/manifest.json" : "models/toybox/manifest.json", server.url).href,
    JSON.parse(settings),
  ],
);
console.log(JSON.stringify(report, null, 2));
await browser.close();
server.close();
