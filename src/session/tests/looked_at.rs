//! What an answer looked at.

use super::*;
use crate::model::Wanted;
use crate::session::LookedAt;

fn looked(s: &mut Session) -> Vec<LookedAt> {
    block_on(s.looked_at(&Cancel::new())).unwrap()
}

fn see(s: &mut Session, at: usize) {
    block_on(s.look_also(&picture(at), &Cancel::new())).unwrap();
}

#[test]
fn an_answer_looks_at_the_thing_and_the_conversation_goes_on() {
    let mut first: Option<LookedAt> = None;
    for model in models() {
        let (mut s, mut other) = (looking(&model, 512, 60), looking(&model, 512, 60));
        ask(&mut s, "What colour is the square?", 64);
        ask(&mut other, "What colour is the square?", 64);
        let [map] = &looked(&mut s)[..] else { panic!("one picture") };
        assert_eq!(looked(&mut s), std::slice::from_ref(map), "asked for again");
        let sum: f32 = map.weights.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4 && map.share > 0.0 && map.share < 1.0, "{map:?}");
        assert_eq!((map.columns, map.rows, map.area), (8, 8, [0.0, 0.0, 112.0, 112.0]));
        // The square fills cells 4 and 5 of 8, and a little of the next.
        let most = (0..64).max_by(|&a, &b| map.weights[a].total_cmp(&map.weights[b])).unwrap();
        assert!((4..7).contains(&(most / 8)) && (4..7).contains(&(most % 8)), "{most}: {map:?}");
        let (next, same) = (ask(&mut s, "Where is it?", 64), ask(&mut other, "Where is it?", 64));
        assert_eq!(next.token_ids, same.token_ids);
        assert!(next.cached_tokens + 1 >= same.cached_tokens, "{next:?} {same:?}");
        // Devices agree but for the order of their sums.
        if let Some(first) = &first {
            let off = first.weights.iter().zip(&map.weights).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-4, "{first:?} {map:?}");
        }
        first.get_or_insert_with(|| map.clone());
    }
}

/// Which rows are counted, and as what: by hand, from the attention of each position alone.
#[test]
fn the_map_is_the_mean_over_the_positions_that_chose_the_answer() {
    let model = models().swap_remove(0);
    let mut s = looking(&model, 512, 60);
    let answer = ask(&mut s, "What do you see?", 64);
    let n = answer.token_ids.len();
    assert!(n > 1, "{answer:?}");
    let [map] = &looked(&mut s)[..] else { panic!("one picture") };
    let mut share = 0.0;
    let first = answer.prompt_tokens - 1;
    for i in 0..n {
        let slot = s.cached[first + i];
        s.cached.truncate(first + i);
        s.cache.rewind(first + i);
        let Wanted::Attention(row) =
            block_on(s.extend(&[slot], Want::Attention, &Cancel::new())).unwrap()
        else {
            panic!("attention was asked for")
        };
        assert_eq!(row.len(), first + i + 1);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        let of_picture = |at: &usize| matches!(s.cached[*at], Slot::Visual { .. });
        share += (0..row.len()).filter(of_picture).map(|at| row[at]).sum::<f32>() / n as f32;
        if i + 1 < n {
            assert_eq!(s.cached.len(), first + i + 1);
            s.cached.push(Slot::Token(answer.token_ids[i]));
        }
    }
    assert!((share - map.share).abs() < 1e-4, "{share} {}", map.share);
}

/// A prompt longer than what is computed at once.
#[test]
fn the_parts_of_a_prompt_attend_as_the_whole() {
    for model in models() {
        let mut cache = block_on(model.new_cache(512)).unwrap();
        let slots: Vec<Slot> = (0..200).map(|i| Slot::Token(5 + i % 90)).collect();
        let mut attend = |from: usize, to: usize| {
            cache.rewind(from);
            let (slots, cancel) = (&slots[from..to], Cancel::new());
            let wanted = model.extend(&mut cache, slots, &[], Want::Attention, &cancel);
            match block_on(wanted).unwrap() {
                Wanted::Attention(attention) => attention,
                _ => panic!("attention was asked for"),
            }
        };
        let all = attend(0, 200);
        let halves = [attend(0, 77), attend(77, 200)];
        let mut together = vec![0.0f32; 200];
        for (half, n) in halves.iter().zip([77.0, 123.0]) {
            together.iter_mut().zip(half).for_each(|(sum, w)| *sum += w * n / 200.0);
        }
        let off = all.iter().zip(&together).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(all.len() == 200 && off < 1e-5, "{off}");
    }
}

#[test]
fn every_picture_that_an_answer_saw_has_its_map() {
    for model in models() {
        let mut s = session(&model, 1024);
        for at in [10, 60, 60] {
            see(&mut s, at);
        }
        ask(&mut s, "Which is left?", 16);
        let maps = looked(&mut s);
        assert_eq!(maps.len(), 3);
        assert!(maps.iter().map(|map| map.share).sum::<f32>() < 1.0, "{maps:?}");
        // Equal pictures at other places of the prompt: each has its own.
        assert_ne!(maps[1].share, maps[2].share);
        // A picture that came later was not seen by the answer before it.
        see(&mut s, 30);
        assert_eq!(looked(&mut s).len(), 3);
        ask(&mut s, "And this?", 16);
        assert_eq!(looked(&mut s).len(), 4);
    }
}

#[test]
fn where_nothing_was_answered_there_is_nothing_to_look_at() {
    let model = models().swap_remove(0);
    let mut s = looking(&model, 512, 10);
    let refused = |s: &mut Session| {
        let error = block_on(s.looked_at(&Cancel::new())).unwrap_err();
        assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
        assert!(error.to_string().contains("ask about the pictures first"), "{error}");
    };
    refused(&mut s);
    for forget in [
        |s: &mut Session| s.start_anew(),
        |s: &mut Session| s.take_back(),
        |s: &mut Session| s.forget(0).unwrap(),
        |s: &mut Session| s.forget_all(),
    ] {
        block_on(s.look(&picture(10), &Cancel::new())).unwrap();
        ask(&mut s, "What is this?", 16);
        looked(&mut s);
        forget(&mut s);
        refused(&mut s);
    }
    // Without a picture there is no map, and that is no error.
    ask(&mut s, "Hello?", 16);
    assert_eq!(looked(&mut s), []);
    // Stopped, nothing is lost.
    let stopped = Cancel::new();
    stopped.cancel();
    block_on(s.look(&picture(10), &Cancel::new())).unwrap();
    ask(&mut s, "What is this?", 16);
    assert!(matches!(block_on(s.looked_at(&stopped)), Err(Error::Cancelled)));
    assert_eq!(looked(&mut s).len(), 1);
}
