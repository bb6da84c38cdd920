//! `cargo xtask package`: what others install. The crate for crates.io, under its limit, and the
//! npm package in `web/dist`.

use crate::machine;
use crate::run::{cargo, execute, root, target};
use crate::web;
use anyhow::{Context, Result, bail};

/// crates.io takes packages up to this size.
const MOST_CRATE_BYTES: u64 = 10 << 20;

/// Builds what the packages are made of, makes both, and lets npm say what it would publish.
pub(crate) fn run() -> Result<()> {
    web::run()?;
    npm()?;
    check()
}

/// The npm package, from what `cargo xtask web` built: `web/build.mjs` says what is in it.
pub(crate) fn npm() -> Result<()> {
    let module = root().join("web/pkg/mqt_web_bg.wasm");
    if !module.is_file() {
        bail!("{} is missing; `cargo xtask web` builds it", module.display());
    }
    let mut node = machine::with_node("node", &[]);
    execute(node.arg(root().join("web/build.mjs")).current_dir(root()))
}

/// The package for crates.io holds what it needs and stays under the limit; npm would publish ours.
/// Nothing is sent, and no network is needed.
pub(crate) fn check() -> Result<()> {
    execute(&mut cargo(&["package", "--package", "mqt", "--no-verify", "--allow-dirty"]))?;
    let version = env!("CARGO_PKG_VERSION");
    let file = target().join(format!("package/mqt-{version}.crate"));
    let bytes = std::fs::metadata(&file).with_context(|| file.display().to_string())?.len();
    println!("size: the crate has {bytes} bytes (at most {MOST_CRATE_BYTES})");
    if bytes > MOST_CRATE_BYTES {
        bail!("the crate has {bytes} bytes, crates.io takes {MOST_CRATE_BYTES}");
    }
    let dist = root().join("web/dist");
    if !dist.join("package.json").is_file() {
        bail!("there is no npm package in {}; `cargo xtask package` makes it", dist.display());
    }
    for args in [["pack", "--dry-run", "--offline"], ["publish", "--dry-run", "--offline"]] {
        let mut npm = machine::with_node("npm", &args);
        execute(npm.arg("--loglevel=error").current_dir(&dist))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_npm_package_has_the_crates_version() {
        let read = |name: &str| -> Value {
            let text = std::fs::read_to_string(root().join(name)).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(read("web/package.json")["version"], version);
        assert_eq!(read("www/package.json")["dependencies"]["mqt-web"], version);
        assert_eq!(read("package-lock.json")["packages"]["web"]["version"], version);
    }
}
