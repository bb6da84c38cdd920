// onnxruntime-web's WebAssembly in Chromium: `node ortweb.mjs FOLDER tower.onnx [runs]` prints the
// milliseconds of each run. FOLDER is `node_modules/onnxruntime-web/dist`; `tower_onnx.py` makes
// the tower. One thread, because our page has one: more need headers that static servers lack.

import { chromium } from "@playwright/test";
import { basename, dirname, resolve } from "node:path";
import { serve } from "../../www/serve.mjs";

const [folder, model, runs = "3"] = process.argv.slice(2);
const folders = { "/ort/": resolve(folder), "/model/": dirname(resolve(model)) };
const intercept = (_, response, url) => {
  if (url.pathname !== "/") return false;
  response.writeHead(200, { "content-type": "text/html" });
  response.end("<!doctype html><title>onnxruntime-web</title>");
  return true;
};
const server = await serve({ folders: { ...folders, "/": resolve(folder) }, intercept });
const browser = await chromium.launch({
  executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
  args: ["--headless=new", "--no-sandbox"],
});
const page = await browser.newPage();
page.setDefaultTimeout(0);
page.on("console", message => console.error(message.text()));
await page.goto(server.url);
const times = await page.evaluate(
  async ([model, runs]) => {
    const ort = await import("/ort/ort.wasm.min.mjs");
    ort.env.wasm.wasmPaths = "/ort/";
    ort.env.wasm.numThreads = 1;
    const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
    const session = await ort.InferenceSession.create(`/model/${model}`, options);
    const pixels = new ort.Tensor("float32", new Float32Array(3 * 512 * 512).fill(0.1), [
      1, 3, 512, 512,
    ]);
    const times = [];
    for (let run = 0; run < runs; run++) {
      const start = performance.now();
      await session.run({ pixels });
      times.push(performance.now() - start);
    }
    return times;
  },
  [basename(model), Number(runs)],
);
console.log(times.map(Math.round).join(" "));
await browser.close();
server.close();
