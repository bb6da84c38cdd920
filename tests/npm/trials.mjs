// The packed npm package in the projects of its readers: `node tests/npm/trials.mjs [NAME…]`.
//
// Needs `cargo xtask package`, Chromium (`MQT_CHROMIUM` names another than /usr/bin/chromium) and a
// registry for the bundlers. Each trial is an empty folder with `npm install` of the tarball; the
// built page then answers in Chromium.

import { execFileSync, spawn } from "node:child_process";
import {
  copyFileSync,
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
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serve } from "../../www/serve.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { chromium } = createRequire(join(root, "tests/browser/package.json"))("@playwright/test");
// Outside the repository: no package of a folder above may help.
const work = mkdtempSync(join(tmpdir(), "mqt-npm-"));
const toybox = join(root, "models/toybox");
const picture = join(toybox, "samples/toybox-1.png");

const run = (folder, program, ...args) =>
  execFileSync(program, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });

/** An empty project with the packed package and these others. */
function project(name, ...packages) {
  const folder = join(work, name);
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, "tests/npm/consumer"), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  run(folder, "npm", "install", "--no-audit", "--no-fund", tarball, ...packages);
  return folder;
}

/** Model and picture, for projects that serve a folder of their own. */
function assets(folder) {
  mkdirSync(join(folder, "model"), { recursive: true });
  for (const name of readdirSync(toybox).filter(name => /json$|safetensors$/.test(name)))
    copyFileSync(join(toybox, name), join(folder, "model", name));
  copyFileSync(picture, join(folder, "picture.png"));
}

/** What a page of `folder` says, served by a plain server under `path`. */
async function served(folder, path = "/", query = "") {
  const folders = { "/model/": toybox, "/picture.png": "", [path]: folder };
  const intercept = (_, response, { pathname }) => {
    if (pathname !== "/picture.png") return false;
    response.writeHead(200, { "content-type": "image/png" }).end(readFileSync(picture));
    return true;
  };
  const server = await serve({ folders, headers: {}, intercept });
  try {
    return await opened(server.url.replace(/\/$/, path) + query);
  } finally {
    server.close();
  }
}

async function opened(url) {
  const browser = await chromium.launch({
    executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
    args: ["--headless=new", "--no-sandbox"],
  });
  try {
    const page = await browser.newPage();
    page.on("console", message => message.type() === "error" && console.log(message.text()));
    page.on("pageerror", error => console.log(String(error)));
    page.on("requestfailed", request => console.log(`failed: ${request.url()}`));
    await page.goto(url);
    await page.waitForFunction(() => "result" in globalThis, undefined, { timeout: 60_000 });
    return await page.evaluate(() => globalThis.result);
  } finally {
    await browser.close();
  }
}

/** Starts a server that says its address on stdout, and opens it. */
async function started(folder, ...args) {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await new Promise((found, failed) => {
      let said = "";
      child.stdout.on("data", text => {
        // Colours stand between the address and its port.
        said += String(text).replace(/\x1b\[\d+m/g, "");
        const [url] = /http:\/\/localhost:\d+\//.exec(said) ?? [];
        if (url) found(url);
      });
      child.on("exit", () => failed(new Error(`the server ended: ${said}`)));
    });
    return await opened(url);
  } finally {
    child.kill();
  }
}

/** A page that loads a built script. */
const page = script =>
  `<!doctype html><meta charset="utf-8"><script type="module" src="${script}"></script>`;

/** Checks the types with this TypeScript, strictly, the declarations themselves too. */
function checked(version) {
  const others = [`typescript@${version}`, "@types/react@19", "react@19"];
  const folder = project(`types-${version}`, ...others);
  cpSync(join(root, "examples/web/react"), join(folder, "react"), { recursive: true });
  for (const resolution of ["bundler", "nodenext"]) {
    const module = resolution === "bundler" ? "esnext" : "nodenext";
    const flags = `--noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess
      --skipLibCheck false --target es2022 --lib es2023,dom,dom.iterable,dom.asynciterable
      --module ${module} --moduleResolution ${resolution} --jsx react-jsx --types react`;
    const tsc = join(folder, "node_modules/typescript/bin/tsc");
    const files = ["main.ts", "react/Ask.tsx"];
    run(folder, process.execPath, tsc, ...flags.split(/\s+/), ...files);
  }
}

