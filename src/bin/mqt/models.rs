//! `mqt models`: models that are known by name, what they need here, and which of them have been
//! fetched.

use crate::args::ModelsArgs;
use crate::cache;
use crate::failure::Result;
use crate::memory;
use crate::output::Output;
use mqt::internals::catalogue::{KNOWN, Known};
use mqt::model::WeightsChoice;

/// One model, as `--json` has it.
#[derive(serde::Serialize)]
struct Row {
    #[serde(flatten)]
    known: Known,
    /// Bytes that it takes of a device with `--weights auto`.
    needs_bytes: u64,
    /// Where it lies, if it was pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
}

pub(crate) fn run(args: &ModelsArgs) -> Result<()> {
    let rows = KNOWN.iter().map(|known| Row {
        known: *known,
        needs_bytes: known.needs(WeightsChoice::Auto).map_or(0, |needs| needs.total()),
        folder: cache::pulled(known.name).map(|folder| folder.display().to_string()),
    });
    let mut output = Output::new();
    if args.json {
        for row in rows {
            let line = serde_json::to_string(&row).expect("records have only string keys");
            output.line(&line)?;
        }
        return Ok(());
    }
    output.line(&format!(
        "{:<43} {:>9} {:>8}  {:<31} {:<40} here",
        "name", "download", "memory", "licence", "knows"
    ))?;
    let free = memory::available_bytes();
    for Row { known, needs_bytes, folder } in rows {
        let here = match (folder, free) {
            (Some(_), _) => "pulled",
            (None, Some(free)) if free < needs_bytes => "too large for the free memory",
            _ => "",
        };
        let line = format!(
            "{:<43} {:>6.2} GB {:>5.2} GB  {:<31} {:<40} {here}",
            known.name,
            f64::from(known.download_mb) / 1e3,
            needs_bytes as f64 / 1e9,
            known.licence,
            known.knows,
        );
        output.line(line.trim_end())?;
    }
    Ok(())
}
