//! `mqt serve`: answers in a given form, and how likely their tokens were.

use super::served::{Served, about, data_url, request};
use serde_json::{Value, json};

const QUESTION: &str = "How many things are there?";

fn question(more: &Value) -> Value {
    let mut body = request(&json!([about(&data_url(1), QUESTION)]), more);
    body["image_tokens"] = 16.into();
    body
}

fn schema(schema: &Value) -> Value {
    json!({"response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema},
    }})
}

#[test]
fn an_answer_keeps_to_the_schema_and_to_the_choices() {
    let served = Served::start(&[]);
    let wanted = schema(&json!({
        "type": "object",
        "properties": {"count": {"type": "integer", "maximum": 9, "minimum": 0}, "sure": {"type": "boolean"}},
        "required": ["count", "sure"], "additionalProperties": false,
    }));
    let reply = served.chat(&question(&wanted));
    let value: Value = serde_json::from_str(&reply.text()).unwrap();
    assert!(value["count"].is_u64() && value["sure"].is_boolean(), "{value}");
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply.header("x-mqt-ignored"), None, "{reply:#?}");
    // The same again, from a grammar that is kept; and in pieces.
    assert_eq!(served.chat(&question(&wanted)).text(), reply.text());
    let mut streamed = question(&wanted);
    streamed["stream"] = true.into();
    let events = served.chat(&streamed).events();
    let pieces = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), reply.text());
    // Cut, it says so.
    let mut cut = question(&wanted);
    cut["max_tokens"] = 3.into();
    assert_eq!(served.chat(&cut).json()["choices"][0]["finish_reason"], "length");

    let choices = ["a zebra", "no zebra"];
    let reply = served.chat(&question(&json!({"choices": choices})));
    assert!(choices.contains(&reply.text().as_str()), "{reply:#?}");
    assert_eq!(served.chat(&question(&json!({"choices": ["12"]}))).text(), "12");
    // And the next one is free.
    assert_eq!(served.chat(&question(&json!({"response_format": {"type": "text"}}))).text(), "3");
    let object = json!({"response_format": {"type": "json_object"}, "max_tokens": 40});
    assert!(served.chat(&question(&object)).text().starts_with('{'));
}

#[test]
fn forms_that_cannot_be_are_refused_in_one_sentence() {
    let served = Served::start(&[]);
    let object = json!({"type": "object"});
    for (more, param) in [
        (schema(&json!({"not": {}})), "response_format"),
        (schema(&json!({"$ref": "https://example.org/"})), "response_format"),
        (schema(&json!("object")), "response_format"),
        (schema(&json!({"description": "x".repeat(70_000)})), "response_format"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format"),
        (json!({"response_format": {"type": "json_schema", "json_schema": 5}}), "response_format"),
        (json!({"response_format": "json"}), "response_format"),
        (json!({"choices": "yes"}), "choices"),
        (json!({"choices": []}), "choices"),
        (json!({"choices": [1]}), "choices"),
        (json!({"choices": [" yes"]}), "choices"),
        (json!({"choices": vec!["x"; 1001]}), "choices"),
        (json!({"choices": ["yes"], "response_format": {"type": "json_object"}}), "choices"),
        (json!({"choices": ["yes"], "stop": "s"}), "stop"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"top_logprobs": 21, "logprobs": true}), "top_logprobs"),
        (json!({"logprobs": 2}), "logprobs"),
    ] {
        let why = served.chat(&question(&more)).refused(400, "invalid_value", Some(param));
        assert!(!why.contains('\n') && why.len() < 1000, "{why}");
    }
    // Hundreds of references, one behind the other, and parts inside each other: no stack is deep
    // enough for anything, but it is for what is taken here.
    let mut defs = json!({"d1000": {"type": "integer"}});
    for n in 0..1000 {
        defs[format!("d{n}")] = json!({"$ref": format!("#/$defs/d{}", n + 1)});
    }
    let chain = served.chat(&question(&schema(&json!({"$ref": "#/$defs/d0", "$defs": defs}))));
    assert!(chain.status == 200 || chain.status == 400, "{chain:#?}");
    let mut deep = json!({"type": "integer"});
    for _ in 0..100 {
        deep = json!({"items": deep, "type": "array", "minItems": 1});
    }
    let deep = served.chat(&question(&schema(&deep)));
    assert!(deep.status == 200 || deep.status == 400, "{deep:#?}");
    let mut more = schema(&object);
    more["response_format"]["json_schema"]["extra"] = 1.into();
    let ignored = served.chat(&question(&more));
    assert_eq!(ignored.header("x-mqt-ignored"), Some("response_format.json_schema.extra"));
    // Nothing of it harms the next one.
    let reply = served.chat(&question(&schema(&object)));
    assert_eq!(reply.status, 200, "{reply:#?}");
}

/// The concatenated bytes of tokens.
fn text(tokens: &[Value]) -> String {
    let bytes = tokens.iter().flat_map(|token| token["bytes"].as_array().unwrap());
    let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().unwrap() as u8).collect();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn logprobs_have_the_shape_of_openais_whole_and_in_pieces() {
    let served = Served::start(&[]);
    let mut body = question(&json!({"logprobs": true, "top_logprobs": 4}));
    body["messages"] = json!([about(&data_url(1), "what do you see?")]);
    let reply = served.chat(&body);
    let choice = &reply.json()["choices"][0];
    let tokens = choice["logprobs"]["content"].as_array().unwrap().clone();
    assert_eq!(choice["logprobs"]["refusal"], Value::Null);
    assert_eq!(tokens.len() as u64, reply.json()["usage"]["completion_tokens"]);
    assert_eq!(text(&tokens).trim(), reply.text());
    for token in &tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 4);
        assert!(token["logprob"].as_f64().unwrap() <= 0.0 && top[0]["token"] == token["token"]);
        assert_eq!(top[0]["logprob"], token["logprob"], "greedy takes the likeliest");
        assert!(top.iter().all(|other| other.get("top_logprobs").is_none()));
    }
    body["stream"] = true.into();
    let events = served.chat(&body).events();
    let mut streamed = Vec::new();
    for event in &events {
        let choice = &event["choices"][0];
        if let Some(list) = choice["logprobs"]["content"].as_array() {
            streamed.extend(list.iter().cloned());
            // What is said about text comes with it.
            let piece = choice["delta"]["content"].as_str().unwrap_or_default();
            assert!(text(list).contains(piece), "{event}");
        }
    }
    assert_eq!(streamed, tokens);
    // Not asked for, there are none; and none of the likeliest, unless they are.
    let plain = served.chat(&question(&json!({}))).json();
    assert_eq!(plain["choices"][0]["logprobs"], Value::Null);
    let own = served.chat(&question(&json!({"logprobs": true}))).json();
    assert_eq!(own["choices"][0]["logprobs"]["content"][0]["top_logprobs"], json!([]));
}
