//! The knob: what an automatic budget chooses, and what a fixed one gets.

use super::*;

/// What a question of 20 tokens costs about one picture whose square is encoded.
fn plain(m: usize) -> Cost {
    Cost { squares: 0, pictures: m, length: m + 20, unread: m + 20 }
}

fn situation<'a>(
    offer: &'a Offer,
    speed: &'a Speed,
    room: usize,
    cost: &'a dyn Fn(usize) -> Cost,
) -> Situation<'a> {
    Situation { offer, speed, spent: 0.0, room, pictures: 1, cost }
}

/// A question of 20 tokens about a picture that is encoded, `spent` milliseconds ago.
fn chosen(offer: &Offer, rate: f64, spent: f64, free: usize) -> Choice {
    let speed = Speed { prefill_ms_per_token: Some(rate), ..Default::default() };
    let situation = Situation { spent, ..situation(offer, &speed, free + 21, &plain) };
    choose(&Budget::default(), &situation).unwrap()
}

fn auto(rate: f64, free: usize) -> usize {
    chosen(&Offer::up_to(256), rate, 0.0, free).m
}

#[test]
fn faster_devices_get_more_tokens() {
    assert_eq!(
        [0.1, 7.0, 10.0, 30.0, 50.0, 1000.0].map(|rate| auto(rate, 2000)),
        [256, 256, 144, 36, 16, 4]
    );
    assert_eq!(auto(0.1, 100), 64);
    // Time spent on the tower counts: 1.5 of the 2 seconds are gone.
    assert_eq!(chosen(&Offer::up_to(256), 10.0, 1500.0, 2000).m, 16);
    // All of them are gone: fewer tokens would hardly be faster.
    let choice = chosen(&Offer::up_to(256), 1.0, 3000.0, 2000);
    assert_eq!((choice.m, choice.reason.starts_with("fewer would hardly be faster")), (256, true));
}

#[test]
fn the_ladder_ends_at_m() {
    assert_eq!(ladder(64), [2, 4, 8, 16, 36, 64]);
    assert_eq!(ladder(49), [2, 4, 8, 16, 36, 49]);
    assert_eq!(ladder(1), [1]);
}

#[test]
fn a_fixed_budget_is_checked() {
    for m in [0, 257, u64::MAX] {
        assert!(fixed(m, &Offer::up_to(256)).is_err());
    }
    assert_eq!(fixed(1, &Offer::up_to(256)).unwrap(), Step::square(1));
}

#[test]
fn some_models_offer_some_values() {
    let levels = vec![1, 9, 36, 144, 576];
    let (fixed_size, elastic) =
        (Offer::exactly(levels.clone(), false), Offer::exactly(levels, true));
    assert_eq!(fixed(36, &fixed_size).unwrap(), Step::square(36));
    assert!(fixed(37, &fixed_size).unwrap_err().to_string().contains("1, 9, 36, 144 or 576"));
    let auto = |offer| chosen(offer, 10.0, 0.0, 2000).m;
    assert_eq!([auto(&fixed_size), auto(&elastic)], [576, 144]);
}

/// SmolVLM's levels of a square picture.
fn levels() -> Vec<Step> {
    let level = |n, squares| Step { tokens: 64 * squares, level: Level::Edge(n), squares };
    vec![level(1, 1), level(2, 5), level(3, 10), level(4, 17)]
}

#[test]
fn tiled_models_offer_levels_and_fewer_tokens_of_the_first() {
    let offer = Offer::tiled(levels(), &[16, 32], Level::Edge(1));
    assert_eq!(offer.ladder(), [16, 32, 64, 320, 640, 1088]);
    let at = |m| fixed(m, &offer).map(|step| (step.tokens, step.squares)).unwrap();
    assert_eq!(
        [1, 63, 64, 319, 640, 1088].map(at),
        [(1, 1), (63, 1), (64, 1), (64, 1), (640, 10), (1088, 17)]
    );
    assert!(fixed(1089, &offer).is_err());
    // Models that read documents are not given a coarser picture than they were trained with.
    let documents = Offer::tiled(levels(), &[16, 32], Level::Edge(4));
    assert_eq!(documents.steps.len(), 1);
    assert_eq!(documents.ladder(), [64, 320, 640, 1088]);
}

