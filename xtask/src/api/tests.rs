//! The committed list is what the sources say, and what others can reach is what it lists.

use super::*;

fn of(text: &str) -> Result<Vec<String>> {
    lines(&Tree::of(text)?)
}

#[test]
fn the_list_of_public_items_is_what_the_sources_say() {
    let text = std::fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let wanted = generate(&root().join("src")).expect("the sources can be read");
    let other: Vec<&str> = {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) =
            (text.lines().collect(), wanted.lines().collect());
        old.symmetric_difference(&new).copied().collect()
    };
    assert!(
        text == wanted,
        "the public surface changed: run `cargo xtask api` and commit {FILE}. {}",
        other.join("\n")
    );
}

#[test]
fn what_others_cannot_reach_is_not_listed() {
    let lines = of("
        mod a {
            pub struct Shown { pub b: u8, c: u8 }
            pub struct Private;
            impl Shown {
                pub fn get(&self) -> u8 { self.b }
                #[doc(hidden)]
                pub fn hidden(&self) -> Private { Private }
                fn own(&self) {}
            }
            impl From<Private> for Shown { fn from(_: Private) -> Shown { Shown { b: 0, c: 0 } } }
            impl Drop for Shown { fn drop(&mut self) {} }
        }
        #[doc(hidden)]
        pub mod internals { pub use crate::a::*; }
        pub use a::Shown;
        #[cfg(test)]
        pub mod tests { pub struct Tested; }
    ");
    let wanted = [
        "impl Drop for mqt::Shown",
        "pub struct mqt::Shown { .. }",
        "pub mqt::Shown::b: u8",
        "pub fn mqt::Shown::get(&self) -> u8",
    ];
    assert_eq!(lines.expect("it is Rust"), wanted);
}

#[test]
fn conditions_variants_and_second_paths_are_listed() {
    let lines = of("
        pub mod a {
            #[derive(Clone, serde::Serialize)]
            #[non_exhaustive]
            pub enum Kind { One, Two(u8, String), Three { at: [f64; 4] } }
            #[cfg(unix)]
            pub async fn open<'a>(at: &'a str, each: impl Fn(u8) + 'a) -> (u8, Option<&'a str>) {}
            pub trait Files { fn size(&self) -> u64; fn list(&self) -> Vec<u8> { Vec::new() } }
        }
        pub use a::Kind;
        pub const MOST: usize = 16;
    ");
    let wanted = [
        "#[non_exhaustive] pub enum mqt::Kind",
        "impl Clone, Serialize for mqt::Kind",
        "mqt::Kind::One",
        "mqt::Kind::Three { at: [f64; 4] }",
        "mqt::Kind::Two(u8, String)",
        "pub const mqt::MOST: usize = 16",
        "pub trait mqt::a::Files",
        "provided fn mqt::a::Files::list(&self) -> Vec<u8>",
        "fn mqt::a::Files::size(&self) -> u64",
        "pub use mqt::Kind as mqt::a::Kind",
        "pub async fn mqt::a::open<'a>(at: &'a str, each: impl Fn(u8) + 'a) -> \
         (u8, Option<&'a str>)  [unix]",
    ];
    assert_eq!(lines.expect("it is Rust"), wanted);
}

#[test]
fn a_public_signature_names_nothing_that_others_cannot() {
    for leak in [
        "pub fn get() -> Secret {}",
        "pub struct A { pub b: Vec<Secret> }",
        "pub struct A; impl A { pub fn get(&self, b: &Secret) {} }",
        "pub enum A { B(Secret) }",
        "pub trait A { fn get(&self) -> Option<Secret>; }",
        "pub type A = Box<dyn Fn(Secret)>;",
    ] {
        let error = of(&format!("mod a {{ pub struct Secret; }} use a::Secret; {leak}"));
        let error = format!("{:#}", error.expect_err(leak));
        assert!(error.contains("names a::Secret"), "{error}");
    }
}

#[test]
fn what_cannot_be_listed_item_by_item_is_refused() {
    for (text, why) in [
        ("mod a {} pub use a::*;", "cannot be read"),
        ("mod a { pub mod b {} } pub use a::b;", "is a module"),
        ("pub use serde::Serialize;", "is foreign"),
        ("#[macro_export] macro_rules! a { () => {} }", "an exported macro"),
    ] {
        let error = format!("{:#}", of(text).expect_err(text));
        assert!(error.contains(why), "{error}");
    }
}