const trials = {
  /** Types, as strict as TypeScript gets, the declarations themselves checked too. */
  async types() {
    for (const version of ["5.4", "5.9"]) checked(version);
  },

  async "vite-dev"() {
    const folder = project("vite", "vite@8");
    assets(join(folder, "public"));
    const vite = join(folder, "node_modules/vite/bin/vite.js");
    return started(folder, vite, "--port", "5199", "--strictPort");
  },

  async "vite-build"() {
    const folder = project("vite-build", "vite@8");
    const vite = join(folder, "node_modules/vite/bin/vite.js");
    run(folder, process.execPath, vite, "build", "--base", "./", "--logLevel", "warn");
    return served(join(folder, "dist"), "/some/where/");
  },

  async esbuild() {
    const folder = project("esbuild", "esbuild@0.28");
    const out = join(folder, "out");
    const esbuild = join(folder, "node_modules/.bin/esbuild");
    run(folder, esbuild, "main.ts", "--bundle", "--format=esm", "--minify", "--outdir=out");
    for (const name of ["worker.js", "mqt_web_bg.wasm"])
      copyFileSync(join(folder, "node_modules/mqt-web", name), join(out, name));
    writeFileSync(join(out, "index.html"), page("main.js"));
    return served(out, "/some/where/");
  },

  /** The package's files stay where they are, in a folder that the page names. */
  async "esbuild-base"() {
    const folder = project("esbuild-base", "esbuild@0.28");
    const out = join(folder, "out");
    const esbuild = join(folder, "node_modules/.bin/esbuild");
    run(folder, esbuild, "main.ts", "--bundle", "--format=esm", "--outfile=out/scripts/main.js");
    cpSync(join(folder, "node_modules/mqt-web"), join(out, "vendor/mqt"), { recursive: true });
    writeFileSync(join(out, "index.html"), page("scripts/main.js"));
    return served(out, "/", "?base=vendor/mqt");
  },

  async webpack() {
    const folder = project(
      "webpack",
      "webpack@5",
      "webpack-cli@6",
      "ts-loader@9",
      "typescript@5.9",
    );
    writeFileSync(
      join(folder, "webpack.config.js"),
      `export default {
        mode: "production", entry: "./main.ts", output: { publicPath: "auto" },
        module: { rules: [{ test: /\\.ts$/, loader: "ts-loader", options: { transpileOnly: true } }] },
      };`,
    );
    const options = { target: "es2022", module: "esnext", moduleResolution: "bundler" };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions: options, files: ["main.ts"] }),
    );
    run(folder, join(folder, "node_modules/.bin/webpack"));
    writeFileSync(join(folder, "dist/index.html"), page("main.js"));
    return served(join(folder, "dist"), "/some/where/");
  },
};

const wanted = process.argv.slice(2);
const packed = run(work, "npm", "pack", "--json", join(root, "web/dist"));
const [{ filename, size }] = JSON.parse(String(packed));
const tarball = join(work, filename);
console.log(`${filename}: ${size} bytes`);
let failed = 0;
for (const [name, trial] of Object.entries(trials)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const start = performance.now();
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  try {
    const said = await trial();
    const { answer, imageTokens, completion, chunks, pieces, code } = said ?? {};
    const right =
      !said ||
      (answer === "3" &&
        completion === "3" &&
        imageTokens === 64 &&
        chunks > 0 &&
        // Vite's own server answers with its page where there is no file.
        code === (name === "vite-dev" ? "model-corrupt" : "network") &&
        pieces > 0);
    if (!right) throw new Error(JSON.stringify(said));
    console.log(`${name}: ok, ${seconds()}`);
  } catch (error) {
    failed++;
    console.log(`${name}: FAILED, ${seconds()}: ${error.message}\n${error.stdout ?? ""}`);
  }
}
if (failed > 0) console.log(`what was built stays in ${work}`);
else rmSync(work, { recursive: true, force: true });
process.exitCode = failed > 0 ? 1 : 0;
