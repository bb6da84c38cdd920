//! The crate's modules as `syn` reads them, without tests, and where a path in one of them leads.

use anyhow::{Context, Result, bail};
use quote::ToTokens;
use std::collections::BTreeMap;
use std::path::Path;
use syn::{Attribute, Item, Type, UseTree};

/// A module's or an item's place in the crate, without the crate's own name.
pub(super) type Place = Vec<String>;

/// One module.
pub(super) struct Module {
    /// The conditions under which it is compiled, its parents' included.
    pub(super) conditions: Vec<String>,
    pub(super) items: Vec<Item>,
}

/// Every module of a crate.
pub(super) struct Tree(pub(super) BTreeMap<Place, Module>);

/// One name that a `use` brings in.
pub(super) struct Import {
    /// The name; `None` for everything (`*`).
    pub(super) name: Option<String>,
    pub(super) path: Vec<String>,
}

impl Tree {
    /// Reads `lib.rs` in a folder and every file of a module below it.
    pub(super) fn read(folder: &Path) -> Result<Tree> {
        let mut tree = Tree(BTreeMap::new());
        let items = parse(&folder.join("lib.rs"))?;
        tree.add(Vec::new(), folder, Vec::new(), items)?;
        Ok(tree)
    }

    /// A crate of one text.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Result<Tree> {
        let mut tree = Tree(BTreeMap::new());
        let items = syn::parse_file(text)?.items;
        tree.add(Vec::new(), Path::new("no files"), Vec::new(), items)?;
        Ok(tree)
    }

    /// Adds a module and those in it; the files of the latter are in `folder`.
    fn add(
        &mut self,
        at: Place,
        folder: &Path,
        conditions: Vec<String>,
        items: Vec<Item>,
    ) -> Result<()> {
        let mut own = Vec::new();
        for item in items {
            if is_test(attributes(&item)) {
                continue;
            }
            if let Item::Mod(module) = &item {
                let name = module.ident.to_string();
                let inner = [conditions.clone(), conditions_of(&module.attrs)].concat();
                let items = match &module.content {
                    Some((_, items)) => items.clone(),
                    None => {
                        let file = folder.join(&name).with_extension("rs");
                        let nested = folder.join(&name).join("mod.rs");
                        parse(if file.is_file() { &file } else { &nested })?
                    }
                };
                self.add(below(&at, &name), &folder.join(&name), inner, items)?;
            }
            own.push(item);
        }
        self.0.insert(at, Module { conditions, items: own });
        Ok(())
    }

    /// Where a path leads that is written in the module `from`; `None` if out of the crate.
    pub(super) fn resolve(&self, from: &[String], path: &[String]) -> Option<Place> {
        self.resolve_within(from, path, 16)
    }

    /// Where a type leads, if it is a path.
    pub(super) fn resolve_type(&self, from: &[String], ty: &Type) -> Option<Place> {
        let Type::Path(path) = ty else { return None };
        self.resolve(from, &segments(&path.path))
    }

    fn resolve_within(&self, from: &[String], path: &[String], steps: usize) -> Option<Place> {
        let mut at = from.to_vec();
        let mut rest = path;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            rest = &rest[1..];
        }
        for name in rest {
            at = self.named(&at, name, steps)?;
        }
        Some(at)
    }

    /// What a name stands for in a module.
    fn named(&self, module: &[String], name: &str, steps: usize) -> Option<Place> {
        let steps = steps.checked_sub(1)?;
        let items = &self.0.get(module)?.items;
        if items.iter().any(|item| ident(item).is_some_and(|ident| ident == name)) {
            return Some(below(module, name));
        }
        let imports = || {
            items.iter().filter_map(|item| match item {
                Item::Use(item) => Some(imports(&item.tree)),
                _ => None,
            })
        };
        let named = imports().flatten().find(|import| import.name.as_deref() == Some(name));
        if let Some(import) = named {
            return self.resolve_within(module, &import.path, steps);
        }
        imports().flatten().filter(|import| import.name.is_none()).find_map(|import| {
            let other = self.resolve_within(module, &import.path, steps)?;
            self.named(&other, name, steps)
        })
    }
}

fn parse(file: &Path) -> Result<Vec<Item>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(syn::parse_file(&text).with_context(|| format!("parsing {}", file.display()))?.items)
}

/// A place and a name in it.
pub(super) fn below(at: &[String], name: &str) -> Place {
    [at, &[name.to_owned()]].concat()
}

pub(super) fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The names that a `use` brings in.
pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    let (first, inner) = match tree {
        UseTree::Path(path) => (path.ident.to_string(), imports(&path.tree)),
        UseTree::Group(group) => return group.items.iter().flat_map(imports).collect(),
        UseTree::Glob(_) => return vec![Import { name: None, path: Vec::new() }],
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            return vec![Import { path: vec![name.clone()], name: Some(name) }];
        }
        UseTree::Rename(new) => {
            let path = vec![new.ident.to_string()];
            return vec![Import { name: Some(new.rename.to_string()), path }];
        }
    };
    let longer = |import: Import| {
        // `use a::{self}` brings in `a`.
        let is_self = import.path == ["self"];
        let name = if is_self { Some(first.clone()) } else { import.name };
        let rest = if is_self { Vec::new() } else { import.path };
        Import { name, path: [vec![first.clone()], rest].concat() }
    };
    inner.into_iter().map(longer).collect()
}

pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item gives to something; a `use` gives none of its own.
pub(super) fn ident(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Mod(item) => Some(&item.ident),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}

pub(super) fn is_public(item: &Item) -> Result<bool> {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Use(item) => &item.vis,
        Item::Macro(item) if item.attrs.iter().any(|a| a.path().is_ident("macro_export")) => {
            bail!("an exported macro is not known to xtask/src/api.rs")
        }
        _ => return Ok(false),
    };
    Ok(matches!(visibility, syn::Visibility::Public(_)) && !is_hidden(attributes(item)))
}

/// Whether an item is left out of the documentation.
pub(super) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).any(|attribute| {
        attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "hidden")
    })
}

/// What the `cfg`s of an item say.
pub(super) fn conditions_of(attributes: &[Attribute]) -> Vec<String> {
    let lists = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    lists
        .filter_map(|attribute| attribute.meta.require_list().ok())
        .map(|list| super::text::plain(list.tokens.to_token_stream()))
        .collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    conditions_of(attributes).iter().any(|cfg| cfg == "test" || cfg.starts_with("all(test,"))
}
