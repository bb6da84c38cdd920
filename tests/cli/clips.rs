//! Several pictures in one question, frames of clips, and a camera's folder.

use super::served::sample;
use crate::common::{interrupt, mqt, until, words};
use image::codecs::gif::GifEncoder;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

fn ask_line<'a>(more: &[&'a str]) -> Vec<&'a str> {
    words("ask --adapter cpu --json -q", &[&["What is there?"], more].concat())
}

fn names(record: &Value) -> Vec<&str> {
    let images = record["images"].as_array().unwrap().iter();
    images.map(|image| image["image"].as_str().unwrap()).collect()
}

#[test]
fn pictures_are_asked_about_together() {
    let (a, b, c) = (sample(1), sample(2), sample(10));
    let together = |pictures: &[&str]| {
        mqt(ask_line(&[pictures, &["--together", "-m", "16"]].concat())).ok().record()
    };
    let all = together(&[&a, &b, &c]);
    assert_eq!(names(&all), [&a, &b, &c]);
    assert_eq!((&all["vision_runs"], &all["new_images"]), (&3.into(), &3.into()));
    assert!(all["image"].is_null(), "no one of them is the picture: {all}");
    let turned = together(&[&c, &b, &a]);
    assert_eq!(all["prompt_tokens"], turned["prompt_tokens"]);
    let one = mqt(ask_line(&[&a, "-m", "16"])).ok().record();
    let prompt = |record: &Value| record["prompt_tokens"].as_u64().unwrap();
    assert!(prompt(&all) >= prompt(&one) + 2 * 16, "each has its 16 tokens");
    let auto = mqt(ask_line(&[&a, &b, "--together"])).ok().record();
    let why = auto["image_tokens_reason"].as_str().unwrap();
    assert!(why.ends_with("; the same for each of 2 pictures"), "{why}");

    mqt(ask_line(&[&a, "--together"])).run().refused(2, "--together takes two pictures or more");
    mqt(ask_line(&[&a, "no such.png", "--together"])).run().refused(6, "no such.png");
    let pictures = [a.as_str(); 6];
    let line = [&pictures[..], &["--together", "-m", "64", "--context", "256"]].concat();
    mqt(ask_line(&line)).run().refused(8, "256");
}

/// An animation of the samples, 16 frames.
fn clip(path: &Path) {
    let mut encoder = GifEncoder::new(File::create(path).unwrap());
    for i in 0..16 {
        let picture = image::open(sample(1 + i % 4)).unwrap().into_rgba8();
        encoder.encode_frame(image::Frame::new(picture)).unwrap();
    }
}

#[test]
fn frames_of_a_clip_take_few_tokens_each() {
    let folder = tempfile::tempdir().unwrap();
    let gif = folder.path().join("clip.gif");
    clip(&gif);
    let gif = gif.to_str().unwrap();
    let four = mqt(ask_line(&[gif, "--frames", "4", "-m", "2"])).ok().record();
    let wanted = [3, 7, 11, 15].map(|frame| format!("{gif}, frame {frame}"));
    assert_eq!(names(&four), wanted);
    // Frames 3, 7, … are one picture, encoded once.
    assert_eq!((&four["image_tokens"], &four["vision_runs"]), (&2.into(), &1.into()));
    let all = mqt(ask_line(&[gif, "--frames", "16", "-m", "2"])).ok().record();
    assert_eq!((names(&all).len(), &all["vision_runs"]), (16, &4.into()));
    let auto = mqt(ask_line(&[gif, "--frames", "200"])).ok().record();
    assert_eq!(names(&auto).len(), 16);
    assert!([2, 4, 8].contains(&auto["image_tokens"].as_u64().unwrap()), "{auto}");

    // A folder's stills, and the same stills by name.
    let stills = folder.path().join("stills");
    fs::create_dir(&stills).unwrap();
    for n in 1..=4 {
        fs::copy(sample(n), stills.join(format!("{n}.png"))).unwrap();
    }
    fs::write(stills.join("notes.txt"), "no picture").unwrap();
    let by_folder =
        mqt(ask_line(&[stills.to_str().unwrap(), "--frames", "2", "-m", "8"])).ok().record();
    let (second, fourth) = (sample(2), sample(4));
    let by_name = mqt(ask_line(&[&second, &fourth, "--frames", "2", "-m", "8"])).ok().record();
    assert_eq!(by_folder["token_ids"], by_name["token_ids"]);
    assert!(names(&by_folder)[1].ends_with("4.png"), "{by_folder}");

    mqt(ask_line(&[&second, "--frames", "2"])).run().refused(6, "it has one frame");
    let nothing = folder.path().join("nothing.png");
    fs::write(&nothing, "").unwrap();
    let nothing = nothing.to_str().unwrap();
    mqt(ask_line(&[nothing, "--frames", "2"])).run().refused(6, "the file is empty");
    mqt(ask_line(&[gif, "--frames", "0"])).run().refused(2, "1 to 256");
    fs::write(stills.join("cut.gif"), &fs::read(gif).unwrap()[..2000]).unwrap();
    let cut = stills.join("cut.gif");
    mqt(ask_line(&[cut.to_str().unwrap(), "--frames", "2"])).run().refused(6, "damaged");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    mqt(ask_line(&[empty.to_str().unwrap(), "--frames", "2"]))
        .run()
        .refused(6, "the folder has no pictures");
    mqt(ask_line(&[empty.to_str().unwrap()])).run().refused(6, "it is a folder");
}

