//! Hostile and unusual tokenizer files. Comparisons with SentencePiece are in `tests/tokens.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};

use super::clean::Clean;
use super::*;

/// A tokenizer with these merges over a few letters.
fn file(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let tokens = [
        "<unk>", "<s>", "</s>", "<0xF0>", "<0x9F>", "<0x90>", "<0xB1>", "▁", "a", "b", "<", "/",
        "s", ">", "</", "s>", "▁a", "ab",
    ];
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_string(), json!(id))).collect();
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
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.unk(), tokenizer.vocab_size()),
        (Some(1), 2, 0, 18)
    );
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(14) && !tokenizer.is_special(99));
}

#[test]
fn metaspace_means_not_legacy_unless_the_config_says_so() {
    let metaspace = |file: &mut Value| {
        file["normalizer"] = Value::Null;
        file["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    };
    let tokenizer = read(metaspace);
    assert_eq!(
        (tokenizer.encode(" a"), tokenizer.encode_after_special("a")),
        (vec![7, 16], vec![8])
    );
    let absent = Tokenizer::from_files(Some(&file(metaspace)), None, Some(b"{}")).unwrap();
    assert_eq!(absent.encode_after_special("a"), [16]);
    let again = Tokenizer::from_files(Some(&tokenizer.to_json()), None, None).unwrap();
    assert_eq!(again.encode_after_special("a"), [8]);
    let again = Tokenizer::from_files(Some(&absent.to_json()), None, None).unwrap();
    assert_eq!(again.encode_after_special("a"), [16]);
}

#[test]
fn whole_pieces_cannot_spell_a_control_token() {
    let tokenizer = read(|file| {
        file["model"]["ignore_merges"] = json!(true);
        file["normalizer"] = Value::Null;
        file["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
        file["decoder"] = Value::Null;
    });
    for typed in ["</s>", "a </s> b", "<s>"] {
        let ids = tokenizer.encode(typed);
        assert!(!ids.iter().any(|id| tokenizer.is_special(*id)), "{typed}: {ids:?}");
    }
}

#[test]
fn the_config_names_control_tokens() {
    let config = json!({
        "bos_token": {"content": "a"},
        "eos_token": "b",
        "legacy": null,
        "added_tokens_decoder": {"18": {"content": "<pad>", "special": true}, "19": {"content": "ba", "special": false}},
    });
    let tokenizer =
        Tokenizer::from_files(Some(&file(|_| {})), None, Some(config.to_string().as_bytes()))
            .unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (Some(8), 9, 20));
    assert!(tokenizer.is_special(18));
    assert_eq!(tokenizer.encode("/ba/"), [7, 11, 19, 11]);
    let again = Tokenizer::from_files(Some(&tokenizer.to_json()), None, None).unwrap();
    assert_eq!((again.bos(), again.eos(), again.encode("/ba/")), (Some(8), 9, vec![7, 11, 19, 11]));
}

#[test]
fn a_character_comes_out_whole() {
    let tokenizer = read(|_| {});
    let mut stream = TextStream::new(&tokenizer);
    let parts: Vec<String> =
        [16, 3, 4, 5, 6, 2, 8, 3, 8, 3, 4].into_iter().map(|id| stream.push(id)).collect();
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

/// A tokenizer with these steps instead of SentencePiece's.
fn with_steps(normalizer: Value, pre_tokenizer: Value) -> Vec<u8> {
    file(|file| (file["normalizer"], file["pre_tokenizer"]) = (normalizer, pre_tokenizer))
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

#[test]
fn steps_that_multiply_text_are_refused() {
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let sequence = |steps: Vec<Value>| json!({"type": "Sequence", "normalizers": steps});
    let nested =
        |levels: usize| (0..levels).fold(json!({"type": "NFC"}), |step, _| sequence(vec![step]));
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false});
    for (normalizer, pre_tokenizer, expected) in [
        (
            sequence(vec![replace(json!({"String": "a"}), "aaaaaaaaaa"); 7]),
            Value::Null,
            "10000000 times",
        ),
        (sequence(vec![sequence(vec![json!({"type": "NFKC"}); 2]); 2]), Value::Null, "14641 times"),
        (
            sequence(vec![replace(json!({"Regex": "$"}), "aaaaaaaaaaaa"); 3]),
            Value::Null,
            "2197 times",
        ),
        (json!({"type": "NFKC"}), bytes.clone(), ""),
        (Value::Null, json!({"type": "Sequence", "pretokenizers": vec![bytes; 4]}), "256 times"),
        (replace(json!({"String": ""}), "a"), Value::Null, "empty text"),
        (replace(json!({"String": "a"}), &"a".repeat(65)), Value::Null, "inserts 65 bytes"),
        (
            json!({"type": "Prepend", "prepend": "a".repeat(1 << 16)}),
            Value::Null,
            "inserts 65536 bytes",
        ),
        (
            sequence(vec![json!({"type": "Prepend", "prepend": "a"}); 33]),
            Value::Null,
            "more than 32 steps",
        ),
        (nested(60), Value::Null, "deeper than 8 levels"),
        (json!({"type": "Sequence"}), Value::Null, "has no normalizers"),
        (json!({"type": "BertNormalizer"}), Value::Null, "BertNormalizer"),
        (json!({"type": "\u{1b}[2J"}), Value::Null, "not supported"),
        (json!("NFC"), Value::Null, "not supported"),
        (Value::Null, json!({"type": "FixedLength", "length": 0}), "FixedLength"),
    ] {
        let file = with_steps(normalizer, pre_tokenizer);
        if expected.is_empty() {
            Tokenizer::from_files(Some(&file), None, None).unwrap();
        } else {
            let problem = problem(Some(&file), None, None);
            assert!(problem.contains(expected), "{expected}: {problem}");
        }
    }
}

#[test]
fn regular_expressions_are_bounded_in_size_and_time() {
    for (pattern, expected) in [
        ("((((?=a)a){1000}){1000}){1000}", "parts once its repeats are written out"),
        ("(a)\\1", "its own groups"),
        ("(a|b(?1))", "cannot be read"),
        (&"a".repeat(5000), "has 5000 bytes"),
        (&format!("{}a{}", "(".repeat(1000), ")".repeat(1000)), "cannot be read"),
        ("(", "cannot be read"),
    ] {
        let problem = problem(Some(&with_steps(Value::Null, split(pattern))), None, None);
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    // Each of these goes back without end in places; the rest of the text stays in one piece.
    for pattern in ["(?:(?=a)a|(?=a)a)*b|a", "((?=a)a*)*(?=b)|a"] {
        let tokenizer =
            Tokenizer::from_files(Some(&with_steps(Value::Null, split(pattern))), None, None)
                .unwrap();
        assert_eq!(tokenizer.encode(&"a".repeat(20_000)).len(), 20_000);
    }
}

#[test]
fn steps_do_what_the_library_does() {
    let texts = ["", "a", "it's  a b\n\n ab 12,5 ü日本 🐱!!  ", "\u{fdfa} ﬁ Å\t\r\n", "aaa   b"];
    let gpt = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let behaviours = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];
    let mut cuts = vec![Value::Null, split(gpt), split(""), split("(?=b)"), split("a?")];
    for behavior in behaviours {
        for invert in [false, true] {
            cuts.push(json!({"type": "Split", "pattern": {"String": " "}, "behavior": behavior, "invert": invert}));
            cuts.push(json!({"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": behavior, "invert": invert}));
        }
    }
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    cuts.push(json!({"type": "Sequence", "pretokenizers": [split(gpt), bytes, {"type": "Digits", "individual_digits": true}]}));
    let normalizers = [
        Value::Null,
        json!({"type": "NFC"}),
        json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, replace(json!({"Regex": " {2,}"}), " ")]}),
        replace(json!({"String": " "}), "▁"),
        replace(json!({"Regex": "(?=a)"}), "-"),
    ];
    for normalizer in &normalizers {
        for pre_tokenizer in &cuts {
            let ours = steps::Steps::new(normalizer, pre_tokenizer).unwrap();
            for text in texts {
                assert_eq!(
                    pieces(&ours.apply(text)),
                    pieces(&theirs(normalizer, pre_tokenizer, text)),
                    "{normalizer} {pre_tokenizer} {text:?}"
                );
            }
        }
    }
}

