//! `cargo xtask types`: `web/ts/generated.ts`, what TypeScript has to know of the Rust: records,
//! settings, error codes, defaults.
//!
//! The Rust is read as text, so that this takes no build. Whatever it holds that has no sure
//! counterpart in TypeScript is an error here, not a guess.

mod items;

use crate::run::{root, write_made};
use anyhow::{Context, Result, bail, ensure};
use items::{As, CODES, ITEMS};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, PathArguments, Type};

/// Where it is kept, from the repository's root.
const FILE: &str = "web/ts/generated.ts";

const DEFAULTS: &str = "src/defaults.rs";

const HEADER: &str = "\
// What TypeScript has to know of the Rust. Made by `cargo xtask types`: do not change it by hand.
";

/// Writes the file, if it is another one now.
pub(crate) fn run() -> Result<()> {
    write_made(FILE, &generate(&root())?)
}

/// The file's text, from the sources below `root`.
fn generate(root: &Path) -> Result<String> {
    let names: BTreeMap<&str, &str> =
        ITEMS.iter().flat_map(|(_, _, items)| items.iter().copied()).collect();
    let mut out = HEADER.to_owned();
    codes(root, &mut out)?;
    for (file, how, items) in ITEMS {
        let parsed = parse(root, file)?;
        for (name, ts) in *items {
            let item = find(&parsed, name).with_context(|| format!("{file} has no {name}"))?;
            let text = declaration(item, ts, *how, &names);
            out.push_str(&text.with_context(|| format!("{name} in {file}"))?);
        }
    }
    defaults(root, &mut out)?;
    Ok(out)
}

fn parse(root: &Path, file: &str) -> Result<Vec<Item>> {
    let text =
        std::fs::read_to_string(root.join(file)).with_context(|| format!("reading {file}"))?;
    Ok(syn::parse_file(&text).with_context(|| format!("parsing {file}"))?.items)
}

fn find<'a>(items: &'a [Item], name: &str) -> Option<&'a Item> {
    items.iter().find(|item| match item {
        Item::Struct(item) => item.ident == name,
        Item::Enum(item) => item.ident == name,
        Item::Type(item) => item.ident == name,
        _ => false,
    })
}

fn codes(root: &Path, out: &mut String) -> Result<()> {
    out.push_str("\n/** Every kind of error. */\nexport const ERROR_CODES = [\n");
    for (file, name) in CODES {
        let parsed = parse(root, file)?;
        let Some(Item::Enum(item)) = find(&parsed, name) else {
            bail!("{file} has no enum {name}")
        };
        for variant in &item.variants {
            ensure!(variant.fields.is_empty(), "{name}::{} has fields", variant.ident);
            for line in wrapped(&docs(&variant.attrs)?, 100 - "  // ".len()) {
                writeln!(out, "  // {line}")?;
            }
            writeln!(out, "  \"{}\",", separated(&variant.ident.to_string(), '-'))?;
        }
    }
    out.push_str("] as const;\n\nexport type ErrorCode = (typeof ERROR_CODES)[number];\n");
    Ok(())
}

fn defaults(root: &Path, out: &mut String) -> Result<()> {
    out.push_str("\n/** What holds where nothing else is said. */\nexport const DEFAULTS = {\n");
    for item in parse(root, DEFAULTS)? {
        let Item::Const(item) = item else { bail!("{DEFAULTS} holds more than constants") };
        comment(out, "  ", &docs(&item.attrs)?)?;
        let name = camel(&item.ident.to_string().to_lowercase());
        let value = value(&item.expr).with_context(|| format!("{} in {DEFAULTS}", item.ident))?;
        writeln!(out, "  {name}: {value},")?;
    }
    out.push_str("} as const;\n");
    Ok(())
}

/// A constant's value.
fn value(expr: &Expr) -> Result<String> {
    Ok(match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Int(n) => n.base10_parse::<u64>()?.to_string(),
            Lit::Float(x) => x.base10_parse::<f64>()?.to_string(),
            _ => bail!("neither a number nor a list of numbers"),
        },
        Expr::Array(list) => {
            let values = list.elems.iter().map(value).collect::<Result<Vec<_>>>()?;
            format!("[{}]", values.join(", "))
        }
        _ => bail!("neither a number nor a list of numbers"),
    })
}