/// The newest picture first, then each that comes; one that is not written to its end is waited
/// for.
#[cfg(unix)]
#[test]
fn a_camera_folder_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(sample(1), at("1.png")).unwrap();
    let line = [folder.path().to_str().unwrap(), "--every", "0.05s", "-m", "4"];
    let mut child = mqt(ask_line(&line)).start();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let image = |record: &Value| record["image"].as_str().unwrap().to_owned();
    let first = next();
    assert!(image(&first).ends_with("1.png"), "{first}");
    let whole = fs::read(sample(2)).unwrap();
    fs::write(at("2.png"), &whole[..whole.len() / 2]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    fs::write(at("3.tmp"), &whole).unwrap();
    fs::rename(at("3.tmp"), at("3.png")).unwrap();
    let third = next();
    assert!(image(&third).ends_with("3.png"), "{third}");
    assert_eq!(third["vision_runs"], 1);
    interrupt(&child);
    until("its end", || child.try_wait().unwrap().is_some());

    mqt(ask_line(&[&sample(1), "--every", "5"])).run().refused(2, "--every takes one folder");
}

#[test]
fn an_evaluation_asks_about_pictures_together() {
    let folder = tempfile::tempdir().unwrap();
    let (questions, answers) = (folder.path().join("q.jsonl"), folder.path().join("a.jsonl"));
    let images = std::path::PathBuf::from(sample(1));
    let (images, q) = (images.parent().unwrap().to_str().unwrap(), questions.to_str().unwrap());
    let line = [q, "--images", images, "-m", "16", "-o", answers.to_str().unwrap()];
    let run = || mqt(words("eval --adapter cpu", &line));
    let both = r#"["toybox-1.png", "toybox-2.png"]"#;
    let one = r#""toybox-1.png""#;
    let ask = |image: &str, id: u8| {
        format!("{{\"question_id\": {id}, \"image\": {image}, \"text\": \"What is there?\"}}\n")
    };
    fs::write(&questions, ask(one, 1) + &ask(both, 2) + &ask(one, 3)).unwrap();
    run().ok();
    let written = fs::read_to_string(&answers).unwrap();
    let given: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (a, b) = (sample(1), sample(2));
    let together = ["-m", "16", "--arithmetic", "exact", "--together", &a, &b];
    let wanted = mqt(ask_line(&together)).ok().record();
    assert_eq!(given[1]["text"], wanted["answer"]);
    assert_eq!(given[1]["metadata"]["image"], serde_json::json!(["toybox-1.png", "toybox-2.png"]));
    assert_eq!((&given[0]["text"], given.len()), (&given[2]["text"], 3));
    run().ok();
    assert_eq!(fs::read_to_string(&answers).unwrap(), written, "nothing is asked again");
    for (image, why) in [("[]", "image is an empty list"), ("3", "neither a name nor a list")] {
        fs::write(&questions, ask(image, 1)).unwrap();
        run().run().refused(2, why);
    }
}