/// Found by fuzzing: after a match of nothing the library loses count of where characters came
/// from, and the step after it panicked.
#[test]
fn a_replacement_of_nothing_leaves_a_text_that_later_steps_can_read() {
    for pattern in [" {0,}", "a*", "^", "$", "(?=a)"] {
        for last in ["StripAccents", "NFD", "Lowercase", "NFKC", "Nmt"] {
            let steps = json!({"type": "Sequence", "normalizers": [
                {"type": "Replace", "pattern": {"Regex": pattern}, "content": " "},
                {"type": "Strip", "strip_left": true, "strip_right": true},
                {"type": last},
            ]});
            let steps = steps::Steps::new(&steps, &Value::Null).unwrap();
            for text in ["How many  circles\nare there? It's 12 ü ﷺ 日本", "", "a", "é a"] {
                let _ = steps.apply(text);
            }
        }
    }
}

fn pieces(cut: &tokenizers::PreTokenizedString) -> Vec<String> {
    let splits =
        cut.get_splits(tokenizers::OffsetReferential::Normalized, tokenizers::OffsetType::None);
    splits.into_iter().map(|(text, ..)| text.to_owned()).collect()
}

/// The same by the library's own steps.
fn theirs(normalizer: &Value, pre_tokenizer: &Value, text: &str) -> tokenizers::PreTokenizedString {
    use tokenizers::{
        NormalizedString, Normalizer, NormalizerWrapper, PreTokenizedString, PreTokenizer,
        PreTokenizerWrapper,
    };
    let mut normalized = NormalizedString::from(text);
    if !normalizer.is_null() {
        let step: NormalizerWrapper = serde_json::from_value(normalizer.clone()).unwrap();
        step.normalize(&mut normalized).unwrap();
    }
    let mut cut = PreTokenizedString::from(normalized.get());
    if !pre_tokenizer.is_null() {
        let step: PreTokenizerWrapper = serde_json::from_value(pre_tokenizer.clone()).unwrap();
        step.pre_tokenize(&mut cut).unwrap();
    }
    cut
}

