//! What this machine has: drivers, browser, Node, a WebAssembly standard library. Looks, changes
//! nothing.

use crate::run::{cargo, output, program, root, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of the browser build.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// The oldest Node that Playwright and Vite run on.
pub(crate) const NODE: (u32, u32) = (20, 19);

/// Mesa's software Vulkan driver: the manifest that the Vulkan loader takes.
pub(crate) fn lavapipe() -> Option<PathBuf> {
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    folders.iter().find_map(|folder| {
        let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        files.into_iter().find(|path| {
            file_name(path).starts_with("lvp_icd") && file_name(path).ends_with(".json")
        })
    })
}

/// The Vulkan loader.
pub(crate) fn vulkan_loader() -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    let folders = [
        format!("/usr/lib/{arch}-linux-gnu"),
        "/usr/lib64".into(),
        "/usr/lib".into(),
        "/usr/local/lib".into(),
    ];
    first_file(folders.iter().map(|folder| Path::new(folder).join("libvulkan.so.1")))
}

/// Chromium, or a browser that is one.
pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("MQT_CHROMIUM") {
        return Some(path.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    first_file(names.iter().map(|name| Path::new("/usr/bin").join(name)))
}

/// Firefox.
pub(crate) fn firefox() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("MQT_FIREFOX") {
        return Some(path.into());
    }
    first_file(["firefox-esr", "firefox"].iter().map(|name| Path::new("/usr/bin").join(name)))
}

/// SwiftShader as a Vulkan driver, which Chromium ships.
pub(crate) fn swiftshader() -> Option<PathBuf> {
    let folders = ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"];
    first_file(folders.iter().map(|folder| Path::new(folder).join("vk_swiftshader_icd.json")))
}

/// Node, if it is new enough: the system's, or the one that `setup` put into `target`.
pub(crate) fn node() -> Option<PathBuf> {
    let own = own_node();
    let new_enough = |node: &PathBuf| version(node).is_some_and(|v| v >= NODE);
    let places = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|p| p.join("node"))
        .collect::<Vec<_>>();
    std::iter::once(own).chain(places).filter(|node| node.is_file()).find(new_enough)
}

/// Where `setup` puts Node if the system's is missing or too old.
pub(crate) fn own_node() -> PathBuf {
    target().join("node/node_modules/node/bin/node")
}

fn version(node: &Path) -> Option<(u32, u32)> {
    let text = output(Command::new(node).arg("--version"))?;
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// `node` or `npm`, with our Node first on the path.
pub(crate) fn with_node(name: &str, args: &[&str]) -> Command {
    let mut command = program(name, args);
    if let Some(folder) = node().as_deref().and_then(Path::parent) {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            std::iter::once(folder.to_owned()).chain(std::env::split_paths(&rest)),
        );
        command.env("PATH", path.unwrap_or(rest));
    }
    command
}

/// Whether the npm packages are there and are those of the lock file.
pub(crate) fn npm_packages() -> bool {
    let folder = root();
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    read("package-lock.json").is_some() && read("package-lock.json") == read(NPM_STAMP)
}

/// A copy of the lock file the installed packages were made from, beside them.
pub(crate) const NPM_STAMP: &str = "node_modules/.installed-from";

/// Where the standard library for WebAssembly comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WasmStd {
    /// The toolchain in use has it.
    Installed,
    /// Debian's compiler builds it from Debian's sources (`rustc-web`, `cargo-web`, `rust-web-src`,
    /// `lld-19`).
    Debian,
}

/// The standard library for WebAssembly that is there now.
pub(crate) fn wasm_std() -> Option<WasmStd> {
    let forced = std::env::var("MQT_WASM_STD").is_ok_and(|v| v == "debian");
    if !forced
        && output(&mut program("rustc", &["--print", "sysroot"]))
            .is_some_and(|s| has_wasm(Path::new(&s)))
    {
        return Some(WasmStd::Installed);
    }
    debian_wasm().then_some(WasmStd::Debian)
}

fn has_wasm(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib").join(WASM).join("lib").is_dir()
}

fn debian_wasm() -> bool {
    Path::new(LINKER).is_file() && debian_sources().is_some()
}

/// The sources of a standard library for Debian's compiler.
fn debian_sources() -> Option<PathBuf> {
    let sysroot = output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    let is_there = Path::new("/usr/bin/cargo").is_file();
    (is_there && library.join("std/Cargo.toml").is_file()).then_some(library)
}

const LINKER: &str = "/usr/bin/wasm-ld-19";

/// Cargo for the WebAssembly target: `cargo <task> --target wasm32-unknown-unknown <args>`.
pub(crate) fn wasm_cargo(std: WasmStd, task: &str, args: &[&str]) -> Command {
    let mut command = match std {
        WasmStd::Installed => cargo(&[task]),
        WasmStd::Debian => {
            let mut command = program("/usr/bin/cargo", &[task, "-Z", "build-std=std,panic_abort"]);
            command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER);
            // Another compiler's build would evict this one's.
            command.env("CARGO_TARGET_DIR", wasm_target(std));
            command
        }
    };
    command.args(["--target", WASM]).args(args);
    // To measure what the vectors bring.
    if std::env::var("MQT_WASM_SIMD").is_ok_and(|v| v == "off") {
        command.env("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}target-feature=-simd128");
        return command;
    }
    // Flags in the environment replace those of .cargo/config.toml.
    for (name, between) in [("CARGO_ENCODED_RUSTFLAGS", "\u{1f}"), ("RUSTFLAGS", " ")] {
        if let Ok(outer) = std::env::var(name) {
            command.env(name, with_simd(&outer, between));
            break;
        }
    }
    command
}

/// Flags of the compiler, and vectors of 128 bits, as .cargo/config.toml has them.
fn with_simd(outer: &str, between: &str) -> String {
    let own = ["-C", "target-feature=+simd128"].join(between);
    if outer.is_empty() { own } else { [outer, &own].join(between) }
}

/// Cargo for another system: `cargo check --target <target> <args>`, with the toolchain's standard
/// library, or with Debian's sources of one. `None` where there is neither.
pub(crate) fn check_for(target: &str, args: &[&str]) -> Option<Command> {
    let sysroot = output(&mut program("rustc", &["--print", "sysroot"]))?;
    let has = Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir();
    let mut command = if has {
        cargo(&["check"])
    } else {
        let (compiler, sysroot) = ("/usr/bin/rustc", debian_sources()?);
        let mut command = program("/usr/bin/cargo", &["check", "-Z", "build-std=std,panic_abort"]);
        command.env("RUSTC", compiler).env("RUSTC_BOOTSTRAP", "1");
        // Another compiler's build would evict this one's.
        command.env("CARGO_TARGET_DIR", self::target().join("debian"));
        println!("standard library from {}", sysroot.display());
        command
    };
    command.args(["--target", target]).args(args);
    Some(command)
}

/// Where [`wasm_cargo`] puts what it builds.
pub(crate) fn wasm_target(std: WasmStd) -> PathBuf {
    match std {
        WasmStd::Installed => target(),
        WasmStd::Debian => target().join("debian"),
    }
}

fn first_file(mut paths: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    paths.find(|path| path.is_file())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_from_outside_are_kept_beside_our_own() {
        assert_eq!(with_simd("-Dwarnings", " "), "-Dwarnings -C target-feature=+simd128");
        assert_eq!(with_simd("", "|"), "-C|target-feature=+simd128");
    }
}
