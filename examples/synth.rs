//! Writes a synthetic checkpoint: `cargo xtask synth --shape NAME -o DIR`.

use clap::Parser;
use mqt::cancel::Cancel;
use mqt::internals::config::shapes;
use mqt::internals::synth::{Layout, Synth};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Random weights of a named shape, in a published layout; the same seed gives the same bytes.
#[derive(Parser)]
#[command(name = "cargo xtask synth")]
struct Args {
    /// The numbers of the model
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(shapes::NAMES))]
    shape: String,
    /// The folder to write, made if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// mqt-llava, llava-1.5, llava-hf, llava-hf-new, smolvlm or mobilevlm [default: the shape's]
    #[arg(long)]
    layout: Option<Layout>,
    /// Chooses the values
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Largest file of weights, in bytes
    #[arg(long, default_value_t = 5_000_000_000)]
    shard_bytes: u64,
}

fn main() -> ExitCode {
    let Args { shape, output, layout, seed, shard_bytes } = Args::parse();
    let start = Instant::now();
    let bar = indicatif::ProgressBar::no_length();
    bar.set_style(
        indicatif::ProgressStyle::with_template(
            "{bar:40} {bytes} of {total_bytes}  {bytes_per_sec}  {eta}",
        )
        .expect("it is valid"),
    );
    let mut total = 0;
    let written = Synth { shape, layout, seed, shard_bytes }.write(
        &output,
        &Cancel::new(),
        &mut |progress| {
            total = progress.total;
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        },
    );
    bar.finish_and_clear();
    match written {
        Ok(()) => {
            let seconds = start.elapsed().as_secs_f64();
            let mut stderr = std::io::stderr();
            let _ = std::io::Write::write_fmt(
                &mut stderr,
                format_args!(
                    "{}: {:.2} GB in {seconds:.1} s\n",
                    output.display(),
                    total as f64 / 1e9
                ),
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ =
                std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("error: {error}\n"));
            ExitCode::from(error.exit_code())
        }
    }
}
