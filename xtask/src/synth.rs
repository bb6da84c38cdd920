//! `cargo xtask synth`: a synthetic checkpoint, by the library's own writer (`src/synth`).

use crate::run::{cargo, execute};
use anyhow::Result;
use std::path::Path;

/// Builds and runs `examples/synth.rs` with these arguments; paths are the caller's.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut command =
        cargo(&["run", "--release", "--quiet", "--package", "mqt", "--example", "synth", "--"]);
    let here = std::env::current_dir()?;
    let mut path_follows = false;
    for arg in args {
        if path_follows {
            command.arg(here.join(Path::new(arg)));
        } else {
            command.arg(arg);
        }
        path_follows = matches!(arg.as_str(), "-o" | "--output");
    }
    execute(&mut command)
}
