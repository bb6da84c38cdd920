//! Image tokens chosen by the question, and what an answer looked at, beside PyTorch:
//! `tests/families/sparse_vlm.py`.

use super::{Expected, FEATURES, LOGITS, adapters, check, folder, load};
use mqt::cancel::Cancel;
use mqt::image::{Picture, Pixels, Reading};
use mqt::internals::model::{Cache, ImageTokens, PictureTag, Slot, Want, Wanted};
use mqt::internals::select::question;
use mqt::model::{LoadOptions, ModelSource, Weights};
use mqt::{Budget, Error, Model, Request, Sampling, Select, Session};
use pollster::block_on;
use std::sync::Arc;

const CASE: &str = "sparse_vlm";
const TAG: PictureTag = [0; 16];
/// Scores are mean weights of attention behind up to 16 layers, in another order of sums.
const SCORES: f64 = 1e-4;
const IMAGE_TOKENS: u32 = 576;

/// The case on one adapter.
struct Run {
    expected: Expected,
    model: Model,
    visual: ImageTokens,
    slots: Vec<Slot>,
}

impl Run {
    fn all() -> Vec<Run> {
        adapters()
            .into_iter()
            .map(|adapter| {
                let expected = Expected::of(CASE);
                let model = load(folder(CASE).join("checkpoint"), adapter, Weights::F32).unwrap();
                let data = expected.floats("pixel_values", 0);
                let pixels = Pixels::of_values(data, model.image_spec().size);
                let (visual, _) = block_on(model.look_at_square(&pixels, &Cancel::new())).unwrap();
                let ids = expected.ints("input_ids", 0).unwrap();
                let slot = |id: i32| match u32::try_from(id) {
                    Ok(id) => vec![Slot::Token(id)],
                    Err(_) => (0..IMAGE_TOKENS)
                        .map(|index| Slot::Visual { picture: TAG, index })
                        .collect(),
                };
                let slots = ids.into_iter().flat_map(slot).collect();
                Run { expected, model, visual, slots }
            })
            .collect()
    }

    fn cache(&self) -> Cache {
        block_on(self.model.new_cache(1024)).unwrap()
    }

    fn what(&self, of: &str) -> String {
        format!("{of} on {}", self.model.adapter().name)
    }
}

fn ints(expected: &Expected, name: &str) -> Vec<u32> {
    let found = expected.ints(name, 0).unwrap_or_else(|| panic!("{name}"));
    found.into_iter().map(|id| id as u32).collect()
}

#[test]
fn what_the_question_chooses_equals_pytorch() {
    for run in Run::all() {
        let tokens =
            block_on(run.model.read_visual(&run.visual, 0..IMAGE_TOKENS as usize)).unwrap();
        let want = run.expected.floats("visual_tokens", 0);
        check(&run.what("image tokens"), &tokens, &want, FEATURES);
        for budget in question::BUDGETS {
            let mut cache = run.cache();
            let (wanted, chosen) = block_on(run.model.extend_chosen(
                &mut cache,
                &run.slots,
                &[(TAG, &run.visual)],
                (budget, Want::Logits),
                &Cancel::new(),
            ))
            .unwrap();
            let what = run.what(&format!("m = {budget}"));
            assert_eq!(chosen.raters, ints(&run.expected, &format!("raters.{budget}")), "{what}");
            assert_eq!(chosen.stages.len(), 3);
            for (i, stage) in chosen.stages.iter().enumerate() {
                let named = |name: &str| format!("{name}.{budget}.{i}");
                let scores = run.expected.floats(&named("scores"), 0);
                check(&format!("{what}: scores {i}"), &stage.scores, &scores, SCORES);
                assert_eq!(stage.kept, ints(&run.expected, &named("kept")), "{what}: {i}");
                assert_eq!(stage.members, ints(&run.expected, &named("members")), "{what}: {i}");
                assert_eq!(stage.clusters, ints(&run.expected, &named("clusters")), "{what}: {i}");
            }
            let Wanted::Logits(logits) = wanted else { panic!("logits were asked for") };
            let want = run.expected.floats(&format!("logits.{budget}"), 0);
            check(&format!("{what}: logits"), &logits, &want, LOGITS);
        }
    }
}

