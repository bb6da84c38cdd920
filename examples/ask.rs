//! One picture, one question: `cargo run --release --example ask PICTURE QUESTION`.

#![allow(clippy::print_stdout, reason = "an example prints its answer")]

use mqt::model::{LoadOptions, ModelSource};
use mqt::{Request, blocking};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(path), Some(question)) = (words.next(), words.next()) else {
        return Err("give a picture's file and a question".into());
    };
    // The bundled toybox; `ModelSource::Path` names a folder or a pack.
    let model = blocking::load(&ModelSource::Bundled, &LoadOptions::default())?;
    let mut session = blocking::Session::new(model)?;
    session.look(&blocking::picture(path)?)?;
    let answer = session.ask(&Request::new(question))?;
    println!("{} ({}: {})", answer.text, answer.image_tokens, answer.image_tokens_reason);
    Ok(())
}
