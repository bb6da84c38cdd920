//! Tasks in Python, each in a virtual environment of its own below `target`.

use crate::run::{execute, program, root, target};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The Python of the environment `target/<name>`, made anew when `requirements` (a file of the
/// repository) has changed.
fn environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let wanted =
        std::fs::read(root().join(requirements)).with_context(|| requirements.to_owned())?;
    let venv = target().join(name);
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = venv.join("requirements.txt");
    if std::fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        let base = if cfg!(windows) { "python" } else { "python3" };
        execute(program(base, &["-m", "venv"]).arg(&venv))?;
        let install = ["-m", "pip", "install", "--quiet", "-r", requirements];
        execute(&mut program(&python, &install))?;
        std::fs::write(&stamp, wanted).context("noting the requirements")?;
    }
    Ok(python)
}

/// `cargo xtask golden`: writes the reference files of `tests/golden` again, with PyTorch.
pub(crate) fn golden(args: &[String]) -> Result<()> {
    let python = environment("golden", "tests/golden/requirements.txt")?;
    execute(program(&python, &["tests/golden/make_golden.py"]).args(args))
}

/// `cargo xtask training`: the tests of what trains the toybox. They need PyTorch, so CI leaves
/// them out.
pub(crate) fn training() -> Result<()> {
    let python = environment("training", "training/requirements.txt")?;
    execute(program(&python, &["-m", "unittest"]).current_dir(root().join("training")))
}

/// The Python of `cargo xtask pictures`.
pub(crate) fn pictures() -> Result<PathBuf> {
    environment("pictures/venv", "xtask/pictures/requirements.txt")
}
