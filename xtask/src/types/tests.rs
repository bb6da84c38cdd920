//! The committed TypeScript is what the Rust says, and nothing is guessed.

use super::*;

#[test]
fn the_typescript_is_what_the_rust_says() {
    let text = std::fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let wanted = generate(&root()).expect("the sources can be read");
    assert!(text == wanted, "{FILE} is out of date: run `cargo xtask types` and commit it");
}

#[test]
fn what_has_no_counterpart_is_refused() {
    let named = |rust: &str| {
        let items = syn::parse_file(rust).expect("it is Rust").items;
        declaration(&items[0], "A", As::Record, &BTreeMap::new()).map_err(|e| format!("{e:#}"))
    };
    let good = named("/// A.\nstruct A {\n    /// B.\n    b_c: Option<u8>,\n}").expect("plain");
    assert_eq!(good, "\n/** A. */\nexport interface A {\n  /** B. */\n  bC: number | null;\n}\n");
    let list =
        named("/// A.\nstruct A {\n    /// B.\n    b: [f64; 2],\n}").expect("of known length");
    assert!(list.contains("  b: [number, number];\n"), "{list}");
    for (rust, why) in [
        ("/// A.\nstruct A { b: u8 }", "no documentation"),
        ("/// A.\nstruct A {\n/// B.\nb: Foreign }", "Foreign is not in the list"),
        ("/// A.\nstruct A {\n/// B.\n#[serde(flatten)]\nb: u8 }", "not known"),
        ("/// A.\nstruct A(u8);", "no names"),
        ("/// A.\nstruct A {\n/// B.\nb__c: u8 }", "no way back"),
        ("/// A.\nenum A {\n/// B.\nB }", "no rename_all"),
    ] {
        let error = named(rust).expect_err(rust);
        assert!(error.contains(why), "{error}");
    }
}

/// What the library does not say, the package has to throw itself.
#[test]
fn every_code_of_the_package_is_thrown() {
    let folder = root().join("web/ts");
    let mut package = String::new();
    for entry in std::fs::read_dir(folder).expect("the package is there") {
        let path = entry.expect("it can be listed").path();
        if !path.ends_with("generated.ts") {
            package += &std::fs::read_to_string(path).expect("it is text");
        }
    }
    package.retain(|letter| !letter.is_whitespace());
    let (file, name) = CODES[1];
    let parsed = parse(&root(), file).expect("it is Rust");
    let Some(Item::Enum(item)) = find(&parsed, name) else { panic!("{file} has no {name}") };
    for variant in &item.variants {
        let code = separated(&variant.ident.to_string(), '-');
        assert!(package.contains(&format!("EngineError(\"{code}\"")), "nothing throws {code}");
    }
}
