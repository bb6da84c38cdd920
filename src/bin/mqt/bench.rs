//! `mqt bench`: the best that the device can do, and every stage of a model on it.

use crate::args::{self, BenchArgs};
use crate::console::Console;
use crate::conversation::{TUNING, load_tuned, options};
use crate::devices;
use crate::failure::Result;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::target::{Target, keep_apart, refuse_stdout};
use mqt::gpu::AdapterChoice;
use mqt::internals::bench::{self, Plan, Report};
use mqt::internals::untrusted;
use mqt::model::{Arithmetic, ModelSource, Tuning};
use pollster::block_on;
use std::fmt::Write;

pub(crate) fn run(args: BenchArgs, console: &Console) -> Result<()> {
    let target = match &args.plot {
        Some(path) => {
            refuse_stdout("--plot", path, "the report goes there")?;
            let model = args.model.files();
            let inputs: Vec<_> =
                model.iter().map(|file| ("a file of the model", file.as_path())).collect();
            keep_apart(&[("--plot", path)], &inputs)?;
            Some(Target::open("--plot", path)?)
        }
        None => None,
    };
    let source = match &args.shape {
        Some(name) => ModelSource::Shape(name.clone()),
        None => args::source(args.model.model.as_ref())?,
    };
    let interrupt = Interrupt::install()?;
    let tuning = if args.tune { Tuning::Whole } else { TUNING };
    if args.tune && args.model.adapter == AdapterChoice::Auto {
        let options = options(&args.model, Arithmetic::Fast, tuning, interrupt.cancel());
        devices::measure_all(&source, &options, console)?;
    }
    let model = load_tuned(&source, &args.model, Arithmetic::Fast, tuning, console)?;
    let numbers = |list: &[u32]| list.iter().map(|&n| n as usize).collect::<Vec<_>>();
    let usual = Plan::default();
    let plan = Plan {
        tokens: numbers(&args.tokens),
        contexts: numbers(&args.contexts),
        prefill: numbers(&args.prefill),
        vision: !args.no_vision,
        question: args.select.is_some(),
        profile: args.profile,
        patience: args.patience,
        small_batch: if args.batches.is_empty() {
            usual.small_batch
        } else {
            numbers(&args.batches)
        },
        cancel: interrupt.cancel(),
    };
    let spinner = console.spinner("measuring");
    let report = interrupt.during(|_| {
        block_on(bench::run(&model, &plan, &mut |what| spinner.set_message(what.to_owned())))
    });
    spinner.finish_and_clear();
    let report = report?;
    if let Some(target) = target {
        target.write(plot(&report).as_bytes())?;
    }
    let mut output = Output::new();
    if args.json { output.json(&report) } else { output.write(&table(&report)) }
}

/// The report as a table.
fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_table(&mut out, report);
    out
}

