//! `mqt inspect`: what a model folder holds.

use crate::args::{self, InspectArgs};
use crate::failure::Result;
use crate::output::Output;
use pollster::block_on;

pub(crate) fn run(args: InspectArgs) -> Result<()> {
    let source = args::source(args.path.as_ref())?;
    let inspection = block_on(mqt::inspect::inspect(&source, args.vision_tower.as_deref()))?;
    let mut output = Output::new();
    if args.json {
        output.json(&inspection)
    } else {
        output.line(inspection.to_string().trim_end())
    }
}
