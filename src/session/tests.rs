//! One conversation: what is kept, what is computed again, when it is stopped, what does not fit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::budget::Mode;
use crate::cancel::Stage;
use crate::gpu::AdapterChoice;
use crate::image::Picture;
use crate::kernels::check::gpu_or_skip;
use crate::model::{Arithmetic, LoadOptions, ModelSource};
use pollster::block_on;

mod ahead;
mod looked_at;
mod pictures;
mod reread;
mod threads;

fn models() -> Vec<Arc<Model>> {
    let mut adapters = vec![AdapterChoice::Cpu];
    if gpu_or_skip().is_some() {
        adapters.push(AdapterChoice::Gpu);
    }
    let load = |adapter| {
        let options = LoadOptions { adapter, arithmetic: Arithmetic::Exact, ..Default::default() };
        Arc::new(block_on(Model::load(&ModelSource::Bundled, &options, &mut |_| {})).unwrap())
    };
    adapters.into_iter().map(load).collect()
}

/// A red square on white, somewhere.
fn picture(at: usize) -> Picture {
    let side = 112;
    let mut rgb = vec![250u8; side * side * 3];
    for y in at..at + 30 {
        for x in at..at + 30 {
            rgb[(y * side + x) * 3..][..3].copy_from_slice(&[220, 30, 30]);
        }
    }
    Picture { rgb, width: side, height: side, readings_differ: false }
}

fn session(model: &Arc<Model>, context: usize) -> Session {
    block_on(Session::new(model.clone(), context, &Cancel::new())).unwrap()
}

/// One that has a picture before it.
fn looking(model: &Arc<Model>, context: usize, at: usize) -> Session {
    let mut session = session(model, context);
    block_on(session.look(&picture(at), &Cancel::new())).unwrap();
    session
}

fn request(question: &str, m: u64) -> Request {
    Request { budget: Budget::Fixed(m), max_new_tokens: 16, ..Request::new(question) }
}

fn ask(session: &mut Session, question: &str, m: u64) -> Answer {
    block_on(session.ask(&request(question, m), &Cancel::new(), &mut |_| {})).unwrap()
}

#[test]
fn nothing_is_computed_twice() {
    for model in models() {
        let mut s = session(&model, 512);
        let prefix = s.prefix.len();
        let look = |s: &mut Session, at| {
            block_on(s.look(&picture(at), &Cancel::new())).unwrap().vision_runs
        };
        assert_eq!(look(&mut s, 10), 1);
        let first = ask(&mut s, "What is this?", 16);
        assert_eq!((first.vision_runs, first.cached_tokens, first.turns_seen(&s)), (1, prefix, 1));
        // A second turn: everything before it is kept, its end token and question are new.
        let second = ask(&mut s, "What colour is it?", 16);
        assert_eq!(
            (second.vision_runs, second.cached_tokens),
            (0, first.prompt_tokens + first.completion_tokens)
        );
        // The same picture again: no run, the conversation goes on.
        assert_eq!(look(&mut s, 10), 0);
        // More tokens: the first 16 are kept; fewer: the first 4.
        s.start_anew();
        assert_eq!(ask(&mut s, "What is this?", 64).cached_tokens, prefix + 16);
        s.start_anew();
        let four = ask(&mut s, "What is this?", 4);
        assert_eq!((four.cached_tokens, four.vision_runs), (prefix + 4, 0));
        // Another picture: only the prefix is common.
        assert_eq!(look(&mut s, 60), 1);
        assert_eq!(ask(&mut s, "What is this?", 16).cached_tokens, prefix);
    }
}

impl Answer {
    fn turns_seen(&self, s: &Session) -> usize {
        s.turns().len()
    }
}