/// Each layer decodes behind its own number of tokens; then the cache is good for another question.
#[test]
fn an_answer_follows_in_caches_of_different_lengths() {
    for run in Run::all() {
        let mut cache = run.cache();
        let (n, visuals) = (run.slots.len(), [(TAG, &run.visual)]);
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let picture = run.slots.iter().position(|slot| slot.token().is_none()).unwrap();
        for budget in question::BUDGETS {
            let want = ints(&run.expected, &format!("greedy.{budget}"));
            run.model.begin(&mut cache, n, want.len(), &sampling, &[], &[]);
            let kept = cache.len();
            block_on(run.model.extend_chosen(
                &mut cache,
                &run.slots[kept..],
                &visuals,
                (budget, Want::Pick),
                &Cancel::new(),
            ))
            .unwrap();
            assert_eq!((cache.len(), cache.whole()), (n, picture));
            let mut generation = run.model.generation(&mut cache);
            let mut got = Vec::new();
            while let Some(picked) = block_on(generation.next(&Cancel::new())).unwrap() {
                got.push(picked.token);
            }
            assert_eq!(got, want, "{}", run.what(&format!("m = {budget}")));
            // What lies before the picture stays.
            cache.rewind(picture);
            assert_eq!(cache.whole(), picture);
        }
        // As if nothing had been chosen.
        let logits = |cache: &mut Cache, from: usize| {
            let slots = &run.slots[from..];
            block_on(run.model.extend(cache, slots, &visuals, Want::Logits, &Cancel::new()))
                .unwrap()
        };
        let again = logits(&mut cache, picture);
        let fresh = logits(&mut run.cache(), 0);
        assert!(again == fresh, "{}", run.what("a plain question afterwards"));
    }
}

#[test]
fn what_cannot_be_chosen_from_is_refused_and_changes_nothing() {
    let run = Run::all().swap_remove(0);
    let mut cache = run.cache();
    let visuals = [(TAG, &run.visual)];
    let first = run.slots.iter().position(|slot| slot.token().is_none()).unwrap();
    let last = run.slots.iter().rposition(|slot| slot.token().is_none()).unwrap();
    let two = [&run.slots[..], &run.slots[..]].concat();
    let mut choose = |slots: &[Slot], budget: usize, cancel: &Cancel| {
        let wanted = (budget, Want::Pick);
        let error = block_on(run.model.extend_chosen(&mut cache, slots, &visuals, wanted, cancel))
            .unwrap_err();
        assert_eq!((cache.len(), cache.whole()), (0, 0));
        error
    };
    let go_on = Cancel::new();
    for (slots, budget) in [
        (&run.slots[..], 100),
        (&run.slots[..first], 64),
        (&run.slots[..=last], 64),
        (&two[..], 64),
    ] {
        let error = choose(slots, budget, &go_on);
        let is_long = slots.len() > 1024 && matches!(error, Error::ContextFull { .. });
        assert!(is_long || error.to_string().starts_with("select question: it "), "{error}");
    }
    let stopped = Cancel::new();
    stopped.cancel();
    assert!(matches!(choose(&run.slots, 64, &stopped), Error::Cancelled));
}

/// The rows behind `Session::looked_at`.
#[test]
fn attention_equals_pytorch() {
    for run in Run::all() {
        let mut cache = run.cache();
        let visuals = [(TAG, &run.visual)];
        let answer = ints(&run.expected, "answer");
        let (last, all) = (run.slots.len() - 1, answer.len());
        let mut extend = |slots: &[Slot], want: Want| {
            block_on(run.model.extend(&mut cache, slots, &visuals, want, &Cancel::new())).unwrap()
        };
        extend(&run.slots[..last], Want::Nothing);
        let mut slots = vec![run.slots[last]];
        slots.extend(answer[..all - 1].iter().map(|&id| Slot::Token(id)));
        let Wanted::Attention(got) = extend(&slots, Want::Attention) else {
            panic!("attention was asked for")
        };
        check(&run.what("attention"), &got, &run.expected.floats("attention", 0), SCORES);
    }
}

