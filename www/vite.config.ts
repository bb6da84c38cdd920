// Builds the page into dist: plain files with relative addresses, so that any folder of any static
// server can hold them.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Plugin, type Rolldown, defineConfig } from "vite";
import { HEADERS } from "./serve.mjs";
import * as words from "./src/words.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What the page says of the bundled model before anything of it is fetched. */
function bundled() {
  const manifest = JSON.parse(readFileSync(here("../models/toybox/manifest.json"), "utf8"));
  const files: { bytes: number }[] = [...manifest.files, ...manifest.shards];
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return {
    name: manifest.name,
    bytes,
    weights: manifest.weights,
    imageTokens: manifest.architecture.resampler.m_max,
    larger: Math.round(LLAVA_7B / perToken(manifest.architecture.language)),
  };
}

/** Products for one token in the decoder layers of a LLaMA; its table and head apart. */
function perToken(
  decoder: Record<"hidden" | "layers" | "heads" | "kv_heads" | "head_dim" | "ffn", number>,
) {
  const { hidden, layers, heads, kv_heads, head_dim, ffn } = decoder;
  return layers * hidden * (head_dim * 2 * (heads + kv_heads) + 3 * ffn);
}

const LLAVA_7B = perToken({
  hidden: 4096,
  layers: 32,
  heads: 32,
  kv_heads: 32,
  head_dim: 128,
  ffn: 11008,
});

/** Which page this is. */
function build() {
  const cargo = readFileSync(here("../Cargo.toml"), "utf8");
  const said = (name: string) => new RegExp(`^${name} = "(.*)"`, "m").exec(cargo)?.[1] ?? "";
  let commit = "";
  try {
    const args = ["rev-parse", "--short=12", "HEAD"];
    commit = execFileSync("git", args, { cwd: here("."), stdio: "pipe" })
      .toString()
      .trim();
  } catch {
    // Not in a repository, or without git.
  }
  return { version: said("version"), commit, source: said("repository") };
}

/** The page's texts: `{{group.name}}` in `index.html` is what `src/words.ts` says. */
const texts = (): Plugin => ({
  name: "texts",
  transformIndexHtml: {
    order: "pre",
    handler: html =>
      html.replace(/\{\{(\w+)\.([\w-]+)\}\}/g, (_, group: string, name: string) => {
        const text = (words as unknown as Record<string, Record<string, unknown>>)[group]?.[name];
        if (typeof text !== "string") throw new Error(`src/words.ts has no text ${group}.${name}`);
        return text.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");
      }),
  },
});

/** Model card and licence, to be read beside the page. */
const papers = (): Plugin => ({
  name: "papers",
  apply: "build",
  generateBundle() {
    for (const [fileName, path] of [
      ["model-card.txt", "../models/toybox/README.md"],
      ["licence.txt", "../LICENSE-MIT"],
    ] as const)
      this.emitFile({ type: "asset", fileName, source: readFileSync(here(path), "utf8") });
  },
});

/** The page's modules import each other in one direction. */
const noCircles = (): Plugin => ({
  name: "no-circles",
  apply: "build",
  buildEnd() {
    const done = new Set<string>();
    const visit = (id: string, path: string[]) => {
      if (path.includes(id))
        this.error(`a circle of imports: ${[...path.slice(path.indexOf(id)), id].join(" → ")}`);
      if (done.has(id) || !id.includes("/www/src/")) return;
      for (const next of this.getModuleInfo(id)?.importedIds ?? []) visit(next, [...path, id]);
      done.add(id);
    };
    for (const id of this.getModuleIds()) visit(id, []);
  },
});

/** The policy as a `meta` element too: not every static server lets one choose its headers. */
const policy = (): Plugin => ({
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: {
    order: "post",
    handler: html => {
      const content = HEADERS["content-security-policy"].replace(/; frame-ancestors [^;]*/, "");
      return html.replace(
        "<head>",
        `<head>\n    <meta http-equiv="content-security-policy" content="${content}" />`,
      );
    },
  },
});

/** `sw.js` with the lists of what was built: what the page shows at first, and the rest. */
const offline = (): Plugin => ({
  name: "offline",
  apply: "build",
  // After index.html is written: it names the scripts that the page cannot begin without.
  generateBundle: { order: "post", handler: keepOffline },
});

function keepOffline(this: Rolldown.PluginContext, _: unknown, bundle: Rolldown.OutputBundle) {
  const open = readdirSync(here("public"));
  const built = Object.keys(bundle).filter(name => name !== "index.html");
  const page = bundle["index.html"];
  const html = page?.type === "asset" ? String(page.source) : "";
  if (!built.some(name => name.endsWith(".js") && html.includes(name)))
    throw new Error("index.html names no script");
  // Those, the page's style, and the sample pictures.
  const first = (name: string) =>
    html.includes(name) || /\.css$|\/toybox-\d+-[^/]*\.png$/.test(name);
  const shell = [...built.filter(first), ...open, "./"].sort();
  const rest = built.filter(name => !first(name)).sort();
  const hash = createHash("sha256");
  for (const [name, file] of Object.entries(bundle))
    hash.update(name).update(file.type === "chunk" ? file.code : file.source);
  const source = readFileSync(here("src/sw.js"), "utf8")
    .replace('"__VERSION__"', JSON.stringify(hash.digest("hex").slice(0, 12)))
    .replace('["__SHELL__"]', JSON.stringify(shell))
    .replace('["__REST__"]', JSON.stringify(rest))
    // A visitor needs no comments; this file is not bundled, so nothing else takes them out.
    .replace(/^\s*(\/\/|\/?\*).*\n/gm, "");
  this.emitFile({ type: "asset", fileName: "sw.js", source });
}

export default defineConfig({
  root: here("."),
  base: "./",
  plugins: [texts(), policy(), papers(), noCircles(), offline()],
  define: { __BUNDLED__: JSON.stringify(bundled()), __BUILD__: JSON.stringify(build()) },
  worker: { format: "es" },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    // Everything is a file of its own: nothing is inlined that the policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What the page cannot begin without is one file, not one for each part that shares some of it.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "page", test: /\/www\/src\/main\.ts$/ }] } },
    },
  },
});
