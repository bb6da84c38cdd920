//! Reads pictures as `mqt` does and writes their pixels, for `cargo xtask pictures`.
//!
//! Standard input: a path a line. Standard output, for each path and each reading (people, then the
//! reference): `WIDTH HEIGHT\n` and the RGB bytes, or `! ` and why it cannot be read.

use std::io::{BufRead, BufWriter, Write};

use mqt::image::{Picture, Reading};

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for path in std::io::stdin().lock().lines() {
        let bytes = std::fs::read(path?)?;
        for reading in [Reading::People, Reading::Reference] {
            match Picture::read(&bytes, reading) {
                Ok(picture) => {
                    writeln!(out, "{} {}", picture.width, picture.height)?;
                    out.write_all(&picture.rgb)?;
                }
                Err(error) => writeln!(out, "! {}", error.to_string().replace('\n', " "))?,
            }
        }
        out.flush()?;
    }
    out.flush()
}
