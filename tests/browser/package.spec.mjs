// The npm package as its readers get it: packed, unpacked, and used by a plain page.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test as base, expect } from "@playwright/test";
import { serve } from "../../www/serve.mjs";
import { elsewhere, root, toybox } from "./site.mjs";

const work = join(root, "target/npm");
const unpacked = join(work, "package");
const { version } = JSON.parse(readFileSync(join(root, "web/dist/package.json"), "utf8"));

/** Packs `web/dist` without a network, and unpacks that. */
function pack() {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const options = { cwd: work, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" };
  const said = execFileSync(
    "npm",
    ["pack", "--json", "--offline", join(root, "web/dist")],
    options,
  );
  const [{ filename, files }] = JSON.parse(said);
  execFileSync("tar", ["-xzf", filename], options);
  return files.map(({ path }) => path);
}

const folders = {
  [`/cdn/mqt-web@${version}/`]: unpacked,
  "/mqt-web/": unpacked,
  "/models/toybox/": toybox,
  "/": join(root, "examples/web"),
};

const test = base.extend({
  /** A page of a plain server; the test fails if it asks for anything elsewhere that is not `allowed`. */
  plain: async ({ page }, use) => {
    const server = await serve({ folders, headers: {} });
    const allowed = [server.url];
    const complaints = [];
    page.on("pageerror", error => complaints.push(String(error)));
    page.on("request", request => {
      const url = request.url();
      if (!/^(data|blob):/.test(url) && !allowed.some(own => url.startsWith(own)))
        complaints.push(`a request to ${url}`);
    });
    await page.goto(server.url);
    await use({ page, url: server.url, allowed });
    expect(complaints).toEqual([]);
    server.close();
  },
});

test.beforeAll(() => {
  const files = pack();
  expect(files.sort()).toEqual(
    [
      "LICENSE-APACHE",
      "LICENSE-MIT",
      "README.md",
      "index.js",
      "mqt_web_bg.wasm",
      "package.json",
      "worker.js",
      ...readdirSync(join(root, "web/dist/types")).map(name => `types/${name}`),
    ].sort(),
  );
  expect(files.filter(name => /\.rs$|(?<!\.d)\.ts$/.test(name))).toEqual([]);
});

test("its types need no other package", () => {
  // Outside the repository: no package of a folder above may help.
  const folder = mkdtempSync(join(tmpdir(), "mqt-types-"));
  try {
    cpSync(unpacked, join(folder, "node_modules/mqt-web"), { recursive: true });
    cpSync(join(root, "tests/npm/consumer/main.ts"), join(folder, "main.ts"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const { resolve } = createRequire(join(root, "web/package.json"));
    const tsc = join(dirname(resolve("typescript/package.json")), "bin/tsc");
    for (const resolution of ["bundler", "nodenext"]) {
      const module = resolution === "bundler" ? "esnext" : "nodenext";
      const flags = `--noEmit --strict --skipLibCheck false --target es2022
        --lib es2023,dom,dom.iterable,dom.asynciterable --module ${module}
        --moduleResolution ${resolution}`;
      const args = [tsc, ...flags.split(/\s+/), "main.ts"];
      const said = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
      expect(said.stdout).toBe("");
      expect(said.status).toBe(0);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const picture = readFileSync(join(toybox, "samples/toybox-1.png"));

test("the example's page loads, answers and streams", async ({ plain: { page } }) => {
  await page.setInputFiles("#picture", join(toybox, "samples/toybox-1.png"));
  await page.fill("#question", "How many things are there?");
  await page.click("#ask");
  await expect(page.locator("#answer")).toHaveText("3", { timeout: 120_000 });
});

/** Loads the package from `from` with `options`, asks one question, and says what was answered. */
const askWith = (page, from, options) =>
  page.evaluate(
    async ([from, options, bytes]) => {
      const { Engine } = await import(from);
      const engine = await Engine.load("models/toybox/manifest.json", {
        adapter: "cpu",
        ...options,
      });
      const image = new Blob([new Uint8Array(bytes)]);
      const question = "How many things are there?";
      const { answer } = engine.ask({ image, question, tokens: 64 });
      const { answer: text } = await answer;
      engine.dispose();
      return text;
    },
    [from, options, [...picture]],
  );

test("another path of the same server, and files named one by one", async ({ plain }) => {
  const at = `${plain.url}cdn/mqt-web@${version}/`;
  expect(await askWith(plain.page, `${at}index.js`, {})).toBe("3");
  expect(await askWith(plain.page, "/mqt-web/index.js", { baseUrl: at })).toBe("3");
  const urls = { workerUrl: "mqt-web/worker.js", wasmUrl: `${at}mqt_web_bg.wasm` };
  expect(await askWith(plain.page, "/mqt-web/index.js", urls)).toBe("3");
});

test.describe("another server", () => {
  test.use({ ignoreHTTPSErrors: true });

  test("that lets other pages read its files is enough", async ({ plain }) => {
    const cdn = await elsewhere({ "/mqt-web/": unpacked }, true);
    plain.allowed.push(cdn.url);
    expect(await askWith(plain.page, `${cdn.url}mqt-web/index.js`, {})).toBe("3");
    cdn.close();
  });

  test("that does not is said to be in the way", async ({ plain }) => {
    const cdn = await elsewhere({ "/mqt-web/": unpacked }, false);
    plain.allowed.push(cdn.url);
    const said = await plain.page.evaluate(async baseUrl => {
      const { Engine, MqtError } = await import("/mqt-web/index.js");
      const failed = await Engine.load("models/toybox/manifest.json", { baseUrl }).catch(e => e);
      return [failed instanceof MqtError, failed.name, failed.code];
    }, `${cdn.url}mqt-web/`);
    expect(said).toEqual([true, "MqtError", "network"]);
    cdn.close();
  });
});

test("two engines on one page answer side by side", async ({ plain: { page } }) => {
  const answers = await page.evaluate(
    async bytes => {
      const { Engine } = await import("/mqt-web/index.js");
      const load = () => Engine.load("models/toybox/manifest.json", { adapter: "cpu" });
      const engines = await Promise.all([load(), load()]);
      const image = new Blob([new Uint8Array(bytes)]);
      const ask = (engine, question) => engine.ask({ image, question, tokens: 64 }).answer;
      const answers = await Promise.all([
        ask(engines[0], "How many things are there?"),
        ask(engines[1], "How many things are there?"),
      ]);
      engines[0].dispose();
      const third = await load();
      answers.push(await ask(engines[1], "How many things are there?"));
      answers.push(await ask(third, "How many things are there?"));
      return answers.map(({ answer }) => answer);
    },
    [...picture],
  );
  expect(answers).toEqual(["3", "3", "3", "3"]);
});

test("leaving the loop stops the answer", async ({ plain: { page } }) => {
  const { ended, tokens } = await page.evaluate(
    async bytes => {
      const { Engine } = await import("/mqt-web/index.js");
      const engine = await Engine.load("models/toybox/manifest.json", { adapter: "cpu" });
      const image = new Blob([new Uint8Array(bytes)]);
      // So hot that it does not end by itself.
      const request = { question: "Describe.", temperature: 100, topK: 0, maxNewTokens: 1500 };
      const answering = engine.ask({ image, ...request });
      for await (const _ of answering) break;
      const { finishReason, completionTokens } = await answering.answer;
      return { ended: finishReason, tokens: completionTokens };
    },
    [...picture],
  );
  expect(ended).toBe("cancelled");
  expect(tokens).toBeLessThan(1000);
});

test("a signal ends the loop at once, whatever waits", async ({ plain: { page } }) => {
  const said = await page.evaluate(
    async bytes => {
      const { Engine } = await import("/mqt-web/index.js");
      const engine = await Engine.load("models/toybox/manifest.json", { adapter: "cpu" });
      const image = new Blob([new Uint8Array(bytes)]);
      const hot = { question: "Describe.", temperature: 100, topK: 0, maxNewTokens: 1500 };
      const begun = new AbortController();
      const answering = engine.ask({ image, ...hot, signal: begun.signal });
      let heard = "";
      for await (const text of answering) {
        heard += text;
        // The whole answer waits by then.
        await answering.answer;
        begun.abort();
      }
      const { answer } = await answering.answer;
      const soon = new AbortController();
      const never = engine.ask({ image, ...hot, signal: soon.signal });
      soon.abort();
      for await (const text of never) heard += `${text} after it was stopped`;
      const code = await never.answer.catch(error => error.code);
      const content = [{ type: "text", text: "Describe." }];
      const messages = [{ role: "user", content }];
      const options = { messages, stream: true, temperature: 2, max_tokens: 1500 };
      const stream = await engine.chat.completions.create(options);
      let chunks = 0;
      for await (const _ of stream) {
        chunks++;
        stream.controller.abort();
      }
      const gone = AbortSignal.abort();
      for await (const _ of await engine.chat.completions.create(options, { signal: gone }))
        chunks += 100;
      return { chunks, code, waited: answer.length - heard.trimStart().length };
    },
    [...picture],
  );
  expect(said).toMatchObject({ chunks: 1, code: "cancelled" });
  expect(said.waited).toBeGreaterThan(0);
});

test("the README has a line for every code of an error", async ({ plain: { page } }) => {
  const readme = readFileSync(join(unpacked, "README.md"), "utf8");
  const [, errors] = readme.split("\n## Errors\n");
  const rows = errors.split("\n## ")[0].matchAll(/^\| `([a-z-]+)`/gm);
  const codes = await page.evaluate(async () => (await import("/mqt-web/index.js")).ERROR_CODES);
  expect([...rows].map(([, code]) => code)).toEqual(codes);
});

/** What loading fails with: the code and the message. */
const failure = (page, source, options) =>
  page.evaluate(
    async ([source, options]) => {
      const { Engine } = await import("/mqt-web/index.js");
      const { code, message } = await Engine.load(source, options).catch(error => error);
      return [code, message];
    },
    [source, options],
  );

test("an address of something else is named, with what came from there", async ({ plain }) => {
  const { page, url } = plain;
  const load = address => failure(page, address, { keep: "memory" });
  const cases = {
    "": "is a web page, not a manifest.json; is the address right?",
    "models/toybox/samples/toybox-1.png":
      "is a picture, not a manifest.json; is the address right?",
    "models/toybox/tokenizer.json":
      "is JSON, but it is not a pack's manifest; is the address right?",
    "mqt-web/LICENSE-MIT": "is not a manifest.json; is the address right?",
  };
  for (const [address, what] of Object.entries(cases))
    expect(await load(url + address)).toEqual(["model-corrupt", `${url}${address} ${what}`]);
  expect(await load(`${url}nowhere/`)).toEqual([
    "network",
    `${url}nowhere/: the server answered 404; give the address of a pack's manifest.json`,
  ]);
});

test("a wrong place of the package's own files is named", async ({ plain: { page, url } }) => {
  const load = options => failure(page, "models/toybox/manifest.json", options);
  expect(await load({ baseUrl: "wrong" })).toEqual([
    "network",
    `${url}wrong/worker.js cannot be fetched as the engine's worker; is the address right?`,
  ]);
  const [code, message] = await load({ wasmUrl: "index.html" });
  expect(code).toBe("network");
  expect(message).toBe(
    `${url}index.html cannot be fetched as the engine's program: what comes is no WebAssembly`,
  );
});

test("a request of a wrong kind is told what is wanted", async ({ plain: { page } }) => {
  const said = await page.evaluate(
    async bytes => {
      const { Engine } = await import("/mqt-web/index.js");
      const engine = await Engine.load("models/toybox/manifest.json", { adapter: "cpu" });
      const question = "How many things are there?";
      const file = new File([new Uint8Array(bytes)], "picture.png");
      const shown = document.createElement("img");
      const requests = [
        "What is this?",
        undefined,
        { image: file },
        { question, image: shown },
        { question, image: "photo.jpg" },
        { question, image: [file, "photo.jpg"] },
        { question, image: new Uint8Array(bytes) },
      ];
      const wrong = [];
      for (const request of requests) {
        const answering = engine.ask(request);
        const { code, facts, message } = await answering.answer.catch(error => error);
        wrong.push([code, facts.what, message]);
        // The loop says the same.
        const loop = async () => {
          for await (const _ of answering) throw new Error("answered");
        };
        if ((await loop().catch(error => error)).message !== message) wrong.push("another error");
      }
      const looked = await engine.look("photo.jpg").catch(error => error);
      wrong.push([looked.code, looked.facts.what, looked.message]);
      const files = new DataTransfer();
      files.items.add(file);
      const { answer } = await engine.ask({ question, tokens: 64, image: files.files }).answer;
      return { wrong, answer };
    },
    [...picture],
  );
  expect(said.answer).toBe("3");
  const request = /^`ask` takes an object/;
  const image = /is a Blob or File.*`await \(await fetch\(url\)\)\.blob\(\)`$/;
  const wanted = [
    ["request", request],
    ["request", request],
    ["question", /^`question` is a text$/],
    ...Array.from({ length: 5 }, () => ["image", image]),
  ];
  for (const [i, [what, sentence]] of wanted.entries()) {
    expect(said.wrong[i].slice(0, 2)).toEqual(["invalid-setting", what]);
    expect(said.wrong[i][2]).toMatch(sentence);
  }
});

/** Field by field what kind of value there is: names of fields, types, and texts that are fixed. */
function shape(value) {
  if (Array.isArray(value)) return value.map(shape);
  if (value === null || typeof value !== "object") return value === null ? null : typeof value;
  const fields = Object.entries(value).map(([name, inner]) => [name, shape(inner)]);
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const url = `data:image/png;base64,${picture.toString("base64")}`;
const user = (text, detail = "high") => ({
  role: "user",
  content: [
    { type: "image_url", image_url: { url, detail } },
    { type: "text", text },
  ],
});

test("completions have the shapes and the answers of `mqt serve`", async ({ plain: { page } }) => {
  const server = spawn(process.env.MQT_BIN, [
    "serve",
    "--port",
    "0",
    "--adapter",
    "cpu",
    "--arithmetic",
    "exact",
    "--quiet",
  ]);
  try {
    const base = await new Promise((said, failed) => {
      server.stdout.once("data", text => said(`${text}`.trim()));
      server.once("exit", () => failed(new Error("mqt serve ended")));
    });
    const post = async body => {
      const headers = { "content-type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify({ model: "toybox", ...body }) };
      return fetch(`${base}/chat/completions`, init);
    };
    const system = { role: "system", content: "Answer briefly." };
    const first = { messages: [user("How many things are there?")], max_tokens: 20 };
    const second = {
      messages: [
        system,
        user("How many things are there?"),
        { role: "assistant", content: "3" },
        { role: "user", content: "What is this?" },
      ],
      temperature: 0.7,
      top_p: 0.9,
      seed: 3,
      stop: ["\n"],
    };
    const noPicture = { messages: [{ role: "user", content: "What is this?" }], max_tokens: 5 };
    const requests = [first, second, noPicture];
    const streamed = { ...first, stream: true, stream_options: { include_usage: true } };
    const ours = await page.evaluate(
      async ([requests, streamed]) => {
        const { Engine } = await import("/mqt-web/index.js");
        // The second answer is sampled. In `fast` a sum in another order rounds to another byte now
        // and then, which is enough for another word; exact sums differ by a millionth.
        const options = { adapter: "cpu", arithmetic: "exact" };
        const engine = await Engine.load("models/toybox/manifest.json", options);
        const whole = [];
        for (const request of requests) whole.push(await engine.chat.completions.create(request));
        const chunks = [];
        for await (const chunk of await engine.chat.completions.create(streamed))
          chunks.push(chunk);
        // Whoever leaves lets the next one in.
        for await (const _ of await engine.chat.completions.create(streamed)) break;
        whole.push(await engine.chat.completions.create(requests[0]));
        return { whole, chunks };
      },
      [requests, streamed],
    );
    const text = ({ choices: [{ message }] }) => message.content;
    for (const [i, request] of requests.entries()) {
      const theirs = await (await post(request)).json();
      expect(text(ours.whole[i])).toBe(text(theirs));
      // Only a server has a queue.
      delete theirs.timings.queue;
      expect(shape(ours.whole[i])).toEqual(shape(theirs));
      for (const part of ["prompt_tokens", "completion_tokens", "total_tokens"])
        expect(ours.whole[i].usage[part]).toBe(theirs.usage[part]);
    }
    expect(ours.whole.map(({ usage }) => usage.prompt_tokens_details.image_tokens)).toEqual([
      64, 64, 0, 64,
    ]);
    expect(text(ours.whole[3])).toBe(text(ours.whole[0]));
    const lines = (await (await post(streamed)).text()).split("\n\n");
    const chunks = lines
      .filter(line => line.startsWith("data: {"))
      .map(line => JSON.parse(line.slice(6)));
    for (const { timings } of chunks) delete timings?.queue;
    const joined = chunks => chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    expect(joined(ours.chunks)).toBe(joined(chunks));
    const kinds = chunks => [...new Set(chunks.map(chunk => JSON.stringify(shape(chunk))))];
    expect(kinds(ours.chunks)).toEqual(kinds(chunks));
  } finally {
    server.kill();
  }
});

test("a request that cannot be honoured is refused by the field's name", async ({
  plain: { page },
}) => {
  const messages = [{ role: "user", content: "What is this?" }];
  const image = url => [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }];
  const requests = {
    tools: { messages, tools: [] },
    logit_bias: { messages, logit_bias: {} },
    model: { messages, model: "gpt-4o" },
    temperature: { messages, temperature: 3 },
    n: { messages, n: 2 },
    "response_format.type": { messages, response_format: { type: "json_object" } },
    "stream_options.x": { messages, stream_options: { x: 1 } },
    messages: { messages: [...messages, { role: "assistant", content: "An apple." }] },
    "messages[0].name": { messages: [{ ...messages[0], name: "Ann" }] },
    "messages[0].role": { messages: [{ role: "tool", content: "x" }] },
    "messages[0].content[0].image_url.detail": {
      messages: [
        { role: "user", content: [{ type: "image_url", image_url: { url: "x", detail: "x" } }] },
      ],
    },
  };
  const bad = ["https://elsewhere.example/x.png", "file:///etc/passwd", "nothing.png", "data:,x"];
  const addresses = bad.map(url => {
    const [message] = image(url);
    message.content.push({ type: "text", text: "What is this?" });
    return { messages: [message] };
  });
  const said = await page.evaluate(
    async requests => {
      const { Engine, MqtError } = await import("/mqt-web/index.js");
      const engine = await Engine.load("models/toybox/manifest.json", { adapter: "cpu" });
      const all = [];
      for (const request of requests)
        all.push(
          await engine.chat.completions.create(request).then(
            () => "answered",
            error => [error instanceof MqtError, error.code, error.facts.what],
          ),
        );
      return all;
    },
    [...Object.values(requests), ...addresses],
  );
  const names = Object.keys(requests);
  expect(said.slice(0, names.length)).toEqual(names.map(name => [true, "invalid-setting", name]));
  for (const [isOurs, code] of said.slice(names.length))
    expect([isOurs, code]).toEqual([true, "image-unreadable"]);
});
