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
    let rustc = Path::new("/usr/bin/rustc");
    let sysroot = || output(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from);
    Path::new("/usr/bin/cargo").is_file()
        && Path::new(LINKER).is_file()
        && sysroot()
            .is_some_and(|s| s.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
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
    command
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
