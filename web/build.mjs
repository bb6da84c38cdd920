// Makes the npm package in `web/dist`: `cargo xtask package` calls it, after `cargo xtask web`.
//
// Two scripts, each whole in one file (an engine for the page, a worker beside it), the
// WebAssembly, types, and what a reader of the package needs. No TypeScript source, no Rust.

import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const here = path => fileURLToPath(new URL(path, import.meta.url));
const dist = here("dist");
const WASM = "mqt_web_bg.wasm";

/** In the package the worker's script is the built one. */
const built = {
  name: "built-worker",
  transform: code => code.replaceAll('"./worker.ts"', '"./worker.js"'),
};

async function script(input, file) {
  const bundle = await rolldown({ input: here(input), platform: "browser", plugins: [built] });
  await bundle.write({ file: join(dist, file), format: "es", codeSplitting: false });
  await bundle.close();
}

/** What a declaration imports, and from where. */
const IMPORT = /(from |import |import\()"([^"]+)"/g;

/**
 * The declarations that `index.d.ts` needs, their imports with endings: TypeScript's `nodenext` finds
 * no others.
 */
function types() {
  const { resolve } = createRequire(import.meta.url);
  const tsc = join(dirname(resolve("typescript/package.json")), "bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", here("tsconfig.json")], { stdio: "inherit" });
  const folder = join(dist, "types");
  const needed = new Set(["index.d.ts"]);
  for (const name of needed) {
    const text = readFileSync(join(folder, name), "utf8");
    for (const [, , from] of text.matchAll(IMPORT)) {
      // What is bundled is no dependency: its types would not be found.
      if (!from.startsWith("./")) throw new Error(`types/${name} imports ${from}`);
      needed.add(`${from.slice(2)}.d.ts`);
    }
    writeFileSync(join(folder, name), text.replace(IMPORT, '$1"$2.js"'));
  }
  for (const name of readdirSync(folder)) if (!needed.has(name)) rmSync(join(folder, name));
}

/** The package's description: that of the workspace, which is private, made public. */
function description() {
  const cargo = readFileSync(here("../Cargo.toml"), "utf8");
  const said = name => new RegExp(`^${name} = "(.*)"`, "m").exec(cargo)?.[1];
  const own = JSON.parse(readFileSync(here("package.json"), "utf8"));
  if (own.version !== said("version"))
    throw new Error(`web/package.json says ${own.version}, Cargo.toml ${said("version")}`);
  const entry = { types: "./types/index.d.ts", default: "./index.js" };
  return {
    name: own.name,
    version: own.version,
    description: own.description,
    keywords: own.keywords,
    license: own.license,
    repository: { type: "git", url: `git+${said("repository")}.git`, directory: "web" },
    type: "module",
    exports: {
      ".": entry,
      "./worker.js": "./worker.js",
      [`./${WASM}`]: `./${WASM}`,
      "./package.json": "./package.json",
    },
    types: "./types/index.d.ts",
    // The worker and the WebAssembly are loaded by address, not by import.
    sideEffects: ["./worker.js"],
    files: ["*.js", "*.wasm", "types", "LICENSE-*", "README.md"],
  };
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await script("ts/index.ts", "index.js");
await script("ts/worker.ts", "worker.js");
types();
copyFileSync(here(`pkg/${WASM}`), join(dist, WASM));
copyFileSync(here("README.md"), join(dist, "README.md"));
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"])
  copyFileSync(here(`../${name}`), join(dist, name));
writeFileSync(join(dist, "package.json"), `${JSON.stringify(description(), null, 2)}\n`);
for (const name of readdirSync(dist).sort()) {
  const { size } = statSync(join(dist, name));
  if (!statSync(join(dist, name)).isDirectory()) console.log(`${name} ${size} bytes`);
}
