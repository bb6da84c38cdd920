//! Answers within a grammar, and how likely their tokens were, on the processor and on an adapter,
//! step by step and running ahead.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a notice")]

use mqt::budget::Budget;
use mqt::gpu::AdapterChoice;
use mqt::grammar::Compiler;
use mqt::image::{Picture, Reading};
use mqt::internals::gpu::Gpu;
use mqt::model::{Arithmetic, LoadOptions, ModelSource};
use mqt::session::{Answer, FinishReason, Watch};
use mqt::{Cancel, Model, Request, Session};
use mqt::{Likely, Sampling};
use pollster::block_on;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn toybox() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox")
}

/// The processor, and an adapter where there is one; with `REQUIRE_GPU` its absence is a failure.
fn adapters() -> Vec<AdapterChoice> {
    if block_on(Gpu::open(&AdapterChoice::Gpu)).unwrap().is_some() {
        return vec![AdapterChoice::Cpu, AdapterChoice::Gpu];
    }
    assert!(std::env::var("REQUIRE_GPU").is_err(), "REQUIRE_GPU is set, and there is no adapter");
    eprintln!("skipped: no adapter");
    vec![AdapterChoice::Cpu]
}

/// A conversation of the bundled model about a sample.
fn session(adapter: &AdapterChoice, arithmetic: Arithmetic) -> Session {
    let mut options = LoadOptions::on(adapter.clone());
    options.arithmetic = arithmetic;
    let model = block_on(Model::load(&ModelSource::Bundled, &options, &mut |_| {})).unwrap();
    let mut session = block_on(Session::new(Arc::new(model), 512, &Cancel::new())).unwrap();
    let bytes = std::fs::read(toybox().join("samples/toybox-1.png")).unwrap();
    let picture = Picture::read(&bytes, Reading::Reference).unwrap();
    block_on(session.look(&picture, &Cancel::new())).unwrap();
    session
}

/// Every way of computing there is here.
fn sessions() -> Vec<(String, Session)> {
    let mut all = Vec::new();
    for adapter in adapters() {
        for arithmetic in [Arithmetic::Exact, Arithmetic::Fast] {
            all.push((format!("{adapter:?} {arithmetic}"), session(&adapter, arithmetic)));
        }
    }
    all
}

fn compiler(session: &Session) -> Compiler {
    let model = session.model();
    Compiler::new(model.tokenizer(), &model.config().end_ids).unwrap()
}

fn question(text: &str) -> Request {
    let mut request = Request::new(text);
    (request.budget, request.max_new_tokens) = (Budget::Fixed(16), 60);
    request
}

fn ask(session: &mut Session, request: &Request) -> Answer {
    session.start_anew();
    block_on(session.ask(request, &Cancel::new(), &mut |_| {})).unwrap()
}

