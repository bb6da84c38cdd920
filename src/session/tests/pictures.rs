//! Several pictures: in one question, over turns, as frames.

use super::*;

fn see(s: &mut Session, at: usize) -> u32 {
    block_on(s.look_also(&picture(at), &Cancel::new())).unwrap().vision_runs
}

fn counts(answer: &Answer) -> Vec<usize> {
    answer.images.iter().map(|image| image.image_tokens).collect()
}

#[test]
fn one_question_is_about_several_pictures() {
    for model in models() {
        let mut s = session(&model, 1024);
        let runs = [10, 60, 30].map(|at| see(&mut s, at));
        let all = ask(&mut s, "Which is left?", 16);
        assert_eq!((runs, counts(&all), all.new_images), ([1; 3], vec![16; 3], 3));
        // The other way round: other tokens at other places, and nothing is encoded.
        let mut turned = session(&model, 1024);
        for at in [30, 60, 10] {
            see(&mut turned, at);
        }
        let other = ask(&mut turned, "Which is left?", 16);
        assert_eq!(other.prompt_tokens, all.prompt_tokens);
        turned.forget_all();
        let again = [10, 60, 30].map(|at| see(&mut turned, at));
        let same = ask(&mut turned, "Which is left?", 16);
        assert_eq!((again, same.vision_runs, same.token_ids), ([0; 3], 0, all.token_ids));
        // Equal pixels are two pictures, encoded once.
        let mut twice = session(&model, 1024);
        let runs = [10, 10].map(|at| see(&mut twice, at));
        let two = ask(&mut twice, "Are they the same?", 16);
        assert_eq!((runs, counts(&two)), ([1, 0], vec![16; 2]));
    }
}

#[test]
fn a_picture_joins_a_conversation() {
    for model in models() {
        let mut s = looking(&model, 1024, 10);
        let first = ask(&mut s, "What is this?", 16);
        assert_eq!(see(&mut s, 60), 1);
        let second = ask(&mut s, "And this?", 16);
        // All that was said is kept; the second picture and its question are read.
        assert_eq!(second.cached_tokens, first.prompt_tokens + first.completion_tokens);
        assert_eq!((second.new_images, counts(&second)), (1, vec![16, 16]));
        let about_first = ask(&mut s, "What about the first?", 16);
        assert_eq!((about_first.vision_runs, about_first.new_images), (0, 0));
        // Another session takes it over, pictures and turns.
        let mut other = looking(&model, 1024, 10);
        see(&mut other, 60);
        let turns: Vec<Turn> = s.turns().take(2).cloned().collect();
        other.resume(&turns).unwrap();
        assert_eq!(ask(&mut other, "What about the first?", 16).token_ids, about_first.token_ids);
        let third = [turns[0].clone(), turns[1].clone().showing(2)];
        assert!(other.resume(&third).unwrap_err().to_string().contains("about 3 pictures"));
        // A picture goes, its question stays; the rest is as if it had never been there.
        s.forget(0).unwrap();
        let rest = ask(&mut s, "And now?", 16);
        assert_eq!((counts(&rest), rest.vision_runs), (vec![16], 0));
        assert!(s.forget(1).unwrap_err().to_string().contains("2 is outside 1 to 1"));
        // Without any picture it is a conversation in words.
        s.forget(0).unwrap();
        let words = ask(&mut s, "Hello?", 16);
        assert_eq!((words.image_tokens, counts(&words)), (0, vec![]));
        assert!(s.forget(0).is_err());
    }
}

/// What does not fit is an error, and nothing is dropped: fewer tokens of each fit.
#[test]
fn pictures_that_do_not_fit_are_an_error() {
    let model = &models()[0];
    let mut s = session(model, 200);
    for at in [5, 25, 45, 65] {
        see(&mut s, at);
    }
    let tight = request("What is this?", 64);
    let error = block_on(s.ask(&tight, &Cancel::new(), &mut |_| {})).unwrap_err();
    assert!(matches!(error, Error::ContextFull { have: 200, need } if need > 256), "{error}");
    assert_eq!((s.pictures(), counts(&ask(&mut s, "What is this?", 4))), (4, vec![4; 4]));
    s.start_anew();
    let auto = Request { max_new_tokens: 4, ..Request::new("What is this?") };
    let answer = block_on(s.ask(&auto, &Cancel::new(), &mut |_| {})).unwrap();
    assert!(answer.image_tokens <= 36 && answer.prompt_tokens < 200, "{answer:?}");
    assert!(answer.image_tokens_reason.contains("for each of 4 pictures"), "{answer:?}");
    let most = std::iter::repeat_n(picture(5), 300);
    assert!(block_on(s.watch(most, &Cancel::new())).is_err());
    assert_eq!(s.pictures(), 4);
}

#[test]
fn sixteen_frames_take_few_tokens_each() {
    for model in models() {
        let mut s = session(&model, 1024);
        let frames: Vec<_> = (0..16).map(|i| picture(4 * i)).collect();
        let looked = block_on(s.watch(frames.clone(), &Cancel::new())).unwrap();
        assert_eq!(looked.vision_runs, 16);
        let two = ask(&mut s, "What moves?", 2);
        assert_eq!((counts(&two), two.vision_runs), (vec![2; 16], 16));
        assert_eq!(block_on(s.watch(frames.clone(), &Cancel::new())).unwrap().vision_runs, 0);
        s.start_anew();
        let auto = Request { max_new_tokens: 4, ..Request::new("What moves?") };
        let answer = block_on(s.ask(&auto, &Cancel::new(), &mut |_| {})).unwrap();
        assert!([2, 4, 8].contains(&answer.image_tokens), "{answer:?}");
        assert_eq!(answer.vision_runs, 0);
    }
}

/// A turn that is taken back does not bring back what was forgotten meanwhile.
#[test]
fn forgotten_pictures_stay_forgotten() {
    let model = &models()[0];
    let mut s = session(model, 1024);
    for at in [10, 60] {
        see(&mut s, at);
    }
    ask(&mut s, "Which is left?", 16);
    s.take_back();
    s.forget(0).unwrap();
    let refused = block_on(s.ask(&request("What is this?", 0), &Cancel::new(), &mut |_| {}));
    assert!(refused.is_err());
    assert_eq!((s.turns().len(), s.pictures()), (0, 1));
    assert_eq!(counts(&ask(&mut s, "What is this?", 16)), [16]);
    let (one, two) = (session(model, 1024), s.picture_bytes());
    assert_eq!((one.picture_bytes(), two > 0), (0, true));
}

/// The estimate counts what asking reads.
#[test]
fn an_estimate_counts_every_picture() {
    let model = &models()[0];
    let mut s = session(model, 1024);
    for at in [10, 60] {
        see(&mut s, at);
    }
    let estimate = s.estimate(&Budget::Fixed(16), "Which is left?").unwrap();
    let answer = ask(&mut s, "Which is left?", 16);
    assert_eq!(estimate.context_used, answer.prompt_tokens);
    let one = looking(model, 1024, 10).estimate(&Budget::Fixed(16), "Which is left?").unwrap();
    assert_eq!(estimate.cache_bytes, 2 * one.cache_bytes);
}
