//! Items as lines of text.

use super::tree::{conditions_of, is_hidden};
use quote::ToTokens;
use syn::{Attribute, Fields, Generics, ImplItem, Item, Signature, TraitItem, Visibility};

/// One line, and the path that it is sorted by.
pub(super) type Line = (String, String);

/// Tokens as people write them: `proc-macro2` puts spaces between all of them.
pub(super) fn plain(tokens: impl ToTokens) -> String {
    const SPACES: [(&str, &str); 22] = [
        (" ::", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" ;", ";"),
        (" :", ":"),
        ("( ", "("),
        (" (", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (",)", ")"),
        (",>", ">"),
        ("->(", "-> ("),
        (",(", ", ("),
        (":(", ": ("),
        ("=(", "= ("),
        ("-><", "-> <"),
        ("+(", "+ ("),
    ];
    let mut text = tokens.to_token_stream().to_string().replace('\n', " ");
    for (from, to) in SPACES {
        text = text.replace(from, to);
    }
    text
}

/// The conditions under which an item is there, behind its line.
pub(super) fn marked(line: String, outer: &[String], attributes: &[Attribute]) -> String {
    let mut all = outer.to_vec();
    all.extend(conditions_of(attributes));
    all.sort();
    all.dedup();
    if all.is_empty() { line } else { format!("{line}  [{}]", all.join(", ")) }
}

/// `#[non_exhaustive]`, where it stands.
fn openness(attributes: &[Attribute]) -> &'static str {
    let is_open = attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
    if is_open { "#[non_exhaustive] " } else { "" }
}

/// A function with its path in the place of its name.
fn function(signature: &Signature, path: &str) -> String {
    let name = signature.ident.to_string();
    let text = plain(signature);
    let text = text.replacen(&format!("fn {name}"), &format!("fn {path}"), 1);
    // Whether an argument can be changed inside is nobody else's business.
    let text = text.replace("(mut ", "(").replace(", mut ", ", ");
    text.trim_end_matches(',').to_owned()
}

fn bounds(generics: &Generics) -> String {
    generics.where_clause.as_ref().map(|clause| format!(" {}", plain(clause))).unwrap_or_default()
}

/// Lines of an item and of its public fields, variants or methods, under its public path.
pub(super) fn lines(item: &Item, path: &str, outer: &[String]) -> Vec<Line> {
    let one = |line: String, attributes: &[Attribute]| {
        vec![(path.to_owned(), marked(line, outer, attributes))]
    };
    match item {
        Item::Const(item) => {
            let (ty, value) = (plain(&item.ty), plain(&item.expr));
            // A long table would be a line that nobody reads.
            let value = if value.len() > 60 { "..".into() } else { value };
            one(format!("pub const {path}: {ty} = {value}"), &item.attrs)
        }
        Item::Static(item) => one(format!("pub static {path}: {}", plain(&item.ty)), &item.attrs),
        Item::Fn(item) => one(format!("pub {}", function(&item.sig, path)), &item.attrs),
        Item::Type(item) => {
            let (generics, ty) = (plain(&item.generics), plain(&item.ty));
            one(format!("pub type {path}{generics} = {ty}"), &item.attrs)
        }
        Item::Struct(item) => {
            let fields = fields(&item.fields, path, outer);
            let rest = if fields.len() < item.fields.len() { " { .. }" } else { "" };
            let (open, generics) = (openness(&item.attrs), plain(&item.generics));
            let line = format!("{open}pub struct {path}{generics}{rest}{}", bounds(&item.generics));
            [one(line, &item.attrs), fields].concat()
        }
        Item::Enum(item) => {
            let (open, generics) = (openness(&item.attrs), plain(&item.generics));
            let mut lines = one(format!("{open}pub enum {path}{generics}"), &item.attrs);
            for variant in item.variants.iter().filter(|variant| !is_hidden(&variant.attrs)) {
                let at = format!("{path}::{}", variant.ident);
                let holds: Vec<String> = variant
                    .fields
                    .iter()
                    .map(|field| match &field.ident {
                        Some(ident) => format!("{ident}: {}", plain(&field.ty)),
                        None => plain(&field.ty),
                    })
                    .collect();
                let holds = match &variant.fields {
                    Fields::Named(_) => format!(" {{ {} }}", holds.join(", ")),
                    Fields::Unnamed(_) => format!("({})", holds.join(", ")),
                    Fields::Unit => String::new(),
                };
                let line = format!("{}{at}{holds}", openness(&variant.attrs));
                lines.push((at, marked(line, outer, &variant.attrs)));
            }
            lines
        }
        Item::Trait(item) => {
            let parents = plain(&item.supertraits);
            let parents = if parents.is_empty() { parents } else { format!(": {parents}") };
            let line = format!("pub trait {path}{}{parents}", plain(&item.generics));
            let mut lines = one(line, &item.attrs);
            for method in &item.items {
                let TraitItem::Fn(method) = method else { continue };
                if is_hidden(&method.attrs) {
                    continue;
                }
                let at = format!("{path}::{}", method.sig.ident);
                let how = if method.default.is_some() { "provided " } else { "" };
                let line = format!("{how}{}", function(&method.sig, &at));
                lines.push((at, marked(line, outer, &method.attrs)));
            }
            lines
        }
        _ => Vec::new(),
    }
}

fn fields(fields: &Fields, path: &str, outer: &[String]) -> Vec<Line> {
    let public = fields.iter().enumerate().filter(|(_, field)| {
        matches!(field.vis, Visibility::Public(_)) && !is_hidden(&field.attrs)
    });
    public
        .map(|(i, field)| {
            let name = field.ident.as_ref().map_or_else(|| i.to_string(), ToString::to_string);
            let at = format!("{path}::{name}");
            let line = format!("pub {at}: {}", plain(&field.ty));
            (at, marked(line, outer, &field.attrs))
        })
        .collect()
}

/// Lines of what an `impl` without a trait adds to the type of this path.
pub(super) fn additions(items: &[ImplItem], path: &str, outer: &[String]) -> Vec<Line> {
    let mut lines = Vec::new();
    for item in items {
        let Some(name) = member(item) else { continue };
        let at = format!("{path}::{name}");
        let (line, attributes) = match item {
            ImplItem::Fn(item) => (format!("pub {}", function(&item.sig, &at)), &item.attrs),
            ImplItem::Const(item) => (format!("pub const {at}: {}", plain(&item.ty)), &item.attrs),
            _ => continue,
        };
        lines.push((at, marked(line, outer, attributes)));
    }
    lines
}

/// The name of a member of an `impl` that others can use.
pub(super) fn member(item: &ImplItem) -> Option<String> {
    match item {
        ImplItem::Fn(item) if is_shown(&item.vis, &item.attrs) => Some(item.sig.ident.to_string()),
        ImplItem::Const(item) if is_shown(&item.vis, &item.attrs) => Some(item.ident.to_string()),
        _ => None,
    }
}

/// Whether others can use a member of an `impl`, and are told of it.
pub(super) fn is_shown(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    matches!(visibility, Visibility::Public(_)) && !is_hidden(attributes)
}