#[test]
fn an_answer_by_a_schema_is_json_that_keeps_to_it_on_every_device() {
    let schema = json!({
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0, "maximum": 9},
            "colour": {"enum": ["red", "blue", "green"]},
            "seen": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
        },
        "required": ["count", "colour", "seen"],
        "additionalProperties": false,
    });
    let mut texts = Vec::new();
    for (name, mut session) in sessions() {
        let mut request = question("How many things are there?");
        request.grammar = Some(compiler(&session).schema(schema.as_object().unwrap()).unwrap());
        let answer = ask(&mut session, &request);
        let value: Value = serde_json::from_str(&answer.text)
            .unwrap_or_else(|error| panic!("{name}: {error} in {}", answer.text));
        assert!((0..10).contains(&value["count"].as_i64().unwrap()), "{name}: {value}");
        assert!(["red", "blue", "green"].contains(&value["colour"].as_str().unwrap()), "{name}");
        let seen = value["seen"].as_array().unwrap();
        assert!((1..=2).contains(&seen.len()) && seen.iter().all(Value::is_boolean), "{name}");
        assert_eq!(value.as_object().unwrap().len(), 3, "{name}");
        assert_eq!(answer.finish_reason, FinishReason::Stop, "{name}");
        // Once more, drawn: another way of picking, in the same form.
        request.sampling = Sampling { temperature: 1.5, seed: 3, ..Sampling::default() };
        let drawn = ask(&mut session, &request);
        assert!(serde_json::from_str::<Value>(&drawn.text).is_ok(), "{name}: {}", drawn.text);
        assert_eq!(ask(&mut session, &request).token_ids, drawn.token_ids, "{name}");
        // What follows is as free as before.
        let free = ask(&mut session, &question("How many things are there?"));
        assert_eq!(free.text, "3", "{name}");
        // Fast arithmetic rounds, and a model that was never taught JSON wavers.
        if name.ends_with("exact") {
            texts.push(answer.text);
        }
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[test]
fn an_answer_that_is_cut_says_so() {
    for (name, mut session) in sessions() {
        let mut request = question("What is this?");
        let schema = json!({"type": "object", "properties": {"a": {"enum": ["x".repeat(40)]}}, "required": ["a"], "additionalProperties": false});
        request.grammar = Some(compiler(&session).schema(schema.as_object().unwrap()).unwrap());
        request.max_new_tokens = 5;
        let answer = ask(&mut session, &request);
        assert_eq!(answer.finish_reason, FinishReason::Length, "{name}: {}", answer.text);
        assert_eq!(answer.token_ids.len(), 5);
        // Continued, it is whole.
        request.so_far = answer.token_ids;
        request.max_new_tokens = 100;
        session.take_back();
        let whole = block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap();
        assert_eq!(whole.finish_reason, FinishReason::Stop, "{name}");
        let value: Value = serde_json::from_str(&whole.text).unwrap();
        assert_eq!(value["a"], "x".repeat(40));
    }
}

#[test]
fn an_answer_is_one_of_the_choices() {
    let choices = ["a zebra", "a zebra crossing", "ドア", "\"quoted\\"];
    for (name, mut session) in sessions() {
        let compiler = compiler(&session);
        let mut request = question("How many things are there?");
        request.grammar = Some(compiler.choices(&choices).unwrap());
        for seed in 0..6 {
            request.sampling = Sampling { temperature: 2.0, top_k: 0, seed, ..Sampling::default() };
            let answer = ask(&mut session, &request);
            assert!(choices.contains(&answer.text.as_str()), "{name}: {:?}", answer.text);
            assert_eq!(answer.finish_reason, FinishReason::Stop, "{name}");
        }
        for one in choices {
            request.grammar = Some(compiler.choices(&[one]).unwrap());
            assert_eq!(ask(&mut session, &request).text, one, "{name}");
        }
    }
}

#[test]
fn grammars_that_cannot_be_kept_to_are_refused() {
    let session = session(&AdapterChoice::Cpu, Arithmetic::Exact);
    let compiler = compiler(&session);
    for schema in [
        json!({"not": {"type": "string"}}),
        json!({"type": "nothing"}),
        json!({"type": "object", "properties": 5}),
        json!({"$ref": "https://example.org/schema.json"}),
        json!({"$ref": "#/nowhere"}),
        json!({"x-guidance": {"lenient": true}}),
        json!({"type": "string", "pattern": "("}),
        json!({"enum": []}),
        json!({"type": "string", "description": "x".repeat(70_000)}),
        json!({"type": "object", "minProperties": 2, "maxProperties": 1}),
    ] {
        let error = compiler.schema(schema.as_object().unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("the schema: ") && !error.contains('\n'), "{error}");
        assert!(!error.contains("backtrace") && !error.contains("guidance:"), "{error}");
        assert!(!error.contains("start:") && error.len() < 300, "{error}");
    }
    let none: [&str; 0] = [];
    assert!(compiler.choices(&none).is_err());
    for choice in ["", " a", "a\n"] {
        assert!(compiler.choices(&[choice]).is_err(), "{choice:?}");
    }
}

/// What a watch has heard: each token, and the likeliest in its place.
type Heard = Vec<(Likely, Vec<Likely>)>;

fn watched(session: &mut Session, request: &Request, top: usize) -> (Answer, Heard) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = heard.clone();
    let mut request = request.clone();
    request.watch = Some(Watch::new(top, move |own, top| {
        into.lock().unwrap().push((own, top.to_vec()));
    }));
    let answer = ask(session, &request);
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    (answer, heard)
}

