//! `mqt attention`: the drawings and the object, of the resampler's map and of an answer.

use crate::common::{checkpoint, mqt, picture, text, words};
use std::path::Path;

#[test]
fn attention_draws_the_picture_with_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reads.png");
    let (model, picture, output) = (checkpoint("a-f32-tower"), picture("blobs.png"), text(&file));
    let draw = |m: &str| {
        mqt(words(
            "attention --adapter cpu",
            &["-m", m, "--model", &model, &picture, "-o", &output],
        ))
    };
    let said = draw("1").ok().stderr;
    assert!(said.contains("the first image token reads mostly "), "{said}");
    let few = image::open(&file).unwrap().to_rgb8();
    draw("49").ok();
    let many = image::open(&file).unwrap().to_rgb8();
    assert!(few.width() >= 448 && few.width() == few.height());
    assert_ne!(few, many);
    draw("50").run().refused(2, "49");
}

#[test]
fn attention_draws_what_an_answer_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("looked.png");
    let (model, picture, output) = (checkpoint("a-f32-tower"), picture("blobs.png"), text(&file));
    let run = |command: &str, more: &[&str]| {
        let line = words(command, &["--model", &model]).into_iter().chain(more.iter().copied());
        mqt(line.chain(["--adapter", "cpu"])).run()
    };
    let answer = "attention --answer -m 16";
    let done = run(answer, &["-q", "What?", &picture, &picture, "-o", &output]);
    assert_eq!(done.code, 0, "{done:#?}");
    assert!(done.stderr.contains("the answer looked mostly at ") && done.stdout.ends_with('\n'));
    let size = |file: &Path| image::open(file).unwrap().to_rgb8().dimensions();
    let two = size(&file);
    run(answer, &["-q", "What?", &picture, "-o", &output]);
    let one = size(&file);
    assert_eq!((two, one.0.max(one.1)), ((2 * one.0 + 8, one.1), 448));
    // The same as an object, without a file.
    let record = run(answer, &["-q", "What?", &picture, "--json"]).record();
    assert_eq!(
        (&record["schema"], &record["question"], &record["image_tokens"]),
        (&"mqt.attention/1".into(), &"What?".into(), &16.into())
    );
    let map = &record["images"][0];
    let weights: Vec<f64> =
        map["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
    assert_eq!(
        map["columns"].as_u64().unwrap() * map["rows"].as_u64().unwrap(),
        weights.len() as u64
    );
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{map}");
    assert!((0.0..1.0).contains(&map["share"].as_f64().unwrap()), "{map}");
    assert_eq!(
        (&map["image"], map["area"].as_array().unwrap().len()),
        (&picture.clone().into(), 4)
    );
    // The resampler's map is an object of the same kind.
    let constant = run("attention -m 16", &[&picture, "--json"]).record();
    assert!(constant.get("answer").is_none() && constant["images"][0]["columns"] == map["columns"]);
    // What makes no sense is refused in one sentence, before a model is loaded.
    for (command, more, why) in [
        ("attention", &[&*picture, &picture, "-o", &output][..], "name one"),
        (answer, &["-q", " ", &picture, "-o", &output], "the question is empty"),
        (answer, &["-q", "What?", &picture, "--json", "-o", "-"], "-o needs a file"),
        (answer, &["-q", "What?", "-", "-", "-o", &output], "name it once"),
        (
            "attention --answer --select question",
            &["-q", "What?", &picture, "-o", &output],
            "layer",
        ),
        ("attention --answer -m 50", &["-q", "What?", &picture, "-o", &output], "49"),
    ] {
        run(command, more).refused(2, why);
    }
    run(answer, &["-q", "What?", "none.png", "-o", &output]).refused(6, "none.png");
    for (command, more, why) in [
        (answer, &[&*picture, "-o", &*output][..], "--question"),
        ("attention -q What?", &[&picture, "-o", &output], "--answer"),
        ("attention --select spread", &[&picture, "-o", &output], "--answer"),
        ("attention", &[&picture], "--output"),
    ] {
        let done = run(command, more);
        assert!(done.code == 2 && done.stderr.contains(why), "{why}: {done:#?}");
    }
}
