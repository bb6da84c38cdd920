//! A conversation, written as it comes: `cargo run --release --example stream PICTURE QUESTION...`.

#![allow(clippy::print_stdout, reason = "an example prints its answer")]

use mqt::model::{LoadOptions, ModelSource};
use mqt::{Request, blocking};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("give a picture's file and questions")?;
    let model = blocking::load(&ModelSource::Bundled, &LoadOptions::default())?;
    let mut session = blocking::Session::new(model)?;
    session.look(&blocking::picture(path)?)?;
    for question in words {
        // `session.cancel()` stops an answer from another thread; its text so far is kept.
        let answer = session.stream(&Request::new(question), |text| {
            print!("{text}");
            let _ = std::io::stdout().flush();
        })?;
        println!(
            "  [{} of {} tokens were read before]",
            answer.cached_tokens, answer.prompt_tokens
        );
    }
    Ok(())
}
