//! `cargo xtask api`: the library's public surface as a text, `docs/api.txt`, so that no change of
//! it goes unseen.
//!
//! It is read from the sources: `rustdoc` lists a crate's items with a nightly compiler only. What
//! is `#[doc(hidden)]` is left out, and with it all of `mqt::internals`. A type that a public
//! signature names and that is not public itself is an error here.

mod text;
mod tree;

use crate::run::{root, write_made};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::Visit;
use syn::{Attribute, Fields, ImplItem, Item, Meta};
use text::{Line, plain};
use tree::{Place, Tree, below};

const FILE: &str = "docs/api.txt";

const HEADER: &str = "\
# The public surface of the crate mqt, with all features: a line for each item, in the order of their
# paths, and where it is not always there, the condition. What is not listed here may change with any
# version. Made by `cargo xtask api`: do not change it by hand.
";

/// Writes the file, if it is another one now.
pub(crate) fn run() -> Result<()> {
    write_made(FILE, &generate(&root().join("src"))?)
}

/// The file's text, from the library in a folder.
fn generate(folder: &Path) -> Result<String> {
    let lines = lines(&Tree::read(folder)?)?;
    Ok(HEADER.to_owned() + "\n" + &lines.join("\n") + "\n")
}

/// A line for everything public, in the order of the paths.
fn lines(tree: &Tree) -> Result<Vec<String>> {
    let mut surface = Surface::default();
    surface.walk(tree, &Vec::new(), "mqt")?;
    let mut lines: Vec<Line> = Vec::new();
    for (alias, place) in &surface.aliases {
        let Known { path, .. } = &surface.paths[place];
        lines.push((alias.clone(), format!("pub use {path} as {alias}")));
    }
    let mut traits: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (place, Known { path, conditions }) in &surface.paths {
        let module = &tree.0[&place[..place.len() - 1]];
        let name = place.last().context("the crate is no item")?;
        let named = |item: &&Item| tree::ident(item).is_some_and(|ident| ident == name);
        for item in module.items.iter().filter(named) {
            lines.extend(text::lines(item, path, conditions));
            traits.entry(path).or_default().extend(derived(tree::attributes(item)));
        }
    }
    for (at, module) in &tree.0 {
        for item in &module.items {
            let Item::Impl(item) = item else { continue };
            let place = tree.resolve_type(at, &item.self_ty);
            let Some(known) = place.and_then(|place| surface.paths.get(&place)) else { continue };
            let path = &known.path;
            let own = tree::conditions_of(&item.attrs);
            let outer = [known.conditions.clone(), module.conditions.clone(), own].concat();
            match &item.trait_ {
                None => lines.extend(text::additions(&item.items, path, &outer)),
                Some((_, what, _)) => {
                    let is_hidden = surface.hidden(tree, at, |names| names.visit_path(what));
                    if is_hidden.is_empty() {
                        let name = what.segments.last().map(plain);
                        traits.entry(path).or_default().extend(name);
                    }
                }
            }
        }
    }
    for (path, traits) in traits.iter().filter(|(_, traits)| !traits.is_empty()) {
        let traits: Vec<&str> = traits.iter().map(String::as_str).collect();
        lines.push(((*path).to_owned(), format!("impl {} for {path}", traits.join(", "))));
    }
    surface.check(tree)?;
    lines.sort();
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// What `derive` makes.
fn derived(attributes: &[Attribute]) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let Meta::List(list) = &attribute.meta else { continue };
        // The last name is the trait's: `serde::Serialize`, `thiserror::Error`.
        names.extend(
            plain(&list.tokens)
                .split(',')
                .filter_map(|path| path.rsplit("::").next().map(|name| name.trim().to_owned())),
        );
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What others can name.
#[derive(Default)]
struct Surface {
    /// Where an item stands, and how others reach it.
    paths: BTreeMap<Place, Known>,
    /// Other paths, and what they lead to.
    aliases: Vec<(String, Place)>,
}

/// A public item.
struct Known {
    /// The shortest path to it.
    path: String,
    /// When it is there.
    conditions: Vec<String>,
}

impl Surface {
    /// Notes everything public in a module and below it.
    fn walk(&mut self, tree: &Tree, at: &Place, path: &str) -> Result<()> {
        let module = tree.0.get(at).with_context(|| format!("there is no module {path}"))?;
        let outer = &module.conditions;
        for item in &module.items {
            if !tree::is_public(item)? {
                continue;
            }
            match item {
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    self.walk(tree, &below(at, &name), &format!("{path}::{name}"))?;
                }
                Item::Use(item) => {
                    for import in tree::imports(&item.tree) {
                        let Some(name) = import.name else {
                            bail!("{path}: a `pub use` of everything cannot be read at a glance");
                        };
                        let place = tree.resolve(at, &import.path);
                        let place = place.with_context(|| format!("{path}::{name} is foreign"))?;
                        ensure!(!tree.0.contains_key(&place), "{path}::{name} is a module");
                        let own = &tree.0[&place[..place.len() - 1]].conditions;
                        let used = tree::conditions_of(&item.attrs);
                        let conditions = [outer.clone(), own.clone(), used].concat();
                        self.note(place, Known { path: format!("{path}::{name}"), conditions });
                    }
                }
                item => {
                    let name = tree::ident(item).context("it has no name")?.to_string();
                    let path = format!("{path}::{name}");
                    self.note(below(at, &name), Known { path, conditions: outer.clone() });
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, place: Place, new: Known) {
        match self.paths.get_mut(&place) {
            // The same item under other conditions.
            Some(known) if known.path == new.path => {}
            Some(known) => {
                let is_shorter = new.path.len() < known.path.len();
                let longer = if is_shorter { std::mem::replace(known, new) } else { new };
                self.aliases.push((longer.path, place));
            }
            None => drop(self.paths.insert(place, new)),
        }
    }

    /// What of ours something names that others cannot.
    fn hidden(&self, tree: &Tree, at: &[String], visit: impl FnOnce(&mut Names)) -> Vec<String> {
        let mut names = Names::default();
        visit(&mut names);
        let places = names.0.iter().filter_map(|path| tree.resolve(at, path));
        let hidden = places.filter(|place| !self.paths.contains_key(place));
        hidden.map(|place| place.join("::")).collect()
    }

    /// Every type in a public signature is public.
    fn check(&self, tree: &Tree) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, hidden: Vec<String>| {
            faults.extend(hidden.iter().map(|name| format!("{path} names {name}")));
        };
        for (at, module) in &tree.0 {
            for item in &module.items {
                if let Item::Impl(item) = item
                    && let Some(place) = tree.resolve_type(at, &item.self_ty)
                    && let Some(known) = self.paths.get(&place)
                    && item.trait_.is_none()
                {
                    for member in &item.items {
                        let Some(name) = text::member(member) else { continue };
                        let hidden = self.hidden(tree, at, |names| names.visit_member(member));
                        fault(&format!("{}::{name}", known.path), hidden);
                    }
                } else if let Some(ident) = tree::ident(item)
                    && let Some(known) = self.paths.get(&below(at, &ident.to_string()))
                {
                    fault(&known.path, self.hidden(tree, at, |names| names.visit_open(item)));
                }
            }
        }
        ensure!(
            faults.is_empty(),
            "others cannot name what a public signature names:\n{}",
            faults.join("\n")
        );
        Ok(())
    }
}

/// The paths in a signature.
#[derive(Default)]
struct Names(Vec<Vec<String>>);

impl Names {
    /// The part of an item that others see.
    fn visit_open(&mut self, item: &Item) {
        match item {
            Item::Const(item) => self.visit_type(&item.ty),
            Item::Static(item) => self.visit_type(&item.ty),
            Item::Type(item) => self.visit_type(&item.ty),
            Item::Fn(item) => self.visit_signature(&item.sig),
            Item::Trait(item) => {
                item.supertraits.iter().for_each(|bound| self.visit_type_param_bound(bound));
                for method in &item.items {
                    if let syn::TraitItem::Fn(method) = method
                        && !tree::is_hidden(&method.attrs)
                    {
                        self.visit_signature(&method.sig);
                    }
                }
            }
            Item::Struct(item) => {
                self.visit_generics(&item.generics);
                self.visit_open_fields(&item.fields);
            }
            Item::Enum(item) => {
                self.visit_generics(&item.generics);
                let fields = item.variants.iter().flat_map(|variant| &variant.fields);
                fields.for_each(|field| self.visit_type(&field.ty));
            }
            _ => {}
        }
    }

    fn visit_open_fields(&mut self, fields: &Fields) {
        for field in fields {
            if text::is_shown(&field.vis, &field.attrs) {
                self.visit_type(&field.ty);
            }
        }
    }

    /// The part of a member that others see.
    fn visit_member(&mut self, member: &ImplItem) {
        match member {
            ImplItem::Fn(item) => self.visit_signature(&item.sig),
            ImplItem::Const(item) => self.visit_type(&item.ty),
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(tree::segments(path));
        syn::visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests;