#[expect(clippy::too_many_lines, reason = "one line of the table after the other")]
fn write_table(out: &mut String, r: &Report) -> std::fmt::Result {
    let (a, m, c) = (&r.adapter, &r.model, &r.ceilings);
    writeln!(
        out,
        "{} ({}, {}) · {} {} · {} arithmetic",
        a.name,
        a.backend,
        a.kind,
        untrusted::one_line(&m.name),
        m.weights,
        r.arithmetic
    )?;
    let figure = |value: Option<f64>, unit: &str| {
        value.map_or("-".to_owned(), |v| format!("{} {unit}", round(v)))
    };
    if let Some(p) = r.processor {
        writeln!(out, "processor     {} threads · {}", p.threads, p.instruction_set.name())?;
    }
    let ceilings = [
        ("read", c.read_gb_s, "GB/s"),
        ("copy", c.copy_gb_s, "GB/s"),
        ("f32", c.fma_f32_gflop_s, "GFLOP/s"),
        ("f16", c.fma_f16_gflop_s, "GFLOP/s"),
        ("int8 dot", c.dot4_i8_gop_s, "Gop/s"),
        ("dispatch gap", c.dispatch_gap_us, "us"),
        ("map", c.map_ms, "ms"),
    ];
    let there = |(name, value, unit): &(&str, Option<f64>, &str)| {
        value.map(|v| format!("{name} {} {unit}", round(v)))
    };
    let there: Vec<String> = ceilings.iter().filter_map(there).collect();
    writeln!(out, "\nceilings      {}", there.join(" · "))?;
    let s = &r.startup_ms;
    let phases = [
        ("device", s.device),
        ("weights", s.weights),
        ("pipelines", s.pipelines),
        ("warm-up", s.warm_up),
    ];
    // The processor has no device to open and nothing to compile.
    let there = phases
        .iter()
        .filter(|(name, _)| r.processor.is_none() || !matches!(*name, "device" | "pipelines"));
    let phases: Vec<String> = there.map(|(name, ms)| format!("{name} {} ms", round(*ms))).collect();
    writeln!(out, "start-up      {}", phases.join(" · "))?;
    if let Some(v) = &r.vision {
        let share = v
            .fraction_of_peak
            .map_or(String::new(), |f| format!(" · {:.0} % of the f32 peak", 100.0 * f));
        writeln!(out, "tower         {} ms for {} GFLOP{share}", round(v.ms), round(v.gflop))?;
        writeln!(out, "resampler     {}", figure(r.resample_ms, "ms"))?;
        let (order, share) = (round(v.order_ms), 100.0 * v.order_ms / v.ms);
        writeln!(
            out,
            "order         {order} ms for {} image tokens · {share:.2} % of the tower",
            v.ordered
        )?;
    }
    for p in &r.prefill {
        writeln!(
            out,
            "prefill       {:>5} tokens  {:>9} ms  {:>8} tokens/s",
            p.tokens,
            round(p.ms),
            round(p.tokens_per_second)
        )?;
    }
    for b in &r.small_batch {
        writeln!(out, "batch         {:>5} tokens  {:>9} ms", b.n, round(b.ms))?;
    }
    for d in &r.decode {
        let share = d
            .fraction_of_read_bandwidth
            .map_or(String::new(), |f| format!("  {:.0} % of read", 100.0 * f));
        let idle =
            d.gpu_idle_fraction.map_or(String::new(), |f| format!("  {:.1} % idle", 100.0 * f));
        let speed = round(d.tokens_per_second);
        let dispatches = if r.processor.is_some() {
            String::new()
        } else {
            format!("  {} dispatches", round(d.dispatches_per_token))
        };
        writeln!(
            out,
            "decode at     {:>5}         {:>9} ms  {speed:>8} tokens/s{share}{dispatches}{idle}",
            d.context,
            round(d.ms_per_token)
        )?;
    }
    for f in &r.first_token {
        let predicted =
            f.predicted_ms.map_or(String::new(), |ms| format!("  {:>9} ms predicted", round(ms)));
        writeln!(
            out,
            "first token at m = {:<3}       {:>9} ms{predicted}",
            f.image_tokens,
            round(f.ms)
        )?;
    }
    for p in &r.pictures {
        let name =
            if p.pictures == 1 { "1 picture".into() } else { format!("{} pictures", p.pictures) };
        let left = round(p.encoded_ms);
        writeln!(
            out,
            "{name:<13} at m = {:<3}       {:>9} ms  {left:>9} ms once encoded",
            p.image_tokens,
            round(p.ms)
        )?;
    }
    for c in &r.chosen {
        writeln!(
            out,
            "by question   at m = {:<3}       {:>9} ms  spread {} ms, then {} ms  all {} ms",
            c.image_tokens,
            round(c.question_ms),
            round(c.spread_ms),
            round(c.spread_again_ms),
            round(c.all_ms)
        )?;
    }
    if let Some(p) = r.prediction {
        let (median, worst) = (100.0 * p.median_error, 100.0 * p.worst_error);
        writeln!(out, "predictions   off by {median:.0} % (median), {worst:.0} % at most")?;
    }
    if let Some(s) = r.stop {
        let stages = [("picture", s.picture_ms), ("prompt", s.prompt_ms), ("answer", s.answer_ms)];
        let there = stages.iter().filter_map(|(name, ms)| ms.map(|ms| (name, round(ms))));
        let there: Vec<String> = there.map(|(name, ms)| format!("{name} {ms} ms")).collect();
        writeln!(out, "stop, at most {}", there.join(" · "))?;
    }
    for (shape, variant) in &r.variants {
        writeln!(out, "kernel        {shape}: {variant}")?;
    }
    for stage in &r.profile {
        writeln!(out, "\nprofile       {}: {} ms in kernels", stage.stage, round(stage.ms))?;
        for kernel in &stage.kernels {
            writeln!(
                out,
                "  {:>5.1} %  {:>9} ms  {:>5} x  {}",
                100.0 * kernel.share,
                round(kernel.ms),
                kernel.count,
                kernel.kernel
            )?;
        }
    }
    if r.processor.is_some() {
        return Ok(());
    }
    writeln!(
        out,
        "memory        {:.1} MiB at the peak · {} pipelines",
        r.gpu_bytes_peak as f64 / f64::from(1 << 20),
        r.pipelines
    )
}

