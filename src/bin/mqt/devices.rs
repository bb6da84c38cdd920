//! Which device answers: reported in one line, and measured for the next time.

use crate::choices;
use crate::console::Console;
use crate::failure::Result;
use crate::interrupt::Interrupt;
use mqt::gpu::{self, AdapterChoice, AdapterInfo, Reason};
use mqt::model::{LoadOptions, Model, ModelSource, Opened, Tuning};
use mqt::session::Session;
use pollster::block_on;
use std::collections::HashSet;
use std::sync::Arc;

/// Says why this device computes, where that is not what everybody expects.
pub(crate) fn explain(model: &Model, console: &Console) {
    if !matches!(model.reason(), Reason::Asked | Reason::Card) {
        console.note(&why(&model.adapter().name, model.reason()));
    }
}

/// The reason in one line.
pub(crate) fn why(name: &str, reason: &Reason) -> String {
    match reason {
        Reason::Asked => "asked for".into(),
        Reason::Card => "the best graphics card".into(),
        Reason::NoAdapter => {
            "CPU: no usable graphics adapter was found; `mqt doctor` says more".into()
        }
        Reason::NotMeasured { adapter } => format!(
            "CPU: {} is a software driver and was not measured yet; `mqt bench --tune` measures it",
            short(adapter)
        ),
        Reason::Measured { other, times } => {
            format!("{}: {} faster here than {}", short(name), factor(*times), short(other))
        }
        _ => short(name).into(),
    }
}

/// `1.3×`, `4×`.
fn factor(times: f64) -> String {
    if times < 2.95 { format!("{times:.1}×") } else { format!("{times:.0}×") }
}

/// A device's name without what stands in brackets behind it.
fn short(name: &str) -> &str {
    if name == "cpu" { "CPU" } else { name.split(" (").next().unwrap_or(name) }
}

/// `--adapter gpu` means a graphics adapter, whatever there is.
pub(crate) fn check(asked: &AdapterChoice, found: &AdapterInfo) -> Result<()> {
    if *asked == AdapterChoice::Gpu && found.kind == "cpu" {
        let (wanted, available) = ("gpu".into(), found.name.clone());
        return Err(mqt::Error::AdapterNotFound { wanted, available }.into());
    }
    Ok(())
}

/// The choice that leads to this device.
pub(crate) fn choice(device: &AdapterInfo) -> AdapterChoice {
    if device.kind == "cpu" { AdapterChoice::Cpu } else { AdapterChoice::Known(device.key()) }
}

/// Remembers how fast a conversation was, for choosing among devices the next time.
pub(crate) fn remember(session: &Session) {
    let model = session.model();
    choices::remember(model.adapter(), model.learned_speed(session.speed()));
}

/// Measures a model on this device, and remembers it.
pub(crate) fn measure(
    source: &ModelSource,
    device: &AdapterInfo,
    options: &LoadOptions,
    console: &Console,
) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let spinner = console.spinner("measuring");
    spinner.set_message(format!("measuring {}", device.name));
    let (adapter, cancel) = (choice(device), interrupt.cancel());
    let mut options = options.clone();
    options.adapter = adapter;
    options.cancel = cancel;
    let measured = interrupt.during(|cancel| {
        let opened = block_on(Opened::at(source, &options))?;
        let model = Arc::new(block_on(opened.load(&options, &mut |_| {}))?);
        let speed = block_on(Session::probe(model.clone(), cancel))?;
        Ok::<_, mqt::Error>((model, speed))
    });
    spinner.finish_and_clear();
    let (model, speed) = measured?;
    let mut learned = model.learned();
    learned.extend(model.learned_speed(&speed));
    choices::remember(model.adapter(), learned);
    if let Some(ms) = speed.typical_ms() {
        console.stats(&format!("{}: {:.0} ms for a typical answer", model.adapter().name, ms));
    }
    Ok(())
}

/// Measures a model on every device of this machine.
pub(crate) fn measure_all(
    source: &ModelSource,
    options: &LoadOptions,
    console: &Console,
) -> Result<()> {
    let mut devices = block_on(gpu::adapters());
    devices.push(AdapterInfo::cpu());
    // Of equal cards one stands for the others.
    let mut seen = HashSet::new();
    devices.retain(|device| seen.insert(device.key()));
    for device in devices {
        let mut options = options.clone();
        if device.kind == "cpu" {
            options.tuning = Tuning::Off;
        }
        measure(source, &device, &options, console)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_both_devices() {
        let slower =
            |times| Reason::Measured { other: "llvmpipe (LLVM 15, 256 bits)".into(), times };
        assert_eq!(why("cpu", &slower(4.2)), "CPU: 4× faster here than llvmpipe");
        assert_eq!(why("cpu", &slower(1.26)), "CPU: 1.3× faster here than llvmpipe");
        let faster = Reason::Measured { other: "cpu".into(), times: 12.0 };
        assert_eq!(why("llvmpipe (LLVM 15)", &faster), "llvmpipe: 12× faster here than CPU");
    }
}
