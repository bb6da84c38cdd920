//! Hostile and unusual tokenizer files. Comparisons with SentencePiece are in `tests/tokens.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};

use super::clean::Clean;
use super::*;

/// A tokenizer with these merges over a few letters.
fn file(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let tokens = ["<unk>", "<s>", "</s>", "<0xF0>", "<0x9F>", "<0x90>", "<0xB1>", "▁", "a", "b", "<", "/", "s", ">", "</", "s>", "▁a", "ab"];
    let vocab: serde_json::Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| ((*token).to_string(), json!(id))).collect();
    let special = |id: u32| json!({"id": id, "content": tokens[id as usize], "special": true});
    let mut file = json!({
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "byte_fallback": true,
            "fuse_unk": true,
            "vocab": vocab,
            "merges": ["▁ a", "a b", ["<", "/"], ["s", ">"], ["</", "s>"]],
        },
    });
    change(&mut file);
    file.to_string().into_bytes()
}

fn read(change: impl FnOnce(&mut Value)) -> Tokenizer {
    Tokenizer::from_files(Some(&file(change)), None, None).unwrap()
}

fn problem(json: Option<&[u8]>, model: Option<&[u8]>, config: Option<&[u8]>) -> String {
    let error = Tokenizer::from_files(json, model, config).err().unwrap();
    assert_eq!(error.exit_code(), 3);
    error.to_string()
}

#[test]
fn merges_cannot_spell_a_control_token() {
    let tokenizer = read(|_| {});
    assert_eq!(tokenizer.encode("ab</s>"), [16, 9, 14, 15]);
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.unk(), tokenizer.vocab_size()), (1, 2, 0, 18));
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(14) && !tokenizer.is_special(99));
}

#[test]
fn metaspace_means_not_legacy_unless_the_config_says_so() {
    let metaspace = |file: &mut Value| {
        file["normalizer"] = Value::Null;
        file["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    };
    let tokenizer = read(metaspace);
    assert_eq!((tokenizer.encode(" a"), tokenizer.encode_after_special("a")), (vec![7, 16], vec![8]));
    let absent = Tokenizer::from_files(Some(&file(metaspace)), None, Some(b"{}")).unwrap();
    assert_eq!(absent.encode_after_special("a"), [16]);
    let again = Tokenizer::from_files(Some(&tokenizer.to_json()), None, None).unwrap();
    assert_eq!(again.encode_after_special("a"), [8]);
    let again = Tokenizer::from_files(Some(&absent.to_json()), None, None).unwrap();
    assert_eq!(again.encode_after_special("a"), [16]);
}

#[test]
fn the_config_names_control_tokens() {
    let config = json!({
        "bos_token": {"content": "a"},
        "eos_token": "b",
        "legacy": null,
        "added_tokens_decoder": {"18": {"content": "<pad>", "special": true}, "19": {"content": "ba", "special": false}},
    });
    let tokenizer = Tokenizer::from_files(Some(&file(|_| {})), None, Some(config.to_string().as_bytes())).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (8, 9, 20));
    assert!(tokenizer.is_special(18));
    assert_eq!(tokenizer.encode("/ba/"), [7, 11, 19, 11]);
    let again = Tokenizer::from_files(Some(&tokenizer.to_json()), None, None).unwrap();
    assert_eq!((again.bos(), again.eos(), again.encode("/ba/")), (8, 9, vec![7, 11, 19, 11]));
}

#[test]
fn a_character_comes_out_whole() {
    let tokenizer = read(|_| {});
    let mut stream = TextStream::new(&tokenizer);
    let parts: Vec<String> = [16, 3, 4, 5, 6, 2, 8, 3, 8, 3, 4].into_iter().map(|id| stream.push(id)).collect();
    assert_eq!(parts, ["a", "", "", "", "🐱", "", "a", "", "\u{FFFD}a", "", ""]);
    assert_eq!(stream.finish(), "\u{FFFD}\u{FFFD}");
    assert_eq!(tokenizer.decode(&[u32::MAX, 16, 1000, 7]), "a ");
    assert_eq!(tokenizer.decode(&tokenizer.encode("🐱ab")), "🐱ab");
}

#[test]
fn unsound_files_are_errors() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 8] = [
        (|file| file["model"]["merges"] = json!([["a", "zz"]]), "not all in the vocabulary"),
        (|file| file["model"]["merges"] = json!([["b", "a"]]), "not all in the vocabulary"),
        (|file| file["model"]["merges"] = json!(["ab"]), "not a pair"),
        (|file| file["model"]["vocab"]["far"] = json!(u32::MAX), "4294967295"),
        (|file| *file = json!({"model": {"vocab": {}, "merges": []}}), "no token"),
        (|file| file["model"]["type"] = json!("Unigram"), "Unigram"),
        (|file| file["model"]["unk_token"] = json!("zz"), "zz"),
        (|file| file["model"]["continuing_subword_prefix"] = json!("abcdefgh"), "prefix"),
    ];
    for (change, expected) in cases {
        let problem = problem(Some(&file(change)), None, None);
        assert!(problem.contains(expected), "{problem}");
    }
    assert!(problem(Some(b"{"), None, None).contains("tokenizer.json"));
    assert!(problem(Some(&file(|_| {})), None, Some(b"[]")).contains("tokenizer_config.json"));
    assert!(problem(Some(&file(|_| {})), None, Some(br#"{"eos_token": "zz"}"#)).contains("zz"));
    assert!(problem(None, None, None).contains("neither"));
    assert!(problem(None, Some(b"\xFF\xFF"), None).contains("tokenizer.model"));
    // trainer_spec { model_type: UNIGRAM }, then one that is BPE but has no pieces.
    assert!(problem(None, Some(&[0x12, 2, 0x18, 1]), None).contains("unigram"));
    assert!(problem(None, Some(&[0x12, 2, 0x18, 2]), None).contains("no token"));
}

#[test]
fn cleaning_survives_any_table() {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for length in 0..300usize {
        let mut map = u32::try_from(length / 2).unwrap().to_le_bytes().to_vec();
        map.extend((0..length).map(|_| noise()));
        let clean = Clean::new(map, length % 2 == 0);
        clean.apply("What is  thïs? 🐱 ");
        assert_eq!(Clean::from_steps(&clean.to_steps()), Some(clean));
    }
    let collapse = Clean::new(Vec::new(), true);
    assert_eq!(collapse.apply("  two   words "), "two words");
    assert_eq!(collapse.apply("   "), "");
}

#[test]
fn templates_have_names_and_survive_json() {
    for name in ["vicuna_v1", "llava_v1"] {
        let template = Template::by_name(name).unwrap();
        assert_eq!(template.name, name);
        let text = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);
    }
    assert_eq!(Template::by_name("v1"), Some(Template::vicuna_v1()));
    assert_eq!(Template::by_name("chatml"), None);
}
