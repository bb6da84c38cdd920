// Every family's tiny checkpoint in the browser's build beside what PyTorch makes of it
// (`tests/families/README.md`), by the processor and by WebGPU.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, made, test } from "./engine.mjs";

const families = fileURLToPath(new URL("../families", import.meta.url));

/** As `tests/families.rs`: f32 in another order of sums, layer after layer. */
const [TOKENS, LOGITS] = [1e-4, 1e-3];
/** An answer of the case. */
const NEW_TOKENS = 12;

/** `{ name: bytes }` of a checkpoint's files. */
function sizes(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = files.filter(f => f.isFile()).map(f => join(f.parentPath, f.name));
  return Object.fromEntries(paths.map(path => [relative(folder, path), statSync(path).size]));
}

/** A family's checkpoint as the browser can load it, and its address on the test server. */
function loadable(name) {
  const checkpoint = join(families, name, "checkpoint");
  // PyTorch's own format is read by the program only; a pack of f32 has the same numbers.
  if (!existsSync(join(checkpoint, "pytorch_model.bin")))
    return [checkpoint, `/families/${name}/checkpoint/`];
  const pack = join(made, name);
  const convert = ["convert", checkpoint, "-o", pack, "--weights", "f32"];
  rmSync(pack, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  execFileSync(process.env.MQT_BIN, convert, { stdio: "pipe" });
  return [pack, `/made/${name}/`];
}

/** `(name, m)`: the tensor of that m, or the one that is the same for all; undefined without one. */
function tensors(path) {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  return (name, m) => {
    const found = header[`${name}.${m}`] ?? header[name];
    if (!found) return undefined;
    const [start, end] = found.data_offsets.map(at => 8 + length + at);
    const data = new Uint8Array(bytes.subarray(start, end)).buffer;
    return [...(found.dtype === "F32" ? new Float32Array(data) : new Int32Array(data))];
  };
}

/** The largest difference, relative to the largest value. */
function error(got, want) {
  expect(got.length).toBe(want.length);
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0) / largest;
}

/** `sparse_vlm` chooses by the question, which `trace` does not: `tests/families/chosen.rs` has it. */
const cases = readdirSync(families, { withFileTypes: true }).filter(
  entry => entry.isDirectory() && entry.name !== "sparse_vlm",
);

for (const { name } of cases)
  for (const adapter of ["cpu", "gpu"])
    test(`${name} on the ${adapter} in the browser equals PyTorch, for every m`, async ({
      engine,
    }) => {
      const folder = join(families, name);
      const about = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
      const expected = tensors(join(folder, "expected.safetensors"));
      const settings = { adapter, arithmetic: "exact", weights: "f32" };
      const [files, address] = loadable(name);
      const loaded = await engine("load", address, sizes(files), settings);
      expect(loaded.adapter.kind === "cpu").toBe(adapter === "cpu");
      expect(about.ms.length).toBeGreaterThan(2);
      for (const m of about.ms) {
        const got = await engine("trace", `/families/${name}/image.png`, about.question, {
          imageTokens: m,
          maxNewTokens: NEW_TOKENS,
        });
        const what = `m = ${m}`;
        expect(got.inputIds, what).toEqual(expected("input_ids", m));
        if (expected("selected", m)) expect(got.selected, what).toEqual(expected("selected", m));
        const errors = [error(got.visualTokens, expected("visual_tokens", m))];
        const rows = expected("logit_rows", m);
        const vocab = expected("logits", m).length / rows.length;
        const logits = rows.flatMap(row => got.logits.slice(row * vocab, (row + 1) * vocab));
        errors.push(error(logits, expected("logits", m)));
        console.log(`${name} ${adapter} ${what}: ${errors.map(e => e.toExponential(1)).join(" ")}`);
        expect(errors[0], `${what}: image tokens`).toBeLessThan(TOKENS);
        expect(errors[1], `${what}: logits`).toBeLessThan(LOGITS);
        expect(got.answer.imageTokens, what).toBe(m);
        const ids = about.greedy[m];
        expect(got.answer.tokenIds, what).toEqual(ids.slice(0, got.answer.tokenIds.length));
        const ended = about.end_ids.includes(ids.at(-1));
        expect(got.answer.tokenIds.length, what).toBe(ended ? ids.length - 1 : ids.length);
      }
    });
