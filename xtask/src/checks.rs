//! Checks of what surrounds the code: licences and sources of dependencies, the fuzz targets.

use crate::run::{cargo, execute, output, root, target};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;

/// What `deny.toml` says about licences, held without `cargo deny`, which takes minutes to build.
struct Policy {
    allowed: BTreeSet<String>,
    /// (crate, licence)
    exceptions: BTreeSet<(String, String)>,
}

impl Policy {
    fn read() -> Result<Policy> {
        let text = std::fs::read_to_string(root().join("deny.toml")).context("deny.toml")?;
        let section = text.split("[licenses]").nth(1).context("deny.toml has no [licenses]")?;
        let section = section.split("\n[").next().unwrap_or_default();
        let (mut allowed, mut exceptions) = (BTreeSet::new(), BTreeSet::new());
        for line in section.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            match quoted[..] {
                [licence] => _ = allowed.insert(licence.to_owned()),
                [name, licence] => _ = exceptions.insert((name.to_owned(), licence.to_owned())),
                _ => {}
            }
        }
        Ok(Policy { allowed, exceptions })
    }

    /// Whether an SPDX expression can be fulfilled: every part of an AND, one part of an OR.
    fn allows(&self, name: &str, expression: &str) -> bool {
        // Parentheses bind tighter; what is in use nests one level at most.
        if let (Some(open), Some(close)) = (expression.find('('), expression.rfind(')'))
            && open < close
        {
            let inner = self.allows(name, &expression[open + 1..close]);
            let stand_in = if inner { "MIT" } else { "none" };
            let rest = format!("{}{stand_in}{}", &expression[..open], &expression[close + 1..]);
            return self.allows(name, &rest);
        }
        let one = |licence: &str| {
            let licence = licence.trim();
            self.allowed.contains(licence)
                || self.exceptions.contains(&(name.to_owned(), licence.to_owned()))
        };
        expression.replace('/', " OR ").split(" OR ").any(|choice| choice.split(" AND ").all(one))
    }
}

/// Every dependency has a licence that `deny.toml` allows, a version, and comes from a registry.
pub(crate) fn licences() -> Result<()> {
    let policy = Policy::read()?;
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))
        .context("`cargo metadata --locked` failed; is Cargo.lock up to date?")?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("metadata without packages")?;
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(source) = package["source"].as_str() else { continue };
        if !source.starts_with("registry+") {
            faults.push(format!("{name} comes from {source}, not from a registry"));
        }
        match package["license"].as_str() {
            Some(licence) if policy.allows(name, licence) => {}
            licence => faults.push(format!("{name}: the licence {licence:?} is not allowed")),
        }
    }
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["req"] == "*" && dependency["path"].is_null() {
                let (of, name) = (&package["name"], &dependency["name"]);
                faults.push(format!("{of} takes any version of {name}"));
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("{} packages, every licence is one that deny.toml allows", packages.len());
    Ok(())
}

/// The fuzz targets still compile: nobody would notice before the day they are needed.
pub(crate) fn fuzz() -> Result<()> {
    let mut check = cargo(&["check", "--manifest-path", "fuzz/Cargo.toml", "--lib", "--bins"]);
    execute(check.env("CARGO_TARGET_DIR", target().join("fuzz")))
}
