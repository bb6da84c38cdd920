//! `mqt doctor`: what this machine can do, which device answers and why, and whether its results
//! are right.

use crate::args::DoctorArgs;
use crate::choices;
use crate::console::Console;
use crate::devices;
use crate::failure::{Failure, Result};
use crate::memory;
use crate::output::Output;
use mqt::budget::Budget;
use mqt::cancel::Cancel;
use mqt::gpu::{self, AdapterChoice, AdapterInfo};
use mqt::image::Picture;
use mqt::internals::gpu::Gpu;
use mqt::internals::kernels;
use mqt::model::{LoadOptions, Model, ModelSource, Opened, Rehearsal};
use mqt::session::{Request, Session};
use pollster::block_on;
use report::{Device, FailedCase, ModelCheck, Report, SelfTest};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod report;

/// How long the short test may take: a software driver that has compiled nothing yet may not be
/// through then.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: DoctorArgs, console: &Console) -> Result<()> {
    let mut report = Report {
        schema: "mqt.doctor/1",
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        threads: mqt::internals::cpu::threads(),
        memory_bytes: memory::total_bytes(),
        memory_free_bytes: memory::available_bytes(),
        adapters: block_on(gpu::adapters()),
        ..Report::default()
    };
    for done in [report.look(&args, console), report.list_devices()] {
        if let Err(failure) = done {
            report.problem(failure);
        }
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

/// How the bundled model is loaded on a device.
fn options(adapter: AdapterChoice) -> LoadOptions {
    let mut options = LoadOptions::on(adapter);
    options.choices = choices::read();
    options.rehearsal = Rehearsal::Beside;
    options
}

impl Report {
    fn look(&mut self, args: &DoctorArgs, console: &Console) -> Result<()> {
        if args.all {
            let adapters = self.adapters.clone();
            let mut seen = HashSet::new();
            // Of equal cards one stands for the others.
            for adapter in adapters.iter().filter(|adapter| seen.insert(adapter.key())) {
                self.test_all(adapter, console);
            }
            self.measure(&AdapterInfo::cpu(), console);
        }
        let options = options(args.adapter.clone());
        let opened = block_on(Opened::at(&ModelSource::Bundled, &options))?;
        if !self.is_cold(&opened, &options, args)? {
            self.check_model(opened, &options, console)?;
        }
        let gpu = self.open_used(&args.adapter)?;
        if let Some(gpu) = gpu.filter(|_| !args.no_self_test && !args.all) {
            let test = self.self_test(&gpu, kernels::samples(), Some(PATIENCE), console);
            self.self_test = Some(test);
        }
        Ok(())
    }

    /// Whether an adapter was asked for that is a software one, and would have to compile first.
    fn is_cold(
        &mut self,
        opened: &Opened,
        options: &LoadOptions,
        args: &DoctorArgs,
    ) -> Result<bool> {
        if matches!(args.adapter, AdapterChoice::Auto | AdapterChoice::Cpu) {
            return Ok(false);
        }
        let Some(gpu) = block_on(Gpu::open(&args.adapter))? else {
            return devices::check(&args.adapter, &AdapterInfo::cpu()).map(|()| false);
        };
        let cold = gpu.is_software() && opened.measured(options, gpu.info()).is_none();
        self.adapter = Some(gpu.info().clone());
        self.reason = "asked for".into();
        Ok(cold)
    }

    /// Opens the device that is used, and notes its limits.
    fn open_used(&mut self, asked: &AdapterChoice) -> Result<Option<Gpu>> {
        let Some(used) = &self.adapter else { return Ok(None) };
        let choice = match asked {
            AdapterChoice::Auto => devices::choice(used),
            _ => asked.clone(),
        };
        let gpu = block_on(Gpu::open(&choice))?;
        if let Some(gpu) = &gpu {
            self.limits = gpu.limits().into_iter().collect();
            self.kernels = choices::read().remove(&gpu.info().key()).unwrap_or_default().variants;
        }
        Ok(gpu)
    }

    /// Every case on one adapter, and how fast the bundled model is there.
    fn test_all(&mut self, adapter: &AdapterInfo, console: &Console) {
        match block_on(Gpu::open(&devices::choice(adapter))) {
            Ok(Some(gpu)) => {
                let test = self.self_test(&gpu, kernels::cases(), None, console);
                self.self_tests.push((adapter.key(), test));
            }
            Ok(None) => {}
            Err(error) => self.problem(error.into()),
        }
        self.measure(adapter, console);
    }

    fn measure(&mut self, device: &AdapterInfo, console: &Console) {
        let options = options(AdapterChoice::Auto);
        if let Err(failure) = devices::measure(&ModelSource::Bundled, device, &options, console) {
            self.problem(failure);
        }
    }

    /// All devices, with what was measured by now.
    fn list_devices(&mut self) -> Result<()> {
        let options = options(AdapterChoice::Auto);
        let opened = block_on(Opened::at(&ModelSource::Bundled, &options))?;
        let cpu = AdapterInfo::cpu();
        self.devices = self
            .adapters
            .iter()
            .chain([&cpu])
            .map(|info| {
                let speed = opened.measured(&options, info);
                let tested = self.self_tests.iter().position(|(key, _)| *key == info.key());
                Device {
                    info: info.clone(),
                    answer_ms: speed.and_then(|speed| speed.typical_ms()),
                    self_test: tested.map(|at| self.self_tests.swap_remove(at).1),
                }
            })
            .collect();
        Ok(())
    }

    /// Kernels against their twins, until the patience is spent.
    fn self_test(
        &mut self,
        gpu: &Gpu,
        cases: Vec<kernels::check::Case>,
        patience: Option<Duration>,
        console: &Console,
    ) -> SelfTest {
        let start = Instant::now();
        let mut test = SelfTest { of: cases.len(), ..SelfTest::default() };
        let bar = console.steps("kernels", cases.len());
        let name = &gpu.info().name;
        for case in cases {
            if patience.is_some_and(|patience| start.elapsed() > patience) {
                break;
            }
            let message = match block_on(case.run(gpu)) {
                Ok(check) if check.ok => None,
                Ok(check) => Some(check.message),
                Err(error) => Some(error.to_string()),
            };
            match message {
                None => test.ok += 1,
                Some(message) => test.failed.push(FailedCase { name: case.name, message }),
            }
            test.cases += 1;
            bar.inc(1);
        }
        bar.finish_and_clear();
        test.seconds = seconds(start);
        if !test.failed.is_empty() {
            let message = format!(
                "{} of {} kernels give wrong results on {name}; use `--adapter cpu`",
                test.failed.len(),
                test.cases,
            );
            self.problem(Failure { code: 4, message: Some(message) });
        }
        test
    }

    fn check_model(
        &mut self,
        opened: Opened,
        options: &LoadOptions,
        console: &Console,
    ) -> Result<()> {
        let spinner = console.spinner("asking the bundled model");
        let start = Instant::now();
        let model = block_on(opened.load(options, &mut |_| {}))?;
        self.reason = devices::why(&model.adapter().name, model.reason());
        self.adapter = Some(model.adapter().clone());
        let checked = check_model(Arc::new(model), start);
        spinner.finish_and_clear();
        let check = checked?;
        if !check.right {
            let message = format!(
                "the bundled model answers {:?} with {:?}, which is wrong",
                check.question, check.answer
            );
            self.problem(Failure { code: 3, message: Some(message) });
        }
        self.model = Some(check);
        Ok(())
    }
}

fn check_model(model: Arc<Model>, start: Instant) -> mqt::Result<ModelCheck> {
    let context = model.config().max_context().min(512);
    let mut session = block_on(Session::new(model.clone(), context, &Cancel::new()))?;
    let load_seconds = seconds(start);
    let picture = Picture::from_rgb(red_circle(), SIDE, SIDE)?;
    block_on(session.look(&picture, &Cancel::new()))?;
    let mut request = Request::new(QUESTION);
    request.budget = Budget::Fixed(model.config().m_max() as u64);
    request.max_new_tokens = 16;
    let answer = block_on(session.ask(&request, &Cancel::new(), &mut |_| {}))?.text;
    devices::remember(&session);
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
