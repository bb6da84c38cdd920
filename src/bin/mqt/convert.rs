//! `mqt convert` and `mqt verify`: make packs, check packs.

use crate::args::{ConvertArgs, VerifyArgs};
use crate::console::Console;
use crate::failure::Result;
use crate::output::Output;
use pollster::block_on;

pub(crate) fn run(args: ConvertArgs, console: &Console) -> Result<()> {
    let mut bar = console.bytes();
    let tower = args.vision_tower.as_deref();
    block_on(mqt::convert::convert(&args.checkpoint, tower, &args.output, args.weights, &mut |progress| bar.show(&progress)))?;
    drop(bar);
    console.line(&format!("wrote {}; `mqt ask IMAGE QUESTION --model {}` uses it", args.output.display(), args.output.display()));
    Ok(())
}

pub(crate) fn verify(args: VerifyArgs) -> Result<()> {
    let verified = block_on(mqt::convert::verify(&args.pack))?;
    Output::new().line(verified.to_string().trim_end())
}