#[test]
fn lists_and_tokens_of_a_file_are_bounded() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 7] = [
        (|file| file["model"]["vocab"]["x".repeat(5000)] = json!(18), "token 18 has 5000 bytes"),
        (|file| file["model"]["vocab"]["far"] = json!((1 << 20) + 5), "1048581"),
        (
            |file| file["model"]["merges"] = json!(vec!["a b"; (1 << 20) + 1]),
            "more than 1048576 entries",
        ),
        (
            |file| file["added_tokens"] = json!(vec![json!({"id": 0, "content": "a"}); 70_000]),
            "more than 65536 entries",
        ),
        (
            |file| file["added_tokens"] = json!(vec![json!({"id": 0, "content": "a"}); 17_000]),
            "17000 added tokens",
        ),
        (
            |file| file["post_processor"] = json!({"single": vec![0; 1 << 20]}),
            "its post_processor has",
        ),
        (
            |file| file["decoder"] = json!({"type": "Replace", "content": "a".repeat(1 << 21)}),
            "its decoder has",
        ),
    ];
    for (change, expected) in cases {
        let problem = problem(Some(&file(change)), None, None);
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    // A SentencePiece model of pieces without content: two bytes each in the file, forty in memory.
    let many = [0x0a, 0].repeat((1 << 20) + 1);
    assert!(problem(None, Some(&many), None).contains("more than 1048576 pieces"));
    // A table that puts a long text in the place of each letter.
    let long = [&4u32.to_le_bytes()[..], &[0; 4], &[b'a'; 100], &[0]].concat();
    assert!(Clean::new(long, false).check().unwrap_err().contains("100 bytes"));
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
