//! Text ↔ ids, against SentencePiece and the reference's slow tokenizer (`golden/tokenizer`).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use mqt::text::{Template, TextStream, Tokenizer};
use serde_json::Value;

/// Stands for the picture in the golden ids.
const PICTURE: i64 = -200;

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is a list"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is text"))
}

fn ids(value: &Value) -> Vec<u32> {
    list(value, "ids").iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

fn legacy(value: bool) -> Vec<u8> {
    format!("{{\"legacy\": {value}}}").into_bytes()
}

/// The same tokenizer from both file formats, and from what we write ourselves.
fn tokenizers(config: Option<&[u8]>) -> Vec<(&'static str, Tokenizer)> {
    let (json, model) = (bytes("tokenizer/tokenizer.json"), bytes("tokenizer/tokenizer.model"));
    let from_json = Tokenizer::from_files(Some(&json), None, config).unwrap();
    let from_model = Tokenizer::from_files(None, Some(&model), config).unwrap();
    let again = |tokenizer: &Tokenizer| {
        Tokenizer::from_files(Some(&tokenizer.to_json()), None, None).unwrap()
    };
    let (json_again, model_again) = (again(&from_json), again(&from_model));
    vec![
        ("tokenizer.json", from_json),
        ("tokenizer.model", from_model),
        ("tokenizer.json written from tokenizer.json", json_again),
        ("tokenizer.json written from tokenizer.model", model_again),
    ]
}

#[test]
fn text_to_ids_and_back_equals_sentencepiece() {
    let vectors = json("tokenizer/vectors.json");
    for (name, tokenizer) in tokenizers(None) {
        for row in list(&vectors, "encode") {
            assert_eq!(tokenizer.encode(text(row, "text")), ids(row), "{name}: {row}");
            assert_eq!(tokenizer.decode(&ids(row)), text(row, "decoded"), "{name}: {row}");
        }
        for row in list(&vectors, "decode") {
            assert_eq!(tokenizer.decode(&ids(row)), text(row, "text"), "{name}: {row}");
        }
    }
}

#[test]
fn segments_around_control_tokens_follow_the_legacy_flag() {
    let vectors = json("tokenizer/vectors.json");
    let control = [("<unk>", 0), ("<s>", 1), ("</s>", 2)];
    for flag in [true, false] {
        for (name, tokenizer) in tokenizers(Some(&legacy(flag))) {
            for row in list(&vectors, "special").iter().filter(|row| row["legacy"] == flag) {
                let mut rest = text(row, "text");
                let mut ours = Vec::new();
                let mut first = true;
                loop {
                    let next = control
                        .iter()
                        .filter_map(|(token, id)| Some((rest.find(token)?, token, *id)))
                        .min();
                    let end = next.map_or(rest.len(), |(at, ..)| at);
                    let encode =
                        if first { Tokenizer::encode } else { Tokenizer::encode_after_special };
                    ours.extend(encode(&tokenizer, &rest[..end]));
                    let Some((at, token, id)) = next else { break };
                    ours.push(id);
                    rest = &rest[at + token.len()..];
                    first = false;
                }
                assert_eq!(ours, ids(row), "{name}: {row}");
            }
        }
    }
}

#[test]
fn typed_control_tokens_stay_text() {
    for (name, tokenizer) in tokenizers(None) {
        for typed in ["</s>", "<s>", "<unk>", "<0x0A>", "a</s>b", " </s>\n<s>"] {
            let ids = tokenizer.encode(typed);
            assert!(!ids.iter().any(|&id| tokenizer.is_special(id)), "{name}: {typed} → {ids:?}");
            assert_eq!(tokenizer.decode(&ids), typed, "{name}");
        }
    }
}

#[test]
fn streaming_gives_the_same_text_in_whole_characters() {
    let vectors = json("tokenizer/vectors.json");
    for (name, tokenizer) in tokenizers(None) {
        for row in list(&vectors, "encode").iter().chain(list(&vectors, "decode")) {
            let mut stream = TextStream::new(&tokenizer);
            let mut streamed: String = ids(row).into_iter().map(|id| stream.push(id)).collect();
            streamed.push_str(&stream.finish());
            assert_eq!(streamed, tokenizer.decode(&ids(row)), "{name}: {row}");
        }
    }
}

/// BOS … picture … question, and for each further turn the answer, eos and the next question.
fn prompt(template: &Template, tokenizer: &Tokenizer, turns: &[Value]) -> Vec<i64> {
    let mut ids = Vec::new();
    for (i, turn) in turns.iter().enumerate() {
        let question = turn[0].as_str().unwrap();
        if i == 0 {
            ids.extend(template.prefix_ids(tokenizer).into_iter().map(i64::from));
            ids.push(PICTURE);
            ids.extend(template.question_ids(tokenizer, question).into_iter().map(i64::from));
        } else {
            ids.extend(template.next_turn_ids(tokenizer, question).into_iter().map(i64::from));
        }
        if let Some(answer) = turn[1].as_str() {
            // In the middle of a text there is no space in front but the answer's own.
            let answer = tokenizer.encode(answer);
            ids.extend(answer.into_iter().map(i64::from));
            ids.push(i64::from(tokenizer.eos()));
        }
    }
    ids
}

#[test]
fn prompts_equal_the_references() {
    let vectors = json("tokenizer/llama_vectors.json");
    let reduced = bytes("tokenizer/llama_reduced.json");
    for row in list(&vectors, "prompts") {
        let config = legacy(row["legacy"].as_bool().unwrap());
        let tokenizer = Tokenizer::from_files(Some(&reduced), None, Some(&config)).unwrap();
        let template = Template::by_name(text(row, "template")).unwrap();
        let expected: Vec<i64> = list(row, "ids").iter().map(|id| id.as_i64().unwrap()).collect();
        assert_eq!(
            prompt(&template, &tokenizer, list(row, "turns")),
            expected,
            "{}",
            row["prompt"]
        );
    }
}

#[test]
fn prompts_of_the_model_cases_equal_the_references() {
    for case in ["a-f32-tower", "b-f16-shards", "c-crop", "d-floor-grid"] {
        let read = |file: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/golden")
                .join(case)
                .join("checkpoint")
                .join(file);
            std::fs::read(path).ok()
        };
        let (json_file, model, config) =
            (read("tokenizer.json"), read("tokenizer.model"), read("tokenizer_config.json"));
        let tokenizer =
            Tokenizer::from_files(json_file.as_deref(), model.as_deref(), config.as_deref())
                .unwrap();
        let turn = &json(&format!("{case}/index.json"))["second_turn"];
        let expected: Vec<i64> = list(turn, "ids").iter().map(|id| id.as_i64().unwrap()).collect();
        assert_eq!(
            prompt(&Template::vicuna_v1(), &tokenizer, list(turn, "turns")),
            expected,
            "{case}"
        );
    }
}
