//! `cargo xtask setup`: installs what the tests need where it can, says exactly what is missing
//! where it cannot.
//!
//! Quick when all is there: a handful of file look-ups and three short processes.

use crate::machine::{self, NODE, WASM};
use crate::run::{execute, output, program, root, target};
use anyhow::{Context, Result, bail};

/// What a choice of steps needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// A software Vulkan driver.
    pub(crate) vulkan: bool,
    /// Chromium, for itself or for its SwiftShader.
    pub(crate) chromium: bool,
    /// Firefox, another engine for the page.
    pub(crate) firefox: bool,
    /// The WebAssembly standard library.
    pub(crate) wasm: bool,
    /// Node and the npm packages of the browser package, the page and the browser tests.
    pub(crate) node: bool,
}

impl Needs {
    pub(crate) fn all() -> Needs {
        Needs { vulkan: true, chromium: true, firefox: true, wasm: true, node: true }
    }
}

/// Installs what is needed and missing; fails with one sentence for each thing that stays missing.
pub(crate) fn run(needs: &Needs) -> Result<()> {
    let mut apt = Apt::default();
    let mut missing: Vec<String> = Vec::new();
    if needs.vulkan && cfg!(target_os = "linux") && !vulkan() {
        apt.try_install(&["mesa-vulkan-drivers", "libvulkan1"]);
        if !vulkan() {
            missing.push(
                apt.sentence(
                    "a software Vulkan driver and loader",
                    "mesa-vulkan-drivers libvulkan1",
                ),
            );
        }
    }
    if needs.chromium && machine::chromium().is_none() {
        apt.try_install(&["chromium"]);
        if machine::chromium().is_none() {
            let what = "Chromium (MQT_CHROMIUM may name one that is elsewhere)";
            missing.push(apt.sentence(what, "chromium"));
        }
    }
    if needs.firefox && machine::firefox().is_none() {
        apt.try_install(&["firefox-esr"]);
        if machine::firefox().is_none() {
            let what = "Firefox (MQT_FIREFOX may name one that is elsewhere)";
            missing.push(apt.sentence(what, "firefox-esr"));
        }
    }
    if needs.wasm && machine::wasm_std().is_none() {
        wasm_std(&mut apt);
        if machine::wasm_std().is_none() {
            let what = format!(
                "a WebAssembly standard library (`rustup target add {WASM}` is the other way)"
            );
            missing.push(apt.sentence(&what, DEBIAN_WASM));
        }
    }
    if needs.node {
        if machine::node().is_none() {
            node(&mut apt);
        }
        if machine::node().is_none() {
            missing.push(
                apt.sentence(
                    &format!("Node {}.{} or later with npm", NODE.0, NODE.1),
                    "nodejs npm",
                ),
            );
        } else if let Err(error) = npm_packages() {
            missing.push(format!("the npm packages: {error:#}"));
        }
    }
    report(needs);
    if !missing.is_empty() {
        bail!("this is missing:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

fn report(needs: &Needs) {
    let path =
        |path: Option<std::path::PathBuf>| path.map_or("none".into(), |p| p.display().to_string());
    if needs.vulkan {
        println!("Vulkan driver   {}", path(machine::lavapipe()));
    }
    if needs.chromium {
        println!("Chromium        {}", path(machine::chromium()));
        println!("SwiftShader     {}", path(machine::swiftshader()));
    }
    if needs.firefox {
        println!("Firefox         {}", path(machine::firefox()));
    }
    if needs.wasm {
        println!(
            "WebAssembly     {}",
            machine::wasm_std().map_or("none".into(), |std| format!("{std:?}"))
        );
    }
    if needs.node {
        println!("Node            {}", path(machine::node()));
    }
}

fn vulkan() -> bool {
    machine::lavapipe().is_some() && machine::vulkan_loader().is_some()
}

const DEBIAN_WASM: &str = "rustc-web cargo-web rust-web-src lld-19";

fn wasm_std(apt: &mut Apt) {
    let forced = std::env::var("MQT_WASM_STD").is_ok_and(|v| v == "debian");
    if !forced {
        // Refused where the toolchain server is out of reach, or where Rust did not come from
        // rustup.
        if execute(&mut program("rustup", &["target", "add", WASM])).is_ok()
            && machine::wasm_std().is_some()
        {
            return;
        }
    }
    apt.try_install(&DEBIAN_WASM.split(' ').collect::<Vec<_>>());
}

/// Debian's Node may be too old; then the npm package `node` brings a newer one into `target/node`.
fn node(apt: &mut Apt) {
    if output(&mut program("npm", &["--version"])).is_none() {
        apt.try_install(&["nodejs", "npm"]);
    }
    if machine::node().is_none() {
        let folder = target().join("node");
        let made = std::fs::create_dir_all(&folder);
        if made.is_ok() {
            let mut npm =
                program("npm", &["install", "--no-audit", "--no-fund", "--no-save", "node@22"]);
            // Its install script only unpacks a package that the registry holds.
            let _ = execute(npm.current_dir(&folder));
        }
    }
}

fn npm_packages() -> Result<()> {
    if machine::npm_packages() {
        return Ok(());
    }
    let folder = root();
    let mut npm = machine::with_node("npm", &["ci", "--no-audit", "--no-fund"]);
    execute(npm.current_dir(&folder))?;
    std::fs::copy(folder.join("package-lock.json"), folder.join(machine::NPM_STAMP))
        .context("noting the lock file")?;
    Ok(())
}

/// `apt-get`, where there is one and we may use it.
#[derive(Default)]
struct Apt {
    updated: bool,
}

impl Apt {
    /// Installs the packages if that is possible; whether it helped is seen by looking for the
    /// thing itself.
    fn try_install(&mut self, packages: &[&str]) {
        let Some(prefix) = Apt::prefix() else { return };
        let apt = |args: &[&str]| {
            let words: Vec<&str> = prefix
                .iter()
                .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
                .chain(args)
                .copied()
                .collect();
            execute(&mut program(words[0], &words[1..]))
        };
        if !self.updated {
            self.updated = true;
            let _ = apt(&["update", "-qq"]);
        }
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(packages);
        let _ = apt(&args);
    }

    /// What to put before a command to run it as root: nothing, `sudo -n`, or `None` if we cannot.
    fn prefix() -> Option<&'static [&'static str]> {
        output(&mut program("apt-get", &["--version"]))?;
        if output(&mut program("id", &["-u"])).as_deref() == Some("0") {
            return Some(&[]);
        }
        output(&mut program("sudo", &["-n", "true"])).map(|_| &["sudo", "-n"] as &[&str])
    }

    fn sentence(&self, what: &str, packages: &str) -> String {
        match Apt::prefix() {
            Some(_) => format!(
                "{what}: `apt-get install {packages}` did not bring it (see its output above)"
            ),
            None => format!("{what}: as root, on Debian or Ubuntu, `apt-get install {packages}`"),
        }
    }
}
