//! `cargo xtask golden`: writes the reference files of `tests/golden` again, with PyTorch.

use crate::run::{execute, program, root, target};
use anyhow::{Context, Result};

/// Runs `tests/golden/make_golden.py <args>` in a virtual environment of its own, `target/golden`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted = std::fs::read(root().join("tests/golden/requirements.txt"))
        .context("tests/golden/requirements.txt")?;
    let venv = target().join("golden");
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = venv.join("requirements.txt");
    if std::fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        let base = if cfg!(windows) { "python" } else { "python3" };
        execute(program(base, &["-m", "venv"]).arg(&venv))?;
        execute(&mut program(
            &python,
            &["-m", "pip", "install", "--quiet", "-r", "tests/golden/requirements.txt"],
        ))?;
        std::fs::write(&stamp, wanted).context("noting the requirements")?;
    }
    execute(program(&python, &["tests/golden/make_golden.py"]).args(args))
}
