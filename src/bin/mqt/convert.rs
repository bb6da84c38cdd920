//! `mqt convert` and `mqt verify`: make packs, check packs.

use crate::args::{self, ConvertArgs, VerifyArgs};
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::memory;
use crate::output::Output;
use crate::target;
use crate::words::counted;
use mqt::convert::Grade;
use mqt::convert::{Calibration, Conversion, Prospect, convert};
use mqt::model::WeightsChoice;
use pollster::block_on;
use std::time::Instant;

pub(crate) fn run(args: ConvertArgs, console: &Console) -> Result<()> {
    let start = Instant::now();
    target::refuse_stdout("-o", &args.output, "a pack is a folder")?;
    let mut bar = console.bytes();
    let interrupt = Interrupt::install()?;
    // A link that leads to no folder yet: the folder is made where it leads.
    let output = target::follow(&args.output)
        .map_err(|error| Failure::output(&format!("-o {}", args.output.display()), &error))?;
    let checkpoint = args::found(&args.checkpoint);
    let mut what = Conversion::new(&checkpoint, &output, args.weights);
    what.mmproj = args.mmproj.as_deref();
    what.vision_tower = args.vision_tower.as_deref();
    what.template = args.template.clone().unwrap_or_default();
    what.shard_bytes = args.shard_bytes;
    what.calibration = match args.calibrate.to_str() {
        Some("none") => Calibration::Off,
        Some("built-in") => Calibration::BuiltIn,
        _ => Calibration::File(&args.calibrate),
    };
    let mut on_start = |prospect: &Prospect| announce(*prospect, args.weights, console);
    let converted = interrupt.during(|cancel| {
        block_on(convert(&what, cancel, &mut on_start, &mut |progress| bar.show(progress)))
    });
    drop(bar);
    if matches!(converted, Err(mqt::Error::Cancelled)) {
        console.note("what is finished is kept; the same command resumes from there");
    }
    let converted = converted?;
    let kept = if converted.kept == 0 {
        String::new()
    } else {
        format!(" ({} from before)", converted.kept)
    };
    let (seconds, gigabytes) = (start.elapsed().as_secs_f64(), converted.bytes as f64 / 1e9);
    let shards = counted(converted.shards, "shard");
    console.line(&format!("{shards}{kept}, {gigabytes:.2} GB in {seconds:.1} s{}", memory::peak()));
    console.line(&format!(
        "wrote {}; `mqt ask IMAGE QUESTION --model {}` uses it",
        args.output.display(),
        args.output.display()
    ));
    Ok(())
}

/// Says what was chosen, and how long it takes.
fn announce(prospect: Prospect, asked: WeightsChoice, console: &Console) {
    let Prospect { weights, importance, tokens, seconds, .. } = prospect;
    let chosen = if asked == WeightsChoice::Auto { " (auto, by the decoder's size)" } else { "" };
    let how = match importance {
        Grade::Guessed => "; which inputs count is guessed from the weights".into(),
        Grade::Measured => format!(
            "; which inputs count is measured on {tokens} tokens, which takes about {} of the time",
            duration(seconds)
        ),
        _ => String::new(),
    };
    console.line(&format!("weights: {weights}{chosen}{how}"));
}

/// A rough length of time, as text.
fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{:.0} s", seconds.max(1.0))
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

pub(crate) fn verify(args: VerifyArgs, console: &Console) -> Result<()> {
    let mut bar = console.bytes();
    let verified = block_on(mqt::convert::verify(&args.pack, &mut |progress| bar.show(progress)))?;
    drop(bar);
    Output::new().line(verified.to_string().trim_end())
}
