//! From the picture's file and the question to logits, at every m of every case; and what a change
//! of m computes.

use super::{Expected, FEATURES, LOGITS, adapters, check, folder, load, read_json};
use mqt::Budget;
use mqt::cancel::Cancel;
use mqt::image::{Picture, Reading};
use mqt::internals::image::tiles::squares;
use mqt::internals::model::{Slot, Want};
use mqt::internals::select::{farthest_point, first};
use mqt::model::Weights;
use mqt::session::{Answer, Request, Session};
use pollster::block_on;
use serde_json::Value;
use std::sync::Arc;

const CASES: [&str; 6] = [
    "smolvlm",
    "granite_docling",
    "llava_interleave",
    "llava_onevision",
    "mobilevlm_v2",
    "farthest_point",
];

fn picture(case: &str, session: &Session) -> Picture {
    let bytes = std::fs::read(folder(case).join("image.png")).unwrap();
    Picture::read(&bytes, session.model().image_spec().reading(Reading::Reference)).unwrap()
}

fn sessions(case: &str) -> Vec<Session> {
    let open = |adapter| {
        let model = load(folder(case).join("checkpoint"), adapter, Weights::F32).unwrap();
        block_on(Session::growing(Arc::new(model), &Cancel::new())).unwrap()
    };
    adapters().into_iter().map(open).collect()
}

/// The key of `name` for this m: its own, or that of the tokens it was selected from.
fn of(about: &Value, m: usize) -> usize {
    let from = &about["levels"][m.to_string()]["selected_from"];
    from.as_u64().map_or(m, |all| all as usize)
}

#[test]
fn a_trace_equals_pytorch_at_every_m() {
    for case in CASES {
        let expected = Expected::of(case);
        let about = read_json(&folder(case).join("case.json"));
        for mut session in sessions(case) {
            let picture = picture(case, &session);
            for m in about["ms"].as_array().unwrap() {
                let m = m.as_u64().unwrap();
                let what = format!("{case}, m = {m}, on {}", session.model().adapter().name);
                let mut request = Request::new(about["question"].as_str().unwrap());
                request.budget = Budget::Fixed(m);
                let trace = block_on(session.trace(
                    std::slice::from_ref(&picture),
                    &request,
                    &Cancel::new(),
                ))
                .unwrap();
                let m = m as usize;
                assert_eq!(trace.image_tokens, m, "{what}");
                assert_eq!(
                    trace.pixel_values,
                    expected.floats("pixel_values", of(&about, m)),
                    "{what}: pixels"
                );
                let features = expected.floats("vision_features", of(&about, m));
                check(&format!("{what}: features"), &trace.vision_features, &features, FEATURES);
                if let Some(selected) = expected.ints("selected", m) {
                    let got: Vec<i32> =
                        trace.selected.unwrap().into_iter().map(|row| row as i32).collect();
                    assert_eq!(got, selected, "{what}: rows");
                }
                let tokens = expected.floats("visual_tokens", m);
                check(&format!("{what}: tokens"), &trace.visual_tokens, &tokens, FEATURES);
                assert_eq!(trace.input_ids, expected.ints("input_ids", m).unwrap(), "{what}");
                let vocab = session.model().config().language.vocab;
                let rows = expected.ints("logit_rows", m).unwrap();
                let row = |row: &i32| trace.logits[*row as usize * vocab..][..vocab].to_vec();
                let logits: Vec<f32> = rows.iter().flat_map(row).collect();
                check(&format!("{what}: logits"), &logits, &expected.floats("logits", m), LOGITS);
            }
        }
    }
}

/// Index for index float64's on every adapter, though their tokens differ in the last bits; and
/// every selection holds the one before it.
#[test]
fn the_order_of_every_familys_tokens_is_that_of_float64() {
    let mut with_an_order = 0;
    for case in CASES {
        let expected = Expected::of(case);
        let about = read_json(&folder(case).join("case.json"));
        let most = |m: usize| about["levels"][m.to_string()]["selected_from"].as_u64();
        let ms = about["ms"].as_array().unwrap().iter().map(|m| m.as_u64().unwrap() as usize);
        for session in sessions(case) {
            let (model, picture) = (session.model(), picture(case, &session));
            let what = format!("{case} on {}", model.adapter().name);
            let level = model.image_spec().levels()[0];
            let (plan, squares) = squares(&picture, model.image_spec(), level).unwrap();
            let (visual, _) = block_on(model.look(&squares, &plan, &Cancel::new())).unwrap();
            let Some(want) = expected.ints("order", 0) else { continue };
            with_an_order += 1;
            assert!(ms.clone().filter_map(most).all(|all| all as usize == want.len()), "{what}");
            let tokens = block_on(model.read_visual(&visual, 0..want.len())).unwrap();
            let order = farthest_point(&tokens, model.config().language.hidden);
            assert_eq!(order.iter().map(|&row| row as i32).collect::<Vec<_>>(), want, "{what}");
            let mut before = Vec::new();
            for m in 1..=order.len() {
                let chosen = first(&order, m);
                assert!(chosen.is_sorted() && chosen.len() == m, "{what}, m = {m}");
                assert!(before.iter().all(|row| chosen.contains(row)), "{what}, m = {m}");
                before = chosen;
            }
        }
    }
    // LLaVA-OneVision's least level has a newline behind its tokens, and the case no order.
    assert_eq!(with_an_order, 5 * adapters().len());
}