/// With `fast`, a GPU's steps are recorded for one position, which layers of different lengths do
/// not have: they take the plain layers, and the recorded steps again afterwards.
#[test]
fn fast_answers_follow_what_was_chosen() {
    for adapter in adapters() {
        let mut options = LoadOptions::on(adapter);
        options.weights = Weights::F32.into();
        let source = ModelSource::Path(folder(CASE).join("checkpoint"));
        let model = block_on(Model::load(&source, &options, &mut |_| {})).unwrap();
        let mut session = block_on(Session::growing(Arc::new(model), &Cancel::new())).unwrap();
        block_on(session.look(&picture(), &Cancel::new())).unwrap();
        let mut answers = Vec::new();
        for select in [None, Some(Select::Question), None, Some(Select::Question)] {
            session.start_anew();
            let mut request = Request::new("what is this?");
            (request.budget, request.select) = (Budget::Fixed(192), select);
            request.max_new_tokens = 24;
            let answer = block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap();
            answers.push(answer.token_ids);
        }
        assert_eq!((&answers[0], &answers[1]), (&answers[2], &answers[3]));
        assert_ne!(answers[0], answers[1]);
    }
}

fn picture() -> Picture {
    let bytes = std::fs::read(folder("farthest_point").join("image.png")).unwrap();
    Picture::read(&bytes, Reading::Reference).unwrap()
}

/// Through a session: what a question chose is no other's, and it answers again as it did.
#[test]
fn questions_that_choose_share_what_lies_before_the_picture() {
    for adapter in adapters() {
        let model = load(folder(CASE).join("checkpoint"), adapter, Weights::F32).unwrap();
        let mut session = block_on(Session::growing(Arc::new(model), &Cancel::new())).unwrap();
        let picture = picture();
        block_on(session.look(&picture, &Cancel::new())).unwrap();
        let ask = |session: &mut Session, question: &str, select, m| {
            let mut request = Request::new(question);
            (request.budget, request.select) = (Budget::Fixed(m), select);
            request.max_new_tokens = 5;
            block_on(session.ask(&request, &Cancel::new(), &mut |_| {}))
        };
        let (what, why) = ("what is this?", "why is it so?");
        let first = ask(&mut session, what, Some(Select::Question), 64).unwrap();
        assert_eq!((first.select, first.image_tokens), (Select::Question, 64));
        assert!(first.prompt_tokens > 576 && first.cached_tokens < first.prompt_tokens - 576);
        let error = block_on(session.looked_at(&Cancel::new())).unwrap_err();
        assert!(error.to_string().contains("the question chose its image tokens"), "{error}");
        // A second turn reads the picture again, and the first answer with it.
        let second = ask(&mut session, why, Some(Select::Question), 64).unwrap();
        assert_eq!(second.cached_tokens, first.cached_tokens);
        assert_eq!(session.turns().len(), 2);
        // A plain question between them neither uses nor harms what was chosen.
        session.start_anew();
        let plain = ask(&mut session, what, None, 576).unwrap();
        assert_eq!(plain.cached_tokens, first.cached_tokens);
        session.start_anew();
        let again = ask(&mut session, what, Some(Select::Question), 64).unwrap();
        assert_eq!((again.token_ids, again.cached_tokens), (first.token_ids, first.cached_tokens));
        session.start_anew();
        assert_eq!(ask(&mut session, what, None, 576).unwrap().token_ids, plain.token_ids);
        // Other budgets and several pictures are refused, and nothing has changed.
        let error = ask(&mut session, why, Some(Select::Question), 100).unwrap_err();
        assert!(matches!(error, Error::BudgetNotOffered { .. }), "{error}");
        session.start_anew();
        block_on(session.look_also(&picture, &Cancel::new())).unwrap();
        let error = ask(&mut session, what, Some(Select::Question), 64).unwrap_err();
        assert_eq!(error.to_string(), "select question: it is for one picture");
    }
}
