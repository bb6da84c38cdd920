//! `cargo xtask test`: everything that CI runs, one step after the other; all run, then a summary.
//!
//! Nothing is skipped in silence: a step is left out only by `--only` or `--without`, and the
//! summary says so.

use crate::checks;
use crate::machine::{self, wasm_cargo};
use crate::package;
use crate::run::{cargo, execute, root, target};
use crate::setup::{self, Needs};
use crate::web;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

struct Step {
    name: &'static str,
    what: &'static str,
    /// Another step whose failure makes this one pointless.
    after: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", what: "formatting", after: "", run: fmt },
    Step { name: "clippy", what: "lints, native", after: "", run: clippy },
    Step {
        name: "clippy-wasm",
        what: "lints, WebAssembly, library without default features",
        after: "",
        run: clippy_wasm,
    },
    Step { name: "test", what: "tests on llvmpipe", after: "", run: test },
    Step { name: "swiftshader", what: "GPU tests on SwiftShader", after: "test", run: swiftshader },
    Step {
        name: "web",
        what: "WebAssembly, page and npm package: build, types, sizes",
        after: "",
        run: || web::run().and_then(|_| package::npm()),
    },
    Step {
        name: "browser",
        what: "kernels, answers and the page in headless Chromium",
        after: "web",
        run: browser,
    },
    Step { name: "biome", what: "TypeScript: formatting and lints", after: "", run: biome },
    Step { name: "doc", what: "documentation", after: "", run: doc },
    Step {
        name: "licences",
        what: "licences and sources of dependencies",
        after: "",
        run: checks::licences,
    },
    Step { name: "fuzz", what: "fuzz targets: types", after: "", run: checks::fuzz },
    Step {
        name: "package",
        what: "the crate and the npm package, as they would be published",
        after: "web",
        run: package::check,
    },
];

/// Runs the chosen steps; fails if one failed.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let chosen = choose(args)?;
    let has = |name: &str| chosen.contains(&name);
    let start = Instant::now();
    let mut rows: Vec<(&str, String)> = Vec::new();
    if has("setup") {
        heading("setup", "what the tests need");
        let native = has("test") || has("swiftshader");
        setup::run(&Needs {
            vulkan: native,
            chromium: has("swiftshader") || has("browser"),
            firefox: has("browser"),
            wasm: has("clippy-wasm") || has("web"),
            node: has("web") || has("browser") || has("biome"),
        })?;
        rows.push(("setup", format!("ok      {}", seconds(start))));
    }
    let mut failed: Vec<&str> = Vec::new();
    for step in STEPS {
        if !has(step.name) {
            rows.push((step.name, "left out on request".into()));
            continue;
        }
        if failed.contains(&step.after) {
            failed.push(step.name);
            rows.push((step.name, format!("not run, because {} failed", step.after)));
            continue;
        }
        heading(step.name, step.what);
        let start = Instant::now();
        match (step.run)() {
            Ok(()) => rows.push((step.name, format!("ok      {}", seconds(start)))),
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(step.name);
                rows.push((step.name, format!("FAILED  {}", seconds(start))));
            }
        }
        println!("-- {} took {}", step.name, seconds(start).trim());
    }
    println!("\n== summary");
    for (name, row) in rows {
        println!("{name:<12} {row}");
    }
    println!("{:<12} {}", "in all", seconds(start).trim());
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn choose(args: &[String]) -> Result<Vec<&'static str>> {
    let all: Vec<&str> =
        std::iter::once("setup").chain(STEPS.iter().map(|step| step.name)).collect();
    let (flag, names) = match args {
        [] => return Ok(all),
        [flag, names] if flag == "--only" || flag == "--without" => (flag, names),
        _ => bail!(
            "usage: cargo xtask test [--only STEP[,STEP] | --without STEP[,STEP]]; steps: {}",
            all.join(" ")
        ),
    };
    let names: Vec<&str> = names.split(',').collect();
    if let Some(name) = names.iter().find(|name| !all.contains(*name)) {
        bail!("there is no step {name}; steps: {}", all.join(" "));
    }
    let keep = |name: &&str| names.contains(name) == (flag == "--only");
    Ok(all.into_iter().filter(keep).collect())
}

fn heading(name: &str, what: &str) {
    println!("\n== {name}: {what}");
}

fn seconds(since: Instant) -> String {
    format!("{:>6.1} s", since.elapsed().as_secs_f64())
}

