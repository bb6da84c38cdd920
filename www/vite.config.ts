// Builds the page into dist: plain files with relative addresses, so that any folder of any static
// server can hold them.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Plugin, defineConfig } from "vite";
import { HEADERS } from "./serve.mjs";

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
  };
}

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
  generateBundle(_, bundle) {
    const open = readdirSync(here("public"));
    const built = Object.keys(bundle).filter(name => name !== "index.html");
    // The page's own script with what it cannot begin without, its style, and the sample pictures.
    const scripts = new Set<string>();
    const walk = (name: string) => {
      const file = bundle[name];
      if (file?.type !== "chunk" || scripts.has(name)) return;
      scripts.add(name);
      file.imports.forEach(walk);
    };
    for (const [name, file] of Object.entries(bundle))
      if (file.type === "chunk" && file.isEntry) walk(name);
    const first = (name: string) =>
      scripts.has(name) || /\.css$|\/toybox-\d+-[^/]*\.png$/.test(name);
    const shell = [...built.filter(first), ...open, "./"].sort();
    const rest = built.filter(name => !first(name)).sort();
    const hash = createHash("sha256");
    for (const [name, file] of Object.entries(bundle))
      hash.update(name).update(file.type === "chunk" ? file.code : file.source);
    const source = readFileSync(here("src/sw.js"), "utf8")
      .replace('"__VERSION__"', JSON.stringify(hash.digest("hex").slice(0, 12)))
      .replace('["__SHELL__"]', JSON.stringify(shell))
      .replace('["__REST__"]', JSON.stringify(rest));
    this.emitFile({ type: "asset", fileName: "sw.js", source });
  },
});

export default defineConfig({
  root: here("."),
  base: "./",
  plugins: [policy(), offline()],
  define: { __BUNDLED__: JSON.stringify(bundled()) },
  worker: { format: "es" },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    // Everything is a file of its own: nothing is inlined that the policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
