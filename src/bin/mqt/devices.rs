//! Which device answers: said in one line, and measured for the next time.

use crate::choices;
use crate::console::Console;
use mqt::gpu::Reason;
use mqt::model::Model;
use mqt::session::Session;

/// Says why this device computes, where that is not what everybody expects.
pub(crate) fn explain(model: &Model, console: &Console) {
    if let Some(line) = line(&model.adapter().name, model.reason()) {
        console.note(&line);
    }
}

/// The reason in one line; `None` where a graphics card computes or the user chose.
pub(crate) fn line(name: &str, reason: &Reason) -> Option<String> {
    let device = |name: &str| if name == "cpu" { "CPU".to_owned() } else { short(name) };
    match reason {
        Reason::Asked | Reason::Card => None,
        Reason::NoAdapter => {
            Some("CPU: no usable graphics adapter was found; `mqt doctor` says more".into())
        }
        Reason::NotMeasured { adapter } => Some(format!(
            "CPU: {} is a software driver and was not measured yet; `mqt bench --tune` measures it",
            short(adapter)
        )),
        Reason::Measured { other, times } => {
            Some(format!("{}: {} faster here than {}", device(name), factor(*times), device(other)))
        }
    }
}

/// `1.3×`, `4×`.
fn factor(times: f64) -> String {
    if times < 2.95 { format!("{times:.1}×") } else { format!("{times:.0}×") }
}

/// An adapter's name without what stands in brackets behind it.
fn short(name: &str) -> String {
    name.split(" (").next().unwrap_or(name).to_owned()
}

/// Remembers how fast a conversation was, for choosing among devices the next time.
pub(crate) fn remember(session: &Session) {
    let model = session.model();
    choices::remember(model.adapter(), model.learned_speed(session.speed()));
}