fn fmt() -> Result<()> {
    execute(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    execute(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// The shell in `web/` takes the library as a browser gets it, so one call lints both.
fn clippy_wasm() -> Result<()> {
    let std = machine::wasm_std().context("no WebAssembly standard library")?;
    let packages = ["--package", "mqt", "--package", "mqt-web", "--lib", "--no-default-features"];
    match std {
        machine::WasmStd::Installed => {
            execute(wasm_cargo(std, "clippy", &packages).args(["--", "-D", "warnings"]))
        }
        // Debian's compiler comes without clippy; the compiler's own warnings still count.
        machine::WasmStd::Debian => execute(
            wasm_cargo(std, "check", &packages)
                .env("RUSTFLAGS", "-D warnings -C target-feature=+simd128"),
        ),
    }
}

fn test() -> Result<()> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    match machine::lavapipe() {
        Some(driver) => execute(on_driver(&mut command, &driver)),
        None if cfg!(target_os = "linux") => {
            bail!("Mesa's software Vulkan driver is not installed")
        }
        // Elsewhere the machine's own adapter stands in.
        None => execute(command.env("REQUIRE_GPU", "1")),
    }
}

/// The same tests on a driver that differs in every way that a kernel can notice (subgroups of 4,
/// no f16).
fn swiftshader() -> Result<()> {
    let Some(driver) = machine::swiftshader() else {
        if cfg!(target_os = "linux") {
            bail!(
                "there is no vk_swiftshader_icd.json beside Chromium; Debian's package `chromium` has one"
            );
        }
        println!("not run: SwiftShader as a Vulkan driver is tested on Linux");
        return Ok(());
    };
    // The whole workspace, so that Cargo resolves the same features and compiles nothing twice; of
    // its tests those that compute on an adapter. The others ran in the step before, and no driver
    // changes them.
    let mut command = cargo(&[
        "test",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--test",
        "toybox",
        "--test",
        "layouts",
        "--test",
        "families",
        "--test",
        "forms",
        "--test",
        "cli",
        "--",
    ]);
    command.args(NO_DRIVER.iter().flat_map(|name| ["--skip", name]));
    // wgpu then hides every native feature and limit: what passes needs WebGPU's defaults only.
    command.env("WGPU_STRICT_WEBGPU_COMPLIANCE", "1");
    execute(on_driver(&mut command, &driver))
}

/// Tests of files, texts, servers and arguments; the two long ones of what quantising weights and
/// activations does to answers, which no driver changes (the kernels' cases compare the sums
/// themselves); and the program's own run of those cases, which are the library's.
const NO_DRIVER: &[&str] = &[
    "quantisation_changes_few_answers",
    "bytes_change_few_answers",
    "the_doctor_finds_everything_right",
    "image::",
    "text::",
    "weights::",
    "cli::bad_",
    "cli::cache",
    "cli::clips",
    "cli::commands",
    "cli::eval",
    "cli::folders",
    "cli::interrupted",
    "cli::odd_model",
    "cli::outputs",
    "cli::pull",
    "cli::serve",
    "cli::streams",
    "cli::terminal",
];

/// Makes `driver` the only Vulkan driver, and its absence a failure.
fn on_driver<'a>(command: &'a mut Command, driver: &Path) -> &'a mut Command {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa looks for a window system and complains on stderr, once for every instance.
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    // The second name is for loaders before 1.3.207.
    command.env("VK_DRIVER_FILES", driver).env("VK_ICD_FILENAMES", driver).env("REQUIRE_GPU", "1")
}

fn browser() -> Result<()> {
    let chromium = machine::chromium().context("Chromium is not installed")?;
    let firefox = machine::firefox().context("Firefox is not installed")?;
    // The tests compare with the native binary; after the step `test` this compiles nothing.
    execute(&mut cargo(&["build", "--workspace", "--bin", "mqt"]))?;
    let binary = target().join("debug").join(format!("mqt{}", std::env::consts::EXE_SUFFIX));
    let cli = root().join("node_modules/@playwright/test/cli.js");
    // The page with its engine in the browser, then some of it with the program for an engine.
    for config in ["playwright.config.mjs", "native.config.mjs"] {
        let mut playwright = machine::with_node("node", &[]);
        playwright.arg(&cli).args(["test", "--config", config]);
        playwright.current_dir(root().join("tests/browser"));
        playwright.env("MQT_CHROMIUM", &chromium).env("MQT_FIREFOX", &firefox);
        playwright.env("MQT_BIN", &binary);
        if let Some(driver) = machine::lavapipe() {
            on_driver(&mut playwright, &driver);
        }
        execute(&mut playwright)?;
    }
    Ok(())
}

/// The rules, and those that are off, stand in `biome.json`.
fn biome() -> Result<()> {
    let mut node = machine::with_node("node", &[]);
    node.arg(root().join("node_modules/@biomejs/biome/bin/biome"));
    execute(node.args(["ci", "--error-on-warnings", "."]).current_dir(root()))
}

fn doc() -> Result<()> {
    execute(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