/// The conversation opens with other words, and with the model's own again; what leaves no room is
/// refused and changes nothing.
#[test]
fn a_system_prompt_is_read_instead_of_the_models_own() {
    for model in models() {
        let mut s = looking(&model, 256, 30);
        let own = ask(&mut s, "What is this?", 16);
        s.start_anew();
        s.instruct(Some("Be brief.")).unwrap();
        let estimated = |s: &Session| {
            s.estimate(&Budget::Fixed(16), "What is this?").unwrap().first_token_ms.unwrap()
        };
        let brief = ask(&mut s, "What is this?", 16);
        s.start_anew();
        let read = estimated(&s);
        s.instruct(Some("Be long.")).unwrap();
        assert!(estimated(&s) > read, "words that are not read yet cost time");
        s.instruct(Some("Be brief.")).unwrap();
        assert!(brief.prompt_tokens < own.prompt_tokens && brief.cached_tokens < 4, "{brief:?}");
        let error = s.instruct(Some(&"word ".repeat(300))).unwrap_err();
        assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
        s.start_anew();
        assert_eq!(ask(&mut s, "What is this?", 16).cached_tokens, brief.prompt_tokens - 1);
        s.start_anew();
        s.instruct(None).unwrap();
        let again = ask(&mut s, "What is this?", 16);
        assert_eq!((again.prompt_tokens, again.token_ids), (own.prompt_tokens, own.token_ids));
        // What is accepted leaves room to ask: the longest one, with the fewest image tokens.
        let mut longest = 0;
        while s.instruct(Some(&"a ".repeat(longest + 1))).is_ok() {
            longest += 1;
        }
        assert!(longest > 10, "{longest}");
        s.start_anew();
        s.instruct(Some(&"a ".repeat(longest))).unwrap();
        ask(&mut s, "What is it?", 2);
    }
}

/// The mean of what each token of the answer alone was, and the same on every device.
#[test]
fn how_sure_an_answer_is_is_the_mean_of_its_tokens() {
    let mut first = None;
    for model in models() {
        let mut s = looking(&model, 256, 30);
        let whole = ask(&mut s, "What is this?", 4);
        let mut sum = 0.0;
        for i in 0..whole.token_ids.len() {
            s.start_anew();
            let one = Request {
                so_far: whole.token_ids[..i].to_vec(),
                max_new_tokens: i + 1,
                ..request("What is this?", 4)
            };
            let one = block_on(s.ask(&one, &Cancel::new(), &mut |_| {})).unwrap();
            assert_eq!(one.token_ids, whole.token_ids[..=i]);
            sum += one.mean_probability.unwrap();
        }
        let (mean, sure) = (sum / whole.token_ids.len() as f32, whole.mean_probability.unwrap());
        // Keys and values of one prefill or of several: sums in another order.
        assert!((mean - sure).abs() < 1e-3 && sure > 0.0 && sure <= 1.0, "{mean} {sure}");
        assert!((sure - *first.get_or_insert(sure)).abs() < 1e-3, "{sure} and {first:?} before");
    }
}

/// Kept or recomputed, the answer is the same: whatever was asked before.
#[test]
fn history_of_the_cache_does_not_change_answers() {
    for model in models() {
        let fresh = |m| {
            let mut s = looking(&model, 512, 30);
            ask(&mut s, "How many shapes are there?", m).token_ids
        };
        let mut s = looking(&model, 512, 60);
        ask(&mut s, "Where is the square?", 64);
        block_on(s.look(&picture(30), &Cancel::new())).unwrap();
        for m in [64, 2, 16, 1, 36, 63] {
            s.start_anew();
            assert_eq!(ask(&mut s, "How many shapes are there?", m).token_ids, fresh(m), "m = {m}");
        }
    }
}

