//! Conversations of several threads with one model.

use super::*;

/// Conversations share a model, and its scratch memory: one must not see the other's.
#[test]
fn two_conversations_at_once_do_not_mix() {
    for model in models() {
        let start = |at| {
            let mut s = session(&model, 512);
            block_on(s.look(&picture(at), &Cancel::new())).unwrap();
            s
        };
        let question = "Where is the square?";
        let alone = [start(5), start(75)].map(|mut s| ask(&mut s, question, 64).token_ids);
        let together = std::thread::scope(|scope| {
            let runs =
                [5, 75].map(|at| scope.spawn(move || ask(&mut start(at), question, 64).token_ids));
            runs.map(|run| run.join().unwrap())
        });
        assert_eq!(alone, together);
    }
}
