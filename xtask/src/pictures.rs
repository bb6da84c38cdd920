//! `cargo xtask pictures`: generates hundreds of pictures of every format, reads each with `mqt`
//! and with Pillow, and compares.

use crate::run::{cargo, execute, program, target};
use anyhow::Result;

/// Runs `xtask/pictures/compare.py <args>` in a virtual environment of its own,
/// `target/pictures/venv`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let python = crate::python::pictures()?;
    execute(&mut cargo(&["build", "--quiet", "--example", "pixels"]))?;
    let reader = target().join(if cfg!(windows) {
        "debug/examples/pixels.exe"
    } else {
        "debug/examples/pixels"
    });
    let mut compare = program(&python, &["xtask/pictures/compare.py", "--reader"]);
    execute(compare.arg(reader).arg("--files").arg(target().join("pictures/files")).args(args))
}
