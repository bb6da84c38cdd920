//! Starting programs, and saying so.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the repository").to_owned()
}

/// Where Cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The Cargo that runs this task, started in the repository's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = program(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args);
    // `cargo run` sets these for us; passed on, they would make a second Cargo build some packages
    // again.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// A program, started in the repository's root.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    command
}

/// Shows the command, runs it with our own output, and fails if it fails.
pub(crate) fn execute(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Writes a file that is made from others, if it is another one now.
pub(crate) fn write_made(file: &str, text: &str) -> Result<()> {
    let path = root().join(file);
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        println!("{file} is up to date");
        return Ok(());
    }
    std::fs::write(&path, text).with_context(|| format!("writing {file}"))?;
    println!("wrote {file}");
    Ok(())
}

/// What the command printed, or `None` if it is not there or failed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn line(command: &Command) -> String {
    let name = |path: &std::ffi::OsStr| match std::path::Path::new(path).file_name() {
        Some(name) => name.display().to_string(),
        None => path.display().to_string(),
    };
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(key, value)| {
            value.map(|value| format!("{}={}", key.display(), value.display()))
        })
        .filter(|word| !word.starts_with("PATH="))
        .collect();
    words.push(name(command.get_program()));
    words.extend(command.get_args().map(|a| a.display().to_string()));
    words.join(" ")
}
