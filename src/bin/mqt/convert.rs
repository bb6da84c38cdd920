//! `mqt convert` and `mqt verify`: make packs, check packs.

use crate::args::{ConvertArgs, VerifyArgs};
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::memory;
use crate::output::Output;
use crate::target;
use crate::words::counted;
use mqt::convert::{Conversion, convert};
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
    let what = Conversion {
        mmproj: args.mmproj.as_deref(),
        vision_tower: args.vision_tower.as_deref(),
        shard_bytes: args.shard_bytes,
        ..Conversion::new(&args.checkpoint, &output, args.weights)
    };
    let converted = interrupt
        .during(|cancel| block_on(convert(&what, cancel, &mut |progress| bar.show(progress))));
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

pub(crate) fn verify(args: VerifyArgs, console: &Console) -> Result<()> {
    let mut bar = console.bytes();
    let verified = block_on(mqt::convert::verify(&args.pack, &mut |progress| bar.show(progress)))?;
    drop(bar);
    Output::new().line(verified.to_string().trim_end())
}
