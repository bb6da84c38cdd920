//! One question about the frames of a clip, a few image tokens of each:
//! `cargo run --release --example frames QUESTION PICTURE...`.

#![allow(clippy::print_stdout, reason = "an example prints its answer")]

use mqt::model::{LoadOptions, ModelSource};
use mqt::{Request, blocking};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let question = words.next().ok_or("give a question and the frames' files")?;
    let frames = words.map(blocking::picture).collect::<mqt::Result<Vec<_>>>()?;
    let model = blocking::load(&ModelSource::Bundled, &LoadOptions::default())?;
    let mut session = blocking::Session::new(model)?;
    session.watch(frames)?;
    let answer = session.ask(&Request::new(question))?;
    let (frames, each) = (answer.images.len(), answer.image_tokens);
    println!("{} ({frames} frames, {each} image tokens each)", answer.text);
    Ok(())
}