/// Cut off and continued, or taken over by another session: the same words.
#[test]
fn an_answer_goes_on_where_it_was_cut_off() {
    for model in models() {
        let mut s = looking(&model, 512, 30);
        let wanted = request("Describe it.", 16);
        let whole = block_on(s.ask(&wanted, &Cancel::new(), &mut |_| {})).unwrap();
        assert!(whole.token_ids.len() >= 2, "{}", whole.text);
        s.take_back();
        let cut = whole.token_ids.len() / 2;
        let rest = Request { so_far: whole.token_ids[..cut].to_vec(), ..wanted.clone() };
        let mut streamed = String::new();
        let continued =
            block_on(s.ask(&rest, &Cancel::new(), &mut |text| streamed += text)).unwrap();
        assert_eq!((&continued.text, &continued.token_ids), (&whole.text, &whole.token_ids));
        assert!(whole.text.ends_with(streamed.trim()) && streamed.len() < whole.text.len());
        assert!(
            block_on(s.ask(
                &Request { so_far: vec![u32::MAX], ..wanted.clone() },
                &Cancel::new(),
                &mut |_| {}
            ))
            .is_err()
        );

        // Another session takes the conversation over.
        let next = ask(&mut s, "What colour is it?", 16).token_ids;
        let mut other = looking(&model, 512, 30);
        let foreign = [
            Turn::new("Describe it.", vec![u32::MAX], 16),
            Turn::new("Describe it.", whole.token_ids.clone(), 65),
        ];
        for turn in foreign {
            let error = other.resume(&[Turn::from(&whole), turn]).unwrap_err();
            assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
            assert_eq!(other.turns().len(), 0);
        }
        other.resume(&[Turn::from(&whole)]).unwrap();
        assert_eq!(other.turns().collect::<Vec<_>>(), [&Turn::from(&continued)]);
        assert_eq!(ask(&mut other, "What colour is it?", 16).token_ids, next);
    }
}

#[test]
fn an_estimate_says_what_asking_does() {
    for model in models() {
        let mut s = looking(&model, 512, 30);
        let few = s.estimate(&Budget::Fixed(4), "What is this?").unwrap();
        let many = s.estimate(&Budget::Fixed(64), "What is this?").unwrap();
        assert_eq!((few.image_tokens, many.cache_bytes), (4, 16 * few.cache_bytes));
        assert!(few.first_token_ms < many.first_token_ms && few.tokens_per_second.is_none());
        let answer = ask(&mut s, "What is this?", 4);
        assert_eq!(few.context_used, answer.prompt_tokens);
        assert!(s.estimate(&Budget::Fixed(65), "").is_err());
        assert!(
            s.estimate(&Budget::default(), "").unwrap().tokens_per_second.is_some()
                || answer.completion_tokens < 2
        );
    }
}

#[test]
fn a_prepared_picture_leaves_only_the_question() {
    for model in models() {
        let mut s = looking(&model, 512, 30);
        let plain = ask(&mut s, "What is this?", 36);
        let mut s = looking(&model, 512, 30);
        block_on(s.prepare(&Budget::Fixed(36), &Cancel::new())).unwrap();
        let prepared = ask(&mut s, "What is this?", 36);
        assert_eq!(
            (prepared.token_ids, prepared.cached_tokens),
            (plain.token_ids, s.prefix.len() + 36)
        );
    }
}

#[test]
fn stopping_keeps_the_text_and_the_session() {
    for model in models() {
        let mut s = session(&model, 512);
        let pixels = picture(30);
        let cancelled = Cancel::new();
        cancelled.cancel();
        assert!(matches!(block_on(s.look(&pixels, &cancelled)), Err(Error::Cancelled)));
        block_on(s.look(&pixels, &Cancel::new())).unwrap();
        // In prefill: an error, and nothing is remembered.
        let stopped = request("What is this?", 16);
        let asked = block_on(s.ask(&stopped, &cancelled, &mut |_| {}));
        assert!(matches!(asked, Err(Error::Cancelled)));
        assert_eq!(s.turns().len(), 0);
        // While answering: the text so far.
        let stopped = request("Describe the picture.", 16);
        let cancel = Cancel::new();
        let answer = block_on(s.ask(&stopped, &cancel, &mut |_| cancel.cancel()));
        if let Ok(answer) = &answer {
            assert!(matches!(answer.finish_reason, FinishReason::Cancelled | FinishReason::Stop));
        }
        s.start_anew();
        let mut fresh = session(&model, 512);
        block_on(fresh.look(&pixels, &Cancel::new())).unwrap();
        assert_eq!(
            ask(&mut s, "What is this?", 16).token_ids,
            ask(&mut fresh, "What is this?", 16).token_ids
        );
    }
}