fn declaration(item: &Item, ts: &str, how: As, names: &BTreeMap<&str, &str>) -> Result<String> {
    let mut out = String::from("\n");
    match item {
        Item::Struct(item) => {
            comment(&mut out, "", &docs(&item.attrs)?)?;
            writeln!(out, "export interface {ts} {{")?;
            let serde = Serde::of(&item.attrs)?;
            if let (Some(tag), Some(name)) = (&serde.tag, &serde.rename) {
                writeln!(out, "  {tag}: \"{name}\";")?;
            }
            let Fields::Named(fields) = &item.fields else { bail!("its fields have no names") };
            for field in &fields.named {
                let ident = field.ident.as_ref().context("a field has no name")?.to_string();
                let serde = Serde::of(&field.attrs)?;
                comment(&mut out, "  ", &docs(&field.attrs)?)?;
                let own = serde.rename.as_deref().unwrap_or(&ident);
                let name = camel(own);
                // `programRecord` in web/ts/records.ts goes that way.
                ensure!(separated(&name, '_') == own, "{name} has no way back to {own}");
                let inner = optional(&field.ty);
                let may_be_absent = how == As::Settings || serde.is_skipped_if_none;
                let ty = typescript(inner.unwrap_or(&field.ty), names)
                    .with_context(|| format!("the field {ident}"))?;
                match (may_be_absent, inner) {
                    (true, _) => writeln!(out, "  {name}?: {ty};")?,
                    (false, Some(_)) => writeln!(out, "  {name}: {ty} | null;")?,
                    (false, None) => writeln!(out, "  {name}: {ty};")?,
                }
            }
            out.push_str("}\n");
        }
        Item::Enum(item) => {
            let rename_all = Serde::of(&item.attrs)?.rename_all.context("it has no rename_all")?;
            comment(&mut out, "", &docs(&item.attrs)?)?;
            writeln!(out, "export type {ts} =")?;
            let last = item.variants.len() - 1;
            for (i, variant) in item.variants.iter().enumerate() {
                ensure!(variant.fields.is_empty(), "the variant {} has fields", variant.ident);
                let name = match rename_all.as_str() {
                    "lowercase" => variant.ident.to_string().to_lowercase(),
                    "kebab-case" => separated(&variant.ident.to_string(), '-'),
                    "snake_case" => separated(&variant.ident.to_string(), '_'),
                    other => bail!("rename_all = {other:?} is not known here"),
                };
                comment(&mut out, "  ", &docs(&variant.attrs)?)?;
                writeln!(out, "  | \"{name}\"{}", if i == last { ";" } else { "" })?;
            }
        }
        Item::Type(item) => {
            comment(&mut out, "", &docs(&item.attrs)?)?;
            writeln!(out, "export type {ts} = {};", typescript(&item.ty, names)?)?;
        }
        _ => bail!("neither a struct, an enum nor an alias"),
    }
    Ok(out)
}

/// What serde's attributes say.
#[derive(Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Option<String>,
    tag: Option<String>,
    is_skipped_if_none: bool,
}

impl Serde {
    fn of(attributes: &[Attribute]) -> Result<Serde> {
        let mut serde = Serde::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let text = || Ok::<_, syn::Error>(meta.value()?.parse::<syn::LitStr>()?.value());
                match name.as_str() {
                    "rename" => serde.rename = Some(text()?),
                    "rename_all" => serde.rename_all = Some(text()?),
                    "tag" => serde.tag = Some(text()?),
                    "skip_serializing_if" if text()? == "Option::is_none" => {
                        serde.is_skipped_if_none = true;
                    }
                    // They concern reading only.
                    "alias" => drop(text()?),
                    "default" | "deny_unknown_fields" => {}
                    _ => {
                        return Err(meta.error("this attribute is not known to xtask/src/types.rs"));
                    }
                }
                Ok(())
            })?;
        }
        Ok(serde)
    }
}

/// The type in an `Option`.
fn optional(ty: &Type) -> Option<&Type> {
    match generic(ty) {
        Some((name, inner)) if name == "Option" => inner.first().copied(),
        _ => None,
    }
}

/// Name and parameters of a type that is a path.
fn generic(ty: &Type) -> Option<(String, Vec<&Type>)> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    let inner = match &segment.arguments {
        PathArguments::AngleBracketed(list) => list
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some((segment.ident.to_string(), inner))
}

fn typescript(ty: &Type, names: &BTreeMap<&str, &str>) -> Result<String> {
    if let Type::Reference(reference) = ty {
        return typescript(&reference.elem, names);
    }
    if let Type::Array(array) = ty {
        let length = value(&array.len)?.parse().context("the length of an array")?;
        return Ok(format!("[{}]", vec![typescript(&array.elem, names)?; length].join(", ")));
    }
    let (name, inner) = generic(ty).context("a type that is no plain name")?;
    Ok(match (name.as_str(), inner.as_slice()) {
        ("String" | "str", _) => "string".into(),
        ("bool", _) => "boolean".into(),
        ("u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "f32" | "f64", _) => "number".into(),
        ("Option", [inner]) => format!("{} | null", typescript(inner, names)?),
        ("Vec", [inner]) => format!("{}[]", typescript(inner, names)?),
        ("BTreeMap", [key, inner]) => {
            format!("Record<{}, {}>", typescript(key, names)?, typescript(inner, names)?)
        }
        (name, []) => {
            let known = names.get(name);
            (*known.with_context(|| format!("{name} is not in the list of xtask/src/types.rs"))?)
                .into()
        }
        (name, _) => bail!("{name} has no counterpart in TypeScript"),
    })
}

/// The text of a documentation comment, without Rust's links. What is left out there is null here.
fn docs(attributes: &[Attribute]) -> Result<String> {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Expr::Lit(line) = &attribute.meta.require_name_value()?.value
            && let Lit::Str(line) = &line.lit
        {
            text = text + line.value().trim() + " ";
        }
    }
    ensure!(!text.trim().is_empty(), "it has no documentation");
    let text = text.replace("`None`", "`null`").replace("[`", "`").replace("`]", "`");
    Ok(text.trim().to_owned())
}

fn comment(out: &mut String, indent: &str, text: &str) -> Result<()> {
    let whole = format!("{indent}/** {text} */");
    if whole.chars().count() <= 100 {
        writeln!(out, "{whole}")?;
        return Ok(());
    }
    writeln!(out, "{indent}/**")?;
    for line in wrapped(text, 100 - indent.len() - " * ".len()) {
        writeln!(out, "{indent} * {line}")?;
    }
    writeln!(out, "{indent} */")?;
    Ok(())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one at the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// `image_tokens` becomes `imageTokens`, as in src/camel.rs.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, tail) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        text + &head.to_uppercase() + tail
    })
}

/// `BadTensors` becomes `bad-tensors`.
fn separated(name: &str, by: char) -> String {
    let mut text = String::new();
    for (i, letter) in name.char_indices() {
        if i > 0 && letter.is_uppercase() {
            text.push(by);
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests;
