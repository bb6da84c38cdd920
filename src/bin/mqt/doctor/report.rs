//! What the doctor found, as a record and as a text.

use crate::failure::Failure;
use mqt::gpu::AdapterInfo;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// `mqt.doctor/1`.
#[derive(Default, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) version: &'static str,
    pub(super) os: &'static str,
    pub(super) arch: &'static str,
    pub(super) threads: usize,
    /// The machine's memory; null where the system does not tell.
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_free_bytes: Option<u64>,
    pub(super) adapters: Vec<AdapterInfo>,
    /// The adapters and the processor, with what was measured.
    pub(super) devices: Vec<Device>,
    /// What answers with the bundled model; null if `--adapter` leads to nothing.
    pub(super) adapter: Option<AdapterInfo>,
    /// Why it does.
    pub(super) reason: String,
    pub(super) limits: BTreeMap<&'static str, u64>,
    /// Which variant of each kernel was measured to be fastest here; the others are guessed.
    pub(super) kernels: BTreeMap<String, String>,
    /// One case of each kernel, on the device in use.
    pub(super) self_test: Option<SelfTest>,
    pub(super) model: Option<ModelCheck>,
    pub(super) usable: bool,
    pub(super) problems: Vec<String>,
    #[serde(skip)]
    pub(super) code: u8,
    /// Of `--all`, by adapter, until [`Report::devices`] takes them.
    #[serde(skip)]
    pub(super) self_tests: Vec<(String, SelfTest)>,
}

/// A device, and how fast the bundled model is there.
#[derive(Serialize)]
pub(super) struct Device {
    #[serde(flatten)]
    pub(super) info: AdapterInfo,
    /// Milliseconds of a typical answer: a picture, 64 prompt tokens, 24 generated ones; null
    /// before it was measured.
    pub(super) answer_ms: Option<f64>,
    /// Every case of every kernel: `--all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) self_test: Option<SelfTest>,
}

/// Kernels against their plain-Rust twins.
#[derive(Default, Serialize)]
pub(super) struct SelfTest {
    /// Those that ran.
    pub(super) cases: usize,
    /// Those that there are; more than ran where time was up.
    pub(super) of: usize,
    pub(super) ok: usize,
    pub(super) failed: Vec<FailedCase>,
    pub(super) seconds: f64,
}

#[derive(Serialize)]
pub(super) struct FailedCase {
    pub(super) name: String,
    pub(super) message: String,
}

/// The bundled model on a picture whose answer is known.
#[derive(Serialize)]
pub(super) struct ModelCheck {
    pub(super) name: String,
    pub(super) weights: String,
    pub(super) sha256: String,
    pub(super) load_seconds: f64,
    pub(super) question: &'static str,
    pub(super) answer: String,
    pub(super) right: bool,
}

impl Report {
    /// Notes what is wrong; the first problem decides the exit code.
    pub(super) fn problem(&mut self, failure: Failure) {
        if self.code == 0 {
            self.code = failure.code;
        }
        self.problems.extend(failure.message);
    }

    fn write_devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gb = |bytes: u64| bytes as f64 / 1e9;
        let Report { version, os, arch, threads, .. } = self;
        let memory = match (self.memory_bytes, self.memory_free_bytes) {
            (Some(all), Some(free)) => {
                format!(" · {:.1} of {:.1} GB memory free", gb(free), gb(all))
            }
            _ => String::new(),
        };
        writeln!(f, "mqt {version} · {os} {arch} · {threads} threads{memory}")?;
        writeln!(f, "\ndevices, and a typical answer of the bundled model:")?;
        for device in &self.devices {
            let measured = device
                .answer_ms
                .map_or("not measured yet".to_owned(), |ms| format!("{} ms", ms.round()));
            writeln!(f, "  {}: {measured}", described(&device.info))?;
            if let Some(test) = &device.self_test {
                write_test(f, "    ", test)?;
            }
        }
        if let Some(adapter) = &self.adapter {
            writeln!(f, "\nused: {}", described(adapter))?;
            writeln!(f, "  {}", self.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_devices(f)?;
        for (name, value) in &self.limits {
            writeln!(f, "  {name:<35} {value:>12}")?;
        }
        if !self.kernels.is_empty() {
            writeln!(f, "\nkernels measured to be fastest:")?;
        }
        for (kernel, variant) in &self.kernels {
            writeln!(f, "  {kernel:<35} {variant:>12}")?;
        }
        if let Some(test) = &self.self_test {
            writeln!(f)?;
            write_test(f, "", test)?;
        }
        if let Some(model) = &self.model {
            let verdict = if model.right { "right" } else { "WRONG" };
            writeln!(
                f,
                "\nbundled model: {} ({}), loaded in {:.1} s",
                model.name, model.weights, model.load_seconds
            )?;
            writeln!(f, "  {} {} ({verdict})", model.question, model.answer)?;
        } else if self.adapter.is_some() {
            writeln!(
                f,
                "\nbundled model: not asked, since this driver would compile first; `mqt doctor --all` asks it"
            )?;
        }
        writeln!(f)?;
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        writeln!(
            f,
            "{}",
            if self.usable { "mqt works here" } else { "mqt does not work here as asked" }
        )
    }
}

fn write_test(f: &mut fmt::Formatter<'_>, indent: &str, test: &SelfTest) -> fmt::Result {
    let rest = match test.of - test.cases {
        0 => String::new(),
        rest => format!("; {rest} more take longer: `mqt doctor --all`"),
    };
    writeln!(
        f,
        "{indent}kernels: {} of {} equal their twins ({:.1} s){rest}",
        test.ok, test.cases, test.seconds
    )?;
    for case in &test.failed {
        writeln!(f, "{indent}  FAILED {}: {}", case.name, case.message)?;
    }
    Ok(())
}

fn described(adapter: &AdapterInfo) -> String {
    let AdapterInfo { name, backend, kind, driver, .. } = adapter;
    if kind == "cpu" {
        return name.clone();
    }
    let details: Vec<&str> = [kind, backend, driver]
        .into_iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    format!("{name} ({})", details.join(", "))
}
