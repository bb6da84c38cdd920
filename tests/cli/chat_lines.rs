//! `chat` with its lines on stdin: no question is answered about another picture than the one that
//! was asked for.

use crate::common::{Done, checkpoint, mqt, picture, words};

fn chat(lines: &[u8]) -> Done {
    let (model, first) = (checkpoint("a-f32-tower"), picture("blobs.png"));
    let line = "chat --json --adapter cpu --max-new-tokens 2 -m 2 --model";
    mqt(words(line, &[&model, &first])).stdin(lines).run()
}

/// The questions that were answered.
fn asked(done: &Done) -> Vec<String> {
    let question = |record: &serde_json::Value| record["question"].as_str().unwrap().to_owned();
    done.records().iter().map(question).collect()
}

#[test]
fn a_question_after_a_picture_that_failed_is_refused() {
    for (failing, code) in [
        (&b"/image no such.png"[..], 6),
        (b"/image", 2),
        (b"/image -", 2),
        (b"/image data:image/png;base64,AAAA", 6),
        (b"/image caf\xe9.png", 2),
        (b"/Image b.png", 2),
        (b"/imgae b.png", 2),
    ] {
        let done = chat(&[b"One?\n", failing, b"\nTwo?\n/refine\n/m 4\nThree?\n"].concat());
        assert_eq!((done.code, asked(&done)), (code, vec!["One?".to_owned()]), "{done:#?}");
        // The command, what was refused after it, and the word about /m.
        assert_eq!(done.stderr.lines().count(), 5, "{done:#?}");
        assert_eq!(done.stderr.matches("the question is not asked").count(), 3, "{done:#?}");
        // The next picture is looked at, and the exit code still tells.
        let next = format!("\nTwo?\n/image {}\nThree?\n", picture("wide.png"));
        let done = chat(&[failing, next.as_bytes()].concat());
        assert_eq!((done.code, asked(&done)), (code, vec!["Three?".to_owned()]), "{done:#?}");
        let seen = done.records()[0]["images"][1]["image"].clone();
        assert!(seen.as_str().unwrap().ends_with("wide.png"), "{done:#?}");
    }
}

#[test]
fn carriage_returns_alone_are_not_one_long_question() {
    chat(b"One?\rTwo?\r").refused(2, "line 1 has carriage returns alone");
}