#[test]
fn auto_keeps_its_m_within_a_conversation() {
    let model = &models()[0];
    let mut s = looking(model, 512, 30);
    ask(&mut s, "What is this?", 8);
    let auto = Request { max_new_tokens: 4, ..Request::new("What colour is it?") };
    let answer = block_on(s.ask(&auto, &Cancel::new(), &mut |_| {})).unwrap();
    assert_eq!((answer.image_tokens, answer.image_tokens_mode), (8, Mode::Auto));
}

#[test]
fn a_refinement_that_fails_leaves_the_draft() {
    let model = &models()[0];
    let mut s = looking(model, 90, 30);
    ask(&mut s, "What is this?", 4);
    s.take_back();
    assert!(block_on(s.ask(&request("What is this?", 64), &Cancel::new(), &mut |_| {})).is_err());
    assert_eq!(s.turns().len(), 1);
    s.take_back();
    ask(&mut s, "What is this?", 8);
    assert_eq!(s.turns().len(), 1);
}

#[test]
fn a_full_context_is_an_error_with_numbers() {
    for model in models() {
        let mut s = looking(&model, 80, 30);
        let error = block_on(s.ask(&request("What is this?", 64), &Cancel::new(), &mut |_| {}))
            .unwrap_err();
        assert!(matches!(error, Error::ContextFull { have: 80, need } if need > 80), "{error}");
        assert_eq!(error.exit_code(), 8);
        // Fewer image tokens fit, and auto takes what fits.
        ask(&mut s, "What is this?", 4);
        s.start_anew();
        let auto = Request { max_new_tokens: 4, ..Request::new("What is this?") };
        let answer = block_on(s.ask(&auto, &Cancel::new(), &mut |_| {})).unwrap();
        assert!(answer.image_tokens <= 36);
        let too_long =
            block_on(Session::new(model.clone(), 1 << 20, &Cancel::new())).err().unwrap();
        assert_eq!(too_long.exit_code(), 2);
    }
}

#[test]
fn budgets_outside_the_model_are_errors() {
    let model = &models()[0];
    let mut s = looking(model, 512, 30);
    for m in [0, 65, u64::MAX] {
        let error =
            block_on(s.ask(&request("What is this?", m), &Cancel::new(), &mut |_| {})).unwrap_err();
        assert!(
            matches!(error, Error::BudgetOutOfRange { max: 64, .. }) && error.exit_code() == 2,
            "{error}"
        );
    }
}

#[test]
fn stop_strings_end_the_answer_and_are_never_shown() {
    let model = &models()[0];
    let mut s = looking(model, 512, 30);
    let whole = ask(&mut s, "What colour is the square?", 64).text;
    assert!(whole.len() > 1, "{whole:?}");
    s.start_anew();
    let mut cut = request("What colour is the square?", 64);
    cut.stop = vec![whole[1..].to_owned()];
    let mut shown = String::new();
    let answer = block_on(s.ask(&cut, &Cancel::new(), &mut |text| shown += text)).unwrap();
    assert_eq!((answer.text.as_str(), answer.finish_reason), (&whole[..1], FinishReason::Stop));
    assert_eq!(shown.trim(), &whole[..1]);
}

#[test]
fn work_before_the_first_token_says_how_far_it_is() {
    for model in models() {
        let mut s = session(&model, 512);
        let cancel = Cancel::new();
        let far = |stage| {
            let (seen, share) = cancel.progress().unwrap();
            assert_eq!(seen, stage);
            // A GPU's last layers are not waited for.
            assert!(
                share <= 1.0 && (share == 1.0 || model.adapter().kind != "cpu"),
                "{stage:?}: {share}"
            );
        };
        assert_eq!(cancel.progress(), None);
        block_on(s.look(&picture(10), &cancel)).unwrap();
        far(Stage::Picture);
        block_on(s.ask(&request("What is this?", 16), &cancel, &mut |_| {})).unwrap();
        far(Stage::Prompt);
        cancel.reset();
        assert_eq!(cancel.progress(), None);
    }
}
