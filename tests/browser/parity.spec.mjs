// The page's own engine beside the binary: the same pixels go in, the same ids come out.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, load, root, test, toybox } from "./site.mjs";

const samples = () =>
  readFileSync(join(toybox, "samples/questions.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map(line => JSON.parse(line));

/** What the binary answers, for every step of the ladder: `{ m: ids }`. */
function native(image, question, arithmetic) {
  const args = [
    "compare",
    "--json",
    "--arithmetic",
    arithmetic,
    "--model",
    toybox,
    join(toybox, "samples", image),
    question,
  ];
  const lines = execFileSync(process.env.MQT_BIN, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  })
    .trim()
    .split("\n");
  return Object.fromEntries(
    lines.map(line => JSON.parse(line)).map(answer => [answer.image_tokens, answer.token_ids]),
  );
}

/** The first questions about each picture. */
function questions(each) {
  const counts = {};
  return samples().filter(({ image }) => (counts[image] = (counts[image] ?? 0) + 1) <= each);
}

// `fast` is what visitors get; its rounding depends on the device, and on these questions no answer
// hangs on that.
for (const [arithmetic, asked] of [
  ["exact", questions(1)],
  ["fast", questions(3).slice(0, 9)],
])
  test(`the page's engine answers as the binary does, ${arithmetic}: every m`, async ({ site }) => {
    const page = await site.open(`?arithmetic=${arithmetic}`);
    await load(page);
    expect(asked.length).toBeGreaterThan(4);
    for (const { image, text } of asked) {
      const expected = native(image, text, arithmetic);
      expect(Object.keys(expected).length).toBeGreaterThan(4);
      const answers = await page.evaluate(
        async ([image, question, ladder]) => {
          const { engine } = globalThis.mqt;
          const picture = await (await fetch(`other/samples/${image}`)).blob();
          const ids = {};
          for (const tokens of ladder) {
            await engine.startAnew();
            ids[tokens] = (await engine.ask({ image: picture, question, tokens }).answer).tokenIds;
          }
          return ids;
        },
        [image, text, Object.keys(expected).map(Number)],
      );
      expect(answers, `${image}: ${text}`).toEqual(expected);
    }
  });

test("the answers that the page shows before anything is loaded are the model's", () => {
  const source = readFileSync(join(root, "www/src/recorded.ts"), "utf8");
  const recorded = [
    ...source.matchAll(/sample: (\d+),\s+question: "(.*?)",\s+answers: (\[[^;]*?\]),\n *\}/g),
  ];
  expect(recorded).toHaveLength(4);
  for (const [, sample, question, answers] of recorded)
    for (const [m, answer] of JSON.parse(answers.replace(/,(?=\s*\])/g, ""))) {
      const picture = join(toybox, `samples/toybox-${Number(sample) + 1}.png`);
      const args = ["ask", "--json", "--adapter", "cpu", "-m", String(m), picture, question];
      const said = execFileSync(process.env.MQT_BIN, args, {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      });
      expect(JSON.parse(said).answer, `${question} with ${m}`).toBe(answer);
    }
});

test("the same pixels go into the model: rotated, transparent, 16 bits, palette, every format", async ({
  site,
}) => {
  // Written by `tests/pictures.rs`, which fails if the binary sees anything else.
  const { files } = JSON.parse(readFileSync(join(root, "tests/golden/seen.json"), "utf8"));
  site.add("pictures", join(root, "tests/golden/pillow"));
  const page = await site.open();
  await load(page);
  const seen = await page.evaluate(async names => {
    const { engine } = globalThis.mqt;
    const all = {};
    for (const name of names) {
      const { hash, rgb } = await engine.inspect(await (await fetch(`pictures/${name}`)).blob());
      const own = new Uint8Array(await crypto.subtle.digest("SHA-256", rgb));
      const hex = [...own].map(byte => byte.toString(16).padStart(2, "0")).join("");
      if (hex !== hash) throw new Error(`${name}: the hash is not that of the pixels`);
      all[name] = hash;
    }
    return all;
  }, Object.keys(files));
  expect(seen).toEqual(files);
  for (const kind of [
    "exif6.jpg",
    "rgba.png",
    "p_transparent.png",
    "rgb16.png",
    "lossy.webp",
    "cmyk.jpg",
    "animated.gif",
  ])
    expect(Object.keys(seen)).toContain(kind);
});