/// Ties, zeros and equal tokens, in float64's order.
#[test]
fn the_order_of_ties_is_that_of_float64() {
    let cases = read_json(&folder("farthest_point").join("ties.json"));
    for case in cases.as_array().unwrap() {
        let rows = case["tokens"].as_array().unwrap();
        let row = |row: &Value| -> Vec<f32> {
            row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
        };
        let tokens: Vec<f32> = rows.iter().flat_map(row).collect();
        let order = farthest_point(&tokens, tokens.len() / rows.len());
        let want: Vec<u32> =
            case["order"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as u32).collect();
        assert_eq!(order, want, "{}", case["name"]);
    }
}

fn ask(session: &mut Session, budget: Budget) -> Answer {
    session.start_anew();
    let mut request = Request::new("What is this?");
    (request.budget, request.max_new_tokens) = (budget, 3);
    block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap()
}

#[test]
fn a_level_is_encoded_once_when_it_is_first_asked_for() {
    for mut session in sessions("smolvlm") {
        let picture = picture("smolvlm", &session);
        block_on(session.look(&picture, &Cancel::new())).unwrap();
        // Squares of 131 × 90 at level 1, 2 and 4: 1, 5, 13.
        let runs = [4, 20, 1, 4, 52, 20, 19].map(|m| {
            let answer = ask(&mut session, Budget::Fixed(m));
            (answer.image_tokens, answer.tiles, answer.vision_runs)
        });
        let want = [(4, 1, 1), (20, 5, 5), (1, 1, 0), (4, 1, 0), (52, 13, 13), (20, 5, 0)];
        assert_eq!(runs[..6], want);
        assert_eq!(runs[6], (4, 1, 0), "at most m");
        // 68 are there of a square picture only.
        assert_eq!(ask(&mut session, Budget::Fixed(68)).image_tokens, 52);
    }
}

/// Nobody knows how long a square takes: one is encoded, and then the level is chosen.
#[test]
fn an_automatic_budget_measures_before_it_chooses_a_level() {
    for mut session in sessions("smolvlm") {
        let picture = picture("smolvlm", &session);
        block_on(session.look(&picture, &Cancel::new())).unwrap();
        let enough = Budget::Auto { target_ms: 600_000.0 };
        let first = ask(&mut session, enough.clone());
        // On a device the first run may compile kernels, and says nothing then.
        if session.model().adapter().kind == "cpu" {
            assert_eq!((first.tiles, first.vision_runs), (13, 14), "{first:?}");
        }
        let answer = ask(&mut session, enough);
        assert_eq!((answer.image_tokens, answer.tiles), (52, 13), "{answer:?}");
        let hurry = ask(&mut session, Budget::Auto { target_ms: 0.001 });
        assert!(hurry.image_tokens <= 52 && hurry.vision_runs == 0, "{hurry:?}");
    }
}

#[test]
fn one_encoding_serves_every_m_of_a_checkpoint_without_nested_tokens() {
    for mut session in sessions("farthest_point") {
        let picture = picture("farthest_point", &session);
        block_on(session.look(&picture, &Cancel::new())).unwrap();
        let runs = [144, 64, 16, 144].map(|m| {
            let answer = ask(&mut session, Budget::Fixed(m));
            (answer.image_tokens, answer.vision_runs, answer.select.name())
        });
        assert_eq!(
            runs,
            [(144, 1, "spread"), (64, 0, "spread"), (16, 0, "spread"), (144, 0, "spread")]
        );
    }
}

/// A tokenizer may know tokens that the embedding table has no row for: granite-docling's does.
#[test]
fn a_token_beyond_the_embedding_table_is_refused() {
    for session in sessions("granite_docling") {
        let model = session.model();
        let beyond = Slot::Token(model.config().language.vocab as u32);
        let mut cache = block_on(model.new_cache(8)).unwrap();
        let got = block_on(model.extend(&mut cache, &[beyond], &[], Want::Nothing, &Cancel::new()));
        let error = got.err().unwrap();
        assert!(error.to_string().contains("token 339 has no row"), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}
