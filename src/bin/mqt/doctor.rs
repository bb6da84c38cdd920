//! `mqt doctor`: what this machine can do, and whether mqt gives right results on it.

use crate::args::DoctorArgs;
use crate::choices;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::output::Output;
use mqt::budget::Budget;
use mqt::cancel::Cancel;
use mqt::gpu::{AdapterChoice, AdapterInfo, Gpu};
use mqt::image::Picture;
use mqt::model::{LoadOptions, Model, ModelSource};
use mqt::session::{Request, Session};
use pollster::block_on;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// `mqt.doctor/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    version: &'static str,
    os: &'static str,
    arch: &'static str,
    threads: usize,
    adapters: Vec<AdapterInfo>,
    /// What `--adapter` leads to; null if it leads to nothing.
    adapter: Option<AdapterInfo>,
    limits: BTreeMap<&'static str, u64>,
    /// Which variant of each kernel was measured to be fastest here; the others are guessed.
    kernels: BTreeMap<String, String>,
    self_test: Option<SelfTest>,
    model: Option<ModelCheck>,
    usable: bool,
    problems: Vec<String>,
    #[serde(skip)]
    code: u8,
}

/// Every kernel against its plain-Rust twin.
#[derive(Serialize)]
struct SelfTest {
    cases: usize,
    ok: usize,
    failed: Vec<FailedCase>,
    seconds: f64,
}

#[derive(Serialize)]
struct FailedCase {
    name: String,
    message: String,
}

/// The bundled model on a picture whose answer is known.
#[derive(Serialize)]
struct ModelCheck {
    name: String,
    weights: String,
    sha256: String,
    load_seconds: f64,
    question: &'static str,
    answer: String,
    right: bool,
}

pub(crate) fn run(args: DoctorArgs, console: &Console) -> Result<()> {
    let mut report = Report {
        schema: "mqt.doctor/1",
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        adapters: block_on(Gpu::list()),
        adapter: None,
        limits: BTreeMap::new(),
        kernels: BTreeMap::new(),
        self_test: None,
        model: None,
        usable: false,
        problems: Vec::new(),
        code: 0,
    };
    match block_on(Gpu::open(&args.adapter)) {
        Ok(gpu) => {
            report.adapter =
                Some(gpu.as_ref().map_or_else(AdapterInfo::cpu, |gpu| gpu.info().clone()));
            if let Some(gpu) = &gpu {
                report.limits = gpu.limits().into_iter().collect();
                report.kernels =
                    choices::read().remove(&gpu.info().key()).unwrap_or_default().variants;
                if !args.no_self_test {
                    report.self_test(gpu, console);
                }
            }
            report.check_model(&args.adapter, console);
        }
        Err(error) => report.problem(error.into()),
    }
    report.usable = report.code == 0;
    let mut output = Output::new();
    if args.json {
        output.json(&report)?
    } else {
        output.write(&report.to_string())?
    }
    if report.usable { Ok(()) } else { Err(Failure::reported(report.code)) }
}

impl Report {
    /// Notes what is wrong; the first problem decides the exit code.
    fn problem(&mut self, failure: Failure) {
        if self.code == 0 {
            self.code = failure.code;
        }
        self.problems.extend(failure.message);
    }

