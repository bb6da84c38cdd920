//! What was read before can be read again, for times that can be compared.

use super::*;

/// What was read before is read again, from the first picture on: the same words, and every m
/// reads all of its own.
#[test]
fn what_is_read_again_is_the_same() {
    for model in models() {
        let mut s = looking(&model, 512, 30);
        let mut at = |m, reread| {
            let asked = Request { reread, ..request("How many shapes are there?", m) };
            let answer = block_on(s.ask(&asked, &Cancel::new(), &mut |_| {})).unwrap();
            s.take_back();
            (answer.cached_tokens, answer.token_ids)
        };
        for m in [64, 2, 16] {
            let (_, first) = at(m, false);
            let (kept, again) = at(m, false);
            let (before, anew) = at(m, true);
            assert_eq!((&again, &anew), (&first, &first), "m = {m}");
            assert!(before + m as usize <= kept, "{before} of the prompt's {kept} that are kept");
        }
    }
}
