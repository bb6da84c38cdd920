//! `cargo xtask web`: the TypeScript that follows from the Rust; `web/` for WebAssembly and its
//! JavaScript bindings into `web/pkg`, then the page into `www/dist`.

use crate::machine::{self, WASM, wasm_cargo, wasm_target};
use crate::run::{execute, output, root};
use crate::setup::{self, Needs};
use crate::types;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

/// The largest module a page may have to fetch, Brotli-compressed.
const MAX_COMPRESSED_BYTES: u64 = 1_500_000;

/// The most JavaScript that a visitor fetches before pressing anything, Brotli-compressed: what
/// decides how soon the page is there.
const MAX_FIRST_SCRIPT_BYTES: u64 = 43_000;

/// The same for all scripts together: the engine's worker, and what a button loads.
const MAX_SCRIPT_BYTES: u64 = 80_000;

/// What our WebAssembly uses (SIMD128 by .cargo/config.toml), and `wasm-opt` may. Its
/// `--all-features` writes modules that no browser takes yet.
const FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Builds package and page, prints their sizes, fails if they are too large. Returns the page's
/// folder.
pub(crate) fn run() -> Result<PathBuf> {
    setup::run(&Needs { vulkan: false, chromium: false, firefox: false, wasm: true, node: true })?;
    types::run()?;
    let std = machine::wasm_std().context("no WebAssembly standard library")?;
    execute(&mut wasm_cargo(std, "build", &["--package", "mqt-web", "--profile", "web"]))?;
    let module = wasm_target(std).join(WASM).join("web/mqt_web.wasm");
    let folder = root().join("web/pkg");
    bindings(&module, &folder)?;
    let module = folder.join("mqt_web_bg.wasm");
    shrink(&module)?;
    let compressed = compressed(&module)?;
    println!(
        "size: WebAssembly {} bytes, {compressed} with Brotli (at most {MAX_COMPRESSED_BYTES})",
        std::fs::metadata(&module)?.len()
    );
    if compressed > MAX_COMPRESSED_BYTES {
        bail!(
            "the WebAssembly module has {compressed} bytes with Brotli, {MAX_COMPRESSED_BYTES} are allowed"
        );
    }
    page()
}

/// The page: types checked, bundled, the bundled pack and its samples beside it. Takes `web/pkg` as
/// it is.
pub(crate) fn page() -> Result<PathBuf> {
    if !root().join("web/pkg/mqt_web.js").is_file() {
        bail!("there is no web/pkg yet: `cargo xtask web` without --page makes it");
    }
    let www = root().join("www");
    let dist = www.join("dist");
    let tool = |path: &str, args: &[&str]| -> Result<()> {
        let mut node = machine::with_node("node", &[]);
        execute(node.arg(root().join("node_modules").join(path)).args(args).current_dir(&www))
    };
    tool("typescript/bin/tsc", &["--noEmit"])?;
    tool("vite/bin/vite.js", &["build", "--logLevel", "warn"])?;
    let (from, to) = (root().join("models/toybox"), dist.join("models/toybox"));
    std::fs::create_dir_all(&to)?;
    // The pack is all that lies at the top of that folder, but for the text that explains it.
    let pack = files(&from)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "json" || e == "safetensors"));
    for file in pack {
        let name = file.file_name().context("a file of the pack has no name")?;
        std::fs::copy(&file, to.join(name))
            .with_context(|| format!("copying {}", file.display()))?;
    }
    let (first, all) = script_bytes(&dist)?;
    println!(
        "size: page script {first} bytes with Brotli before a click (at most {MAX_FIRST_SCRIPT_BYTES}), \
         {all} in all (at most {MAX_SCRIPT_BYTES}); open it with `cargo xtask www`"
    );
    if first > MAX_FIRST_SCRIPT_BYTES || all > MAX_SCRIPT_BYTES {
        bail!(
            "the page's scripts have {first} and {all} bytes with Brotli, {MAX_FIRST_SCRIPT_BYTES} and \
             {MAX_SCRIPT_BYTES} are allowed"
        );
    }
    Ok(dist)
}

/// Bytes of the scripts with Brotli: those that `index.html` names and the service worker, which
/// are fetched before a click; and all of them.
fn script_bytes(dist: &Path) -> Result<(u64, u64)> {
    let html = std::fs::read_to_string(dist.join("index.html")).context("reading index.html")?;
    let (mut first, mut all) = (0, 0);
    for script in files(dist)?.into_iter().chain(files(&dist.join("assets"))?) {
        let Some(name) = script.file_name().and_then(|name| name.to_str()) else { continue };
        if !name.ends_with(".js") {
            continue;
        }
        let bytes = compressed(&script)?;
        all += bytes;
        if name == "sw.js" || html.contains(name) {
            first += bytes;
        }
    }
    Ok((first, all))
}

/// The files of a folder, without those of folders inside it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

/// ES modules and TypeScript types beside the module, as `wasm-bindgen --target web` makes them.
fn bindings(module: &Path, folder: &Path) -> Result<()> {
    println!("writing bindings to {}", folder.display());
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true);
    // Without this the caller would have to know the name of the module.
    bindgen.omit_default_module_path(false);
    bindgen.web(true)?.generate(folder).context("wasm-bindgen")
}

/// Runs Binaryen's `wasm-opt`, which the npm package `binaryen` brings.
fn shrink(module: &Path) -> Result<()> {
    let script = root().join("node_modules/binaryen/bin/wasm-opt");
    if !script.is_file() {
        bail!("wasm-opt is not at {}; `cargo xtask setup` brings it", script.display());
    }
    let before = std::fs::metadata(module)?.len();
    let optimised = module.with_extension("wasm.opt");
    let mut node = machine::with_node("node", &[]);
    execute(node.arg(script).arg("-O3").args(FEATURES).arg(module).arg("-o").arg(&optimised))?;
    std::fs::rename(&optimised, module).context("replacing the module by the optimised one")?;
    println!("wasm-opt: {before} → {} bytes", std::fs::metadata(module)?.len());
    Ok(())
}

/// Size of a file with Brotli.
fn compressed(file: &Path) -> Result<u64> {
    let script = "const z = require('zlib'), b = require('fs').readFileSync(process.argv[1]); \
                  console.log(z.brotliCompressSync(b, { params: { [z.constants.BROTLI_PARAM_SIZE_HINT]: b.length } }).length)";
    let mut node = machine::with_node("node", &["-e", script]);
    output(node.arg(file))
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("Node did not compress {}", file.display()))
}