    fn self_test(&mut self, gpu: &Gpu, console: &Console) {
        let start = Instant::now();
        let cases = mqt::kernels::cases();
        let mut test = SelfTest { cases: cases.len(), ok: 0, failed: Vec::new(), seconds: 0.0 };
        let bar = console.steps("kernels", cases.len());
        for case in cases {
            let message = match block_on(case.run(gpu)) {
                Ok(check) if check.ok => None,
                Ok(check) => Some(check.message),
                Err(error) => Some(error.to_string()),
            };
            match message {
                None => test.ok += 1,
                Some(message) => test.failed.push(FailedCase { name: case.name, message }),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        test.seconds = seconds(start);
        if !test.failed.is_empty() {
            let message = format!(
                "{} of {} kernels give wrong results on {}; use `--adapter cpu`",
                test.failed.len(),
                test.cases,
                gpu.info().name
            );
            self.problem(Failure { code: 4, message: Some(message) });
        }
        self.self_test = Some(test);
    }

    fn check_model(&mut self, adapter: &AdapterChoice, console: &Console) {
        let spinner = console.spinner("asking the bundled model");
        let checked = check_model(adapter);
        spinner.finish_and_clear();
        match checked {
            Ok(check) => {
                if !check.right {
                    let message = format!(
                        "the bundled model answers {:?} with {:?}, which is wrong",
                        check.question, check.answer
                    );
                    self.problem(Failure { code: 3, message: Some(message) });
                }
                self.model = Some(check);
            }
            Err(error) => self.problem(error.into()),
        }
    }
}

fn check_model(adapter: &AdapterChoice) -> mqt::Result<ModelCheck> {
    let start = Instant::now();
    let options = LoadOptions { adapter: adapter.clone(), ..LoadOptions::default() };
    let model = Arc::new(block_on(Model::load(&ModelSource::Bundled, &options, &mut |_| {}))?);
    let context = model.config().max_context().min(512);
    let mut session = block_on(Session::new(model.clone(), context, &Cancel::new()))?;
    let load_seconds = seconds(start);
    let picture = Picture { rgb: red_circle(), width: SIDE, height: SIDE, readings_differ: false };
    block_on(session.look(&picture, &Cancel::new()))?;
    let mut request = Request::new(QUESTION);
    request.budget = Budget::Fixed(model.config().m_max() as u64);
    request.max_new_tokens = 16;
    let answer = block_on(session.ask(&request, &Cancel::new(), &mut |_| {}))?.text;
    let (name, weights, sha256) =
        (model.name().to_owned(), model.weights_name(), model.sha256().to_owned());
    let right = answer.trim_end_matches('.').eq_ignore_ascii_case(ANSWER);
    Ok(ModelCheck { name, weights, sha256, load_seconds, question: QUESTION, answer, right })
}

/// What a toybox model knows best.
const QUESTION: &str = "What colour is the circle?";
const ANSWER: &str = "red";

/// A red circle on light grey, [SIDE, SIDE, 3].
fn red_circle() -> Vec<u8> {
    let colour = |x: i64, y: i64| {
        if (x - 56).pow(2) + (y - 56).pow(2) <= 24 * 24 { [214, 34, 38] } else { [205, 206, 200] }
    };
    (0..SIDE * SIDE).flat_map(|i| colour((i % SIDE) as i64, (i / SIDE) as i64)).collect()
}

/// Side of the picture in pixels.
const SIDE: usize = 112;

fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e3).round() / 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mqt {} · {} {} · {} threads", self.version, self.os, self.arch, self.threads)?;
        writeln!(f, "\nadapters, best first:")?;
        for adapter in &self.adapters {
            writeln!(f, "  {}", described(adapter))?;
        }
        writeln!(f, "  cpu (the plain-Rust network; always there)")?;
        if let Some(adapter) = &self.adapter {
            writeln!(f, "\nused: {}", described(adapter))?;
        }
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
            writeln!(
                f,
                "\nkernels: {} of {} equal their twins ({:.1} s)",
                test.ok, test.cases, test.seconds
            )?;
            for case in &test.failed {
                writeln!(f, "  FAILED {}: {}", case.name, case.message)?;
            }
        }
        if let Some(model) = &self.model {
            let verdict = if model.right { "right" } else { "WRONG" };
            writeln!(
                f,
                "\nbundled model: {} ({}), loaded in {:.1} s",
                model.name, model.weights, model.load_seconds
            )?;
            writeln!(f, "  {} {} ({verdict})", model.question, model.answer)?;
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

fn described(adapter: &AdapterInfo) -> String {
    let AdapterInfo { name, backend, kind, driver } = adapter;
    let details: Vec<&str> = [kind, backend, driver]
        .into_iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    format!("{name} ({})", details.join(", "))
}
