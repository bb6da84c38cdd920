//! `cargo xtask targets`: whether `mqt` compiles for the systems that are not this one. Nothing is
//! linked and nothing runs, so neither their linkers nor their C compilers are needed.

use crate::machine;
use crate::run::{execute, target};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// DirectX 12, Metal on both kinds of processor, Vulkan on ARM.
const TARGETS: [&str; 4] = [
    "x86_64-pc-windows-msvc",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
    "aarch64-unknown-linux-gnu",
];

/// Some crates compile C in their build scripts. For a check an empty file does as well.
const STAND_IN: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    -o) shift; out=$1 ;;
    -out:* | -OUT:*) out=${1#*:} ;;
    -Fo*) out=${1#-Fo} ;;
    *.a) out=$1 ;;
  esac
  shift
done
[ -z "$out" ] || : > "$out"
"#;

/// Checks `mqt`'s library and program for the systems named, or for all.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let unknown = wanted.iter().find(|name| !TARGETS.contains(&name.as_str()));
    if let Some(name) = unknown {
        bail!("{name} is none of {}", TARGETS.join(", "));
    }
    let stand_in = stand_in(&target())?;
    for name in TARGETS.iter().filter(|&name| wanted.is_empty() || wanted.iter().any(|w| w == name))
    {
        let mut check = machine::check_for(name, &["--package", "mqt"]).with_context(|| {
            format!(
                "there is no standard library for {name}: `rustup target add {name}`, or install \
                 Debian's rustc-web, cargo-web and rust-web-src"
            )
        })?;
        let variable = name.replace('-', "_");
        for tool in ["CC", "AR"] {
            check.env(format!("{tool}_{variable}"), &stand_in);
        }
        execute(&mut check)?;
    }
    Ok(())
}

fn stand_in(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("stand-in-cc");
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, STAND_IN).with_context(|| format!("writing {}", path.display()))?;
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(path)
}
