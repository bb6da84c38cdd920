// The engine in the browser, without the page: answers equal PyTorch's (golden files) and, on the
// processor, the native binary's. The toybox on WebGPU is asked through the page's own engine, in
// `parity.spec.mjs`.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { test, expect } from "./engine.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const golden = join(root, "tests/golden");

/** `{ name: bytes }` of the files of a model's folder, folders inside it included. */
function sizes(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry =>
    entry.isFile(),
  );
  const paths = files.map(entry => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    paths.map(path => [relative(folder, path).split(sep).join("/"), statSync(path).size]),
  );
}

/** An i32 tensor of a safetensors file. */
function integers(file, name) {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const { dtype, data_offsets } = JSON.parse(bytes.subarray(8, 8 + length).toString())[name];
  expect(dtype).toBe("I32");
  const [start, end] = data_offsets.map(offset => 8 + length + offset);
  return Array.from({ length: (end - start) / 4 }, (_, i) => bytes.readInt32LE(start + 4 * i));
}

const folders = readdirSync(golden).filter(name => existsSync(join(golden, name, "checkpoint")));
const isPickled = name =>
  readdirSync(join(golden, name, "checkpoint")).some(file => file.endsWith(".bin"));

for (const name of folders.filter(isPickled)) {
  test(`the checkpoint ${name} has files that only the program reads, and that is said`, async ({
    engine,
  }) => {
    const loading = engine(
      "load",
      `/golden/${name}/checkpoint/`,
      sizes(join(golden, name, "checkpoint")),
      {},
    );
    await expect(loading).rejects.toThrow(
      /\.bin is not usable: PyTorch's own format is not read in the browser; a pack of the folder is/,
    );
  });
}

for (const name of folders.filter(name => !isPickled(name))) {
  test(`the checkpoint ${name} answers as PyTorch does`, async ({ engine }) => {
    const { runs } = JSON.parse(readFileSync(join(golden, name, "index.json"), "utf8"));
    const settings = { weights: "f32", arithmetic: "exact", adapter: "gpu" };
    const loaded = await engine(
      "load",
      `/golden/${name}/checkpoint/`,
      sizes(join(golden, name, "checkpoint")),
      settings,
    );
    expect(loaded.adapter.backend).toBe("webgpu");
    for (const run of runs) {
      const picture = new URL(run.image, `http://x/golden/${name}/`).pathname;
      // The reference stops after a fixed number of tokens, wherever the answer would end.
      const expected = integers(join(golden, name, run.file), "generated_ids");
      const answer = await engine("ask", picture, run.question, {
        imageTokens: run.m,
        maxNewTokens: expected.length,
      });
      expect(answer.tokenIds, `${run.image}, m = ${run.m}`).toEqual(expected);
    }
  });
}

const toybox = join(root, "models/toybox");

test("the toybox answers without WebGPU, on the processor", async ({ engine }) => {
  const loaded = await engine("load", "/models/toybox/", sizes(toybox), {
    arithmetic: "exact",
    adapter: "cpu",
  });
  expect(loaded.adapter.kind).toBe("cpu");
  const [{ image, text }] = readFileSync(join(toybox, "samples/questions.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map(line => JSON.parse(line));
  const args = [
    "compare",
    "--json",
    "--arithmetic",
    "exact",
    "--model",
    toybox,
    join(toybox, "samples", image),
    text,
    "--tokens",
    "2,16",
  ];
  const lines = execFileSync(process.env.MQT_BIN, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  })
    .trim()
    .split("\n");
  for (const { image_tokens: m, token_ids, answer } of lines.map(line => JSON.parse(line))) {
    const browser = await engine("ask", `/models/toybox/samples/${image}`, text, {
      imageTokens: m,
    });
    expect(
      browser.tokenIds,
      `${image}, ${text}, m = ${m}: native says ${answer}, the browser ${browser.answer}`,
    ).toEqual(token_ids);
    expect(browser.streamed.trim()).toBe(browser.answer);
    expect(browser.imageTokens).toBe(m);
  }
});