#[test]
fn squares_that_are_not_encoded_yet_cost_their_time() {
    let offer = Offer::tiled(levels(), &[16, 32], Level::Edge(1));
    let step = |m| at_most(m, &offer);
    let speed =
        Speed { encode_ms: Some(300.0), prefill_ms_per_token: Some(0.5), ..Default::default() };
    let m = |encoded: &[Level], around: usize| {
        let cost = |m: usize| Cost {
            squares: if encoded.contains(&step(m).level) { 0 } else { step(m).squares },
            unread: m + 20 + around * step(m).squares,
            ..plain(m)
        };
        choose(&Budget::default(), &situation(&offer, &speed, 4000, &cost)).unwrap().m
    };
    let (three, four) = (&[Level::Edge(3)], &[Level::Edge(4)]);
    assert_eq!([m(&[], 0), m(three, 0), m(four, 0)], [320, 640, 1088]);
    // What is written around squares is read as well.
    assert_eq!([m(&[], 190), m(four, 100)], [64, 1088]);
    // Nothing is known of the tower: one square is the least that can be tried.
    let speed = Speed { prefill_ms_per_token: Some(0.5), ..Default::default() };
    let cost = |m: usize| Cost { squares: step(m).squares, ..plain(m) };
    let cautious = choose(&Budget::default(), &situation(&offer, &speed, 4000, &cost)).unwrap();
    assert_eq!(step(cautious.m).level, Level::Edge(1));
}

#[test]
fn what_was_read_before_does_not_count() {
    let speed = Speed { prefill_ms_per_token: Some(50.0), ..Default::default() };
    let offer = Offer::up_to(256);
    let m = |before: usize| {
        let cost = |m: usize| Cost { unread: m.saturating_sub(before) + 20, ..plain(m) };
        choose(&Budget::default(), &situation(&offer, &speed, 2000, &cost)).unwrap().m
    };
    assert_eq!([0, 16, 64, 250].map(m), [16, 36, 64, 256]);
}

#[test]
fn several_pictures_get_the_same_step() {
    let speed = Speed { prefill_ms_per_token: Some(10.0), ..Default::default() };
    let offer = Offer::up_to(256);
    let choice = |pictures: usize, room: usize| {
        let cost = |m: usize| plain(m * pictures);
        let situation = Situation { pictures, ..situation(&offer, &speed, room, &cost) };
        choose(&Budget::default(), &situation).unwrap()
    };
    // 2 seconds are 200 tokens in all, or as many as there is room for.
    assert_eq!([1, 2, 4, 16].map(|n| choice(n, 4000).m), [144, 64, 36, 8]);
    assert_eq!([1, 2, 4].map(|n| choice(n, 100).m), [64, 36, 16]);
    // A wait below a tenth of a second is not "0.0 s".
    let quick = Budget::Auto { target_ms: 40.0 };
    let fast = Speed { prefill_ms_per_token: Some(0.2), ..Default::default() };
    let said = choose(&quick, &situation(&offer, &fast, 4000, &plain)).unwrap().reason;
    assert_eq!(said, "keeps the first token within the target of 40 ms here");
    let said = choice(3, 4000).reason;
    assert!(said.ends_with("here; the same for each of 3 pictures"), "{said}");
}

/// A wide picture's levels and a square one's: each takes the most that it has up to m.
#[test]
fn pictures_of_different_shapes_have_steps_in_common() {
    let step = |n, squares| Step { tokens: 64 * squares, level: Level::Edge(n), squares };
    let wide = Offer::tiled(vec![step(1, 1), step(2, 3), step(4, 9)], &[16, 32], Level::Edge(1));
    let square = Offer::tiled(levels(), &[16, 32], Level::Edge(1));
    let both = Offer::of_all([wide, square.clone()]).unwrap();
    assert_eq!(both.ladder(), [16, 32, 64, 192, 320, 576, 640, 1088]);
    assert_eq!((both.max, fixed(600, &both).unwrap().tokens), (1088, 576));
    // A document's least level is another one's most: only what all of them can take.
    let documents = |levels: Vec<Step>| {
        let least = levels.last().unwrap().level;
        Offer::tiled(levels, &[16], least)
    };
    let long = documents(levels());
    let short = documents(vec![step(1, 1), step(4, 9)]);
    let steps = |offer: &Offer| offer.steps.iter().map(|step| step.tokens).collect::<Vec<_>>();
    assert_eq!(steps(&Offer::of_all([long, short]).unwrap()), [1088]);
    assert_eq!(Offer::of_all([square.clone(), square.clone()]), Some(square));
    assert_eq!(Offer::of_all([]), None);
}

#[test]
fn what_every_prompt_costs_is_told_from_what_a_token_costs() {
    let mut speed = Speed::default();
    speed.prefilled_both((4, 14.0), (34, 44.0));
    assert_eq!((speed.prefill_ms, speed.prefill_ms_per_token), (10.0, Some(1.0)));
    assert_eq!(speed.first_token_ms(100), Some(110.0));
    // Another prompt, half as fast: the new rate weighs as much as the old one.
    speed.prefilled(20, 50.0);
    assert_eq!(speed.prefill_ms_per_token, Some(1.5));
    // Nonsense of a busy machine, and prompts of the same length.
    for (short, long) in [((4, 90.0), (34, 44.0)), ((20, 5.0), (20, 5.0)), ((4, 0.0), (34, 0.0))] {
        let mut speed = Speed::default();
        speed.prefilled_both(short, long);
        let ms = speed.first_token_ms(long.0).unwrap();
        assert!((ms - long.1).abs() < 1e-9, "{speed:?}");
    }
}
