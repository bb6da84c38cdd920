//! `cargo xtask web`: `web/` for WebAssembly, and its JavaScript bindings, into `web/pkg`.

use crate::machine::{self, WASM, wasm_cargo, wasm_target};
use crate::run::{execute, output, root};
use crate::setup::{self, Needs};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

/// The largest module a page may have to fetch, Brotli-compressed.
const MAX_COMPRESSED_BYTES: u64 = 1_500_000;

/// What Rust's default WebAssembly uses, and `wasm-opt` may. Its `--all-features` writes modules that no browser takes yet.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Builds the package, prints its size, fails if it is too large. Returns the folder.
pub(crate) fn run() -> Result<PathBuf> {
    setup::run(&Needs { vulkan: false, chromium: false, wasm: true, node: true })?;
    let std = machine::wasm_std().context("no WebAssembly standard library")?;
    execute(&mut wasm_cargo(std, "build", &["--package", "mqt-web", "--profile", "web"]))?;
    let module = wasm_target(std).join(WASM).join("web/mqt_web.wasm");
    let folder = root().join("web/pkg");
    bindings(&module, &folder)?;
    let module = folder.join("mqt_web_bg.wasm");
    shrink(&module)?;
    report_size(&module)?;
    Ok(folder)
}

/// ES modules and TypeScript types beside the module, as `wasm-bindgen --target web` makes them.
fn bindings(module: &Path, folder: &Path) -> Result<()> {
    println!("writing bindings to {}", folder.display());
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).typescript(true).remove_name_section(true).remove_producers_section(true);
    // Without this the caller would have to know the name of the module.
    bindgen.omit_default_module_path(false);
    bindgen.web(true)?.generate(folder).context("wasm-bindgen")
}

/// Runs Binaryen's `wasm-opt`, which the npm package `binaryen` brings.
fn shrink(module: &Path) -> Result<()> {
    let script = root().join("tests/browser/node_modules/binaryen/bin/wasm-opt");
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

fn report_size(module: &Path) -> Result<()> {
    let script = "const z = require('zlib'), b = require('fs').readFileSync(process.argv[1]); \
                  console.log(z.brotliCompressSync(b, { params: { [z.constants.BROTLI_PARAM_SIZE_HINT]: b.length } }).length)";
    let mut node = machine::with_node("node", &["-e", script]);
    let compressed: u64 = output(node.arg(module)).and_then(|text| text.parse().ok()).context("Node did not compress the module")?;
    let plain = std::fs::metadata(module)?.len();
    println!("size: WebAssembly {plain} bytes, {compressed} with Brotli (at most {MAX_COMPRESSED_BYTES})");
    if compressed > MAX_COMPRESSED_BYTES {
        bail!("the WebAssembly module has {compressed} bytes with Brotli, {MAX_COMPRESSED_BYTES} are allowed");
    }
    Ok(())
}