#[test]
fn probabilities_are_the_softmax_of_the_logits_on_every_device() {
    let text = "what do you see?";
    let mut all: Vec<(String, Heard)> = Vec::new();
    for (name, mut session) in sessions() {
        let bytes = std::fs::read(toybox().join("samples/toybox-1.png")).unwrap();
        let picture = Picture::read(&bytes, Reading::Reference).unwrap();
        let plain = ask(&mut session, &question(text));
        let (answer, heard) = watched(&mut session, &question(text), 5);
        assert_eq!(answer.token_ids, plain.token_ids, "{name}");
        let tokens: Vec<u32> = heard.iter().map(|(own, _)| own.token).collect();
        assert_eq!(tokens, answer.token_ids, "{name}");
        // The last row of a trace's logits is what the first token is picked from.
        let mut other = session_like(&session);
        let trace = block_on(other.trace(&[picture], &question(text), &Cancel::new())).unwrap();
        let vocab = session.model().config().language.vocab;
        let row = &trace.logits[trace.logits.len() - vocab..];
        let sum: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
        let mut order: Vec<u32> = (0..vocab as u32).collect();
        order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
        let (own, top) = &heard[0];
        assert_eq!(top.iter().map(|l| l.token).collect::<Vec<_>>(), order[..5], "{name}");
        for likely in top.iter().chain([own]) {
            let wanted = (f64::from(row[likely.token as usize]).exp() / sum).ln();
            // Fast arithmetic keeps keys and values as halves, and a step sums in another order.
            assert!(
                (f64::from(likely.logprob) - wanted).abs() < 2e-2,
                "{name}: {likely:?} {wanted}"
            );
        }
        // What the sampler says of the same tokens, on average.
        let mean = heard.iter().map(|(own, _)| own.logprob.exp()).sum::<f32>() / heard.len() as f32;
        assert!((mean - answer.mean_probability.unwrap()).abs() < 1e-4, "{name}");
        // Greedy takes the likeliest.
        assert!(heard.iter().all(|(own, top)| top[0] == *own), "{name}");
        all.push((name, heard));
    }
    for (name, heard) in &all {
        for ((own, _), (wanted, _)) in heard.iter().zip(&all[0].1) {
            assert_eq!(own.token, wanted.token, "{name}");
            assert!((own.logprob - wanted.logprob).abs() < 2e-2, "{name}: {own:?} {wanted:?}");
        }
    }
}

fn session_like(session: &Session) -> Session {
    block_on(Session::new(session.model().clone(), 512, &Cancel::new())).unwrap()
}

#[test]
fn a_watch_hears_what_the_model_held_likely_and_not_what_the_grammar_allowed() {
    let mut session = session(&AdapterChoice::Cpu, Arithmetic::Fast);
    let mut request = question("How many things are there?");
    request.grammar = Some(compiler(&session).choices(&["zebra"]).unwrap());
    let (answer, heard) = watched(&mut session, &request, 20);
    assert_eq!(answer.text, "zebra");
    // After the space that both begin with, the model holds its own answer, 3, far likelier.
    let (own, top) = &heard[1];
    assert!(own.logprob < -3.0 && top[0].logprob > -0.1 && top.len() == 20, "{own:?} {top:?}");
    assert!(top.windows(2).all(|pair| pair[0].logprob >= pair[1].logprob));
}
