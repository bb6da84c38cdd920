//! The same question with more and more image tokens; the picture is encoded once:
//! `cargo run --release --example compare PICTURE QUESTION`.

#![allow(clippy::print_stdout, reason = "an example prints its answer")]

use mqt::model::{LoadOptions, ModelSource};
use mqt::{Budget, Request, blocking};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(path), Some(question)) = (words.next(), words.next()) else {
        return Err("give a picture's file and a question".into());
    };
    let model = blocking::load(&ModelSource::Bundled, &LoadOptions::default())?;
    let mut session = blocking::Session::new(model)?;
    session.look(&blocking::picture(path)?)?;
    for m in session.offer(None)?.ladder() {
        let mut request = Request::new(question.as_str());
        request.budget = Budget::Fixed(m as u64);
        // Each m reads all of its own image tokens, so that the times can be compared.
        request.reread = true;
        let answer = session.ask(&request)?;
        println!("{m:>4}  {:.0} ms  {}", answer.answering_ms(), answer.text);
        // Instead of the answer, the next one.
        session.take_back();
    }
    Ok(())
}
