//! `mqt inspect`: what a model folder or a GGUF file holds.

use crate::args::{self, InspectArgs};
use crate::failure::Result;
use crate::output::Output;
use mqt::internals::weights::files::is_gguf;
use pollster::block_on;

pub(crate) fn run(args: InspectArgs) -> Result<()> {
    let path = args.path.as_deref();
    match (path, args.mmproj.as_deref()) {
        (Some(path), Some(mmproj)) => {
            show(&block_on(mqt::inspect::inspect_pair(path, mmproj))?, args.json)
        }
        (Some(path), None) if is_gguf(path) => {
            show(&block_on(mqt::inspect::inspect_gguf(path))?, args.json)
        }
        _ => {
            let source = args::source(args.path.as_ref())?;
            let tower = args.vision_tower.as_deref();
            show(&block_on(mqt::inspect::inspect(&source, tower))?, args.json)
        }
    }
}

fn show<T: serde::Serialize + std::fmt::Display>(found: &T, json: bool) -> Result<()> {
    let mut output = Output::new();
    if json { output.json(found) } else { output.line(found.to_string().trim_end()) }
}