/// Three significant digits.
fn round(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else {
        2 - value.abs().max(1e-9).log10().floor().min(2.0) as i32
    };
    format!("{value:.*}", digits.clamp(0, 6) as usize)
}

/// Two panels: the first token's wait against m, and the time of N tokens against N.
fn plot(report: &Report) -> String {
    let words =
        report.first_token.iter().map(|f| (f.image_tokens as f64, f.ms)).collect::<Vec<_>>();
    let batches = report.small_batch.iter().map(|b| (b.n as f64, b.ms)).collect::<Vec<_>>();
    let title =
        format!("{} {} on {}", report.model.name, report.model.weights, report.adapter.name);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 840 360\" font-family=\"sans-serif\" font-size=\"12\">\n",
    );
    svg += "<rect width=\"840\" height=\"360\" fill=\"white\"/>\n";
    svg += &format!(
        "<text x=\"420\" y=\"24\" text-anchor=\"middle\" font-size=\"15\">{}</text>\n",
        escape(&title)
    );
    svg += &panel(20.0, "first token, ms, against image tokens m", &words);
    svg += &panel(440.0, "N tokens at once, ms, against N", &batches);
    svg + "</svg>\n"
}

/// One curve with its axes, 380 wide, from `left` on.
fn panel(left: f64, title: &str, points: &[(f64, f64)]) -> String {
    let (width, top, bottom) = (380.0, 70.0, 310.0);
    let most = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).fold(1e-9, f64::max);
    let (x_most, y_most) = (most(|p| p.0), most(|p| p.1));
    let at = |(x, y): (f64, f64)| {
        (left + 50.0 + x / x_most * (width - 70.0), bottom - y / y_most * (bottom - top))
    };
    let line: Vec<String> =
        points.iter().map(|&p| at(p)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let (x0, y0) = at((0.0, 0.0));
    let (x1, y1) = at((x_most, y_most));
    let mut svg = format!("<text x=\"{x0}\" y=\"54\">{title}</text>\n");
    svg += &format!("<path d=\"M{x0} {y1}V{y0}H{x1}\" fill=\"none\" stroke=\"#888\"/>\n");
    for part in [0.0, 0.5, 1.0] {
        let ((x, _), (_, y)) = (at((x_most * part, 0.0)), at((0.0, y_most * part)));
        svg += &format!(
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            y0 + 18.0,
            round(x_most * part)
        );
        svg += &format!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            x0 - 6.0,
            y + 4.0,
            round(y_most * part)
        );
    }
    svg += &format!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#0a6\" stroke-width=\"2\"/>\n",
        line.join(" ")
    );
    for &point in points {
        let (x, y) = at(point);
        svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#0a6\"/>\n");
    }
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        assert_eq!(
            [0.0, 0.012_34, 1.0, 12.345, 123.45, 12_345.6].map(round),
            ["0.000000", "0.0123", "1.00", "12.3", "123", "12346"]
        );
    }
}
