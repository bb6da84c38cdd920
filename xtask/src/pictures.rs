//! `cargo xtask pictures`: generates hundreds of pictures of every format, reads each with `mqt`
//! and with Pillow, and compares.

use crate::run::{cargo, execute, program, root, target};
use anyhow::{Context, Result};

/// Runs `xtask/pictures/compare.py <args>` in a virtual environment of its own,
/// `target/pictures/venv`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted = std::fs::read(root().join("xtask/pictures/requirements.txt"))
        .context("xtask/pictures/requirements.txt")?;
    let folder = target().join("pictures");
    let venv = folder.join("venv");
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = venv.join("requirements.txt");
    if std::fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        let base = if cfg!(windows) { "python" } else { "python3" };
        execute(program(base, &["-m", "venv"]).arg(&venv))?;
        execute(&mut program(
            &python,
            &["-m", "pip", "install", "--quiet", "-r", "xtask/pictures/requirements.txt"],
        ))?;
        std::fs::write(&stamp, wanted).context("noting the requirements")?;
    }
    execute(&mut cargo(&["build", "--quiet", "--example", "pixels"]))?;
    let reader = target().join(if cfg!(windows) {
        "debug/examples/pixels.exe"
    } else {
        "debug/examples/pixels"
    });
    let mut compare = program(&python, &["xtask/pictures/compare.py", "--reader"]);
    execute(compare.arg(reader).arg("--files").arg(folder.join("files")).args(args))
}
