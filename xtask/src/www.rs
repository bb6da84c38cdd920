//! `cargo xtask www`: serves `www/dist` on this machine, with the server that the browser tests
//! use.

use crate::machine;
use crate::run::{execute, root};
use crate::setup::{self, Needs};
use anyhow::{Result, bail};

/// Serves until interrupted. The only argument is the port.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let port = match args {
        [] => "8080",
        [port] if port.parse::<u16>().is_ok() => port,
        _ => bail!("usage: cargo xtask www [PORT]"),
    };
    if !root().join("www/dist/index.html").is_file() {
        bail!("there is no www/dist yet: `cargo xtask web` builds it");
    }
    setup::run(&Needs { vulkan: false, chromium: false, firefox: false, wasm: false, node: true })?;
    let mut node = machine::with_node("node", &[]);
    execute(node.arg(root().join("www/serve.mjs")).arg(port))
}
