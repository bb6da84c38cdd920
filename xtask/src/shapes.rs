//! `cargo xtask shapes`: what the real sizes take. A synthetic checkpoint of each shape is made,
//! converted, asked at its least, its full and an automatic budget, and deleted.

use crate::run::{cargo, execute, root, target};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Those that fit a small machine; `llava-1.5-7b` on demand.
const SHAPES: &str = "smolvlm-256m,smolvlm-500m,granite-docling,llava-interleave-0.5b,llava-onevision-0.5b,mobilevlm-v2-1.7b";
/// Image tokens of the least budget: the fewest that an automatic one takes of one tile.
const LEAST: &str = "16";
/// What an automatic budget aims for.
const TARGET_MS: &str = "20000";
/// A photograph's shape.
const PICTURE: (u32, u32) = (640, 480);

struct Options {
    shapes: String,
    adapters: String,
    folder: PathBuf,
}

fn options(args: &[String]) -> Result<Options> {
    let mut options =
        Options { shapes: SHAPES.into(), adapters: "cpu".into(), folder: target().join("shapes") };
    for pair in args.chunks(2) {
        let [name, value] = pair else { bail!("{} needs a value", pair[0]) };
        match name.as_str() {
            "--shape" => options.shapes.clone_from(value),
            "--adapter" => options.adapters.clone_from(value),
            "-o" | "--output" => options.folder = std::env::current_dir()?.join(value),
            other => bail!("there is no option {other}"),
        }
    }
    Ok(options)
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = options(args)?;
    execute(&mut cargo(&["build", "--release", "--bin", "mqt", "--example", "synth"]))?;
    std::fs::create_dir_all(&options.folder)?;
    let picture = options.folder.join("picture.bmp");
    std::fs::write(&picture, bmp(PICTURE))?;
    println!("| Shape | checkpoint | convert | peak | pack | parameters |");
    println!(
        "| Shape, adapter | image tokens, tiles | load | tower | projector | prompt | first token | peak |"
    );
    for shape in options.shapes.split(',') {
        let folder = options.folder.join(shape);
        let done = measure(shape, &options, &folder, &picture);
        // The disk would not hold them all.
        std::fs::remove_dir_all(&folder).ok();
        done.with_context(|| shape.to_owned())?;
    }
    Ok(())
}

fn measure(shape: &str, options: &Options, folder: &Path, picture: &Path) -> Result<()> {
    let (checkpoint, pack) = (folder.join("checkpoint"), folder.join("pack"));
    let release = target().join("release");
    let mqt = release.join("mqt");
    let mut synth = Command::new(release.join("examples/synth"));
    watched(synth.args(["--shape", shape, "-o"]).arg(&checkpoint))?;
    let made = size(&checkpoint)?;
    let (seconds, peak, _) =
        watched(Command::new(&mqt).arg("convert").arg(&checkpoint).arg("-o").arg(&pack))?;
    std::fs::remove_dir_all(&checkpoint)?;
    let (_, _, said) = watched(Command::new(&mqt).arg("inspect").arg(&pack).arg("--json"))?;
    let said: Value = serde_json::from_str(&said)?;
    println!(
        "| {shape} | {:.2} GB | {seconds:.0} s | {:.2} GB | {:.0} MB of {} | {:.0} M |",
        made as f64 / 1e9,
        peak as f64 / 1e9,
        said["weight_bytes"].as_f64().unwrap_or_default() / 1e6,
        said["weights"].as_str().unwrap_or_default(),
        said["parameters"].as_f64().unwrap_or_default() / 1e6,
    );
    // Of a square picture: where pictures are cut, the record says how many this one has.
    let counted = said["memory"].as_array().into_iter().flatten();
    let most = counted.filter_map(|row| row["image_tokens"].as_u64()).max();
    let all = most.unwrap_or_default().to_string();
    for (i, adapter) in options.adapters.split(',').enumerate() {
        // On a software adapter the full budget takes many minutes.
        let budgets = if i == 0 { &[LEAST, &all, "auto"][..] } else { &[LEAST, "auto"] };
        for m in budgets {
            let mut ask = Command::new(&mqt);
            ask.arg("ask").arg(picture).args(["What is this?", "--json", "--no-picture-cache"]);
            ask.args(["--max-new-tokens", "2", "--target-ms", TARGET_MS]);
            ask.args(["--adapter", adapter, "-m", m]).arg("--model").arg(&pack);
            let (_, peak, record) = watched(&mut ask)?;
            println!(
                "{}",
                row(&format!("{shape}, {adapter}"), &serde_json::from_str(&record)?, peak)
            );
        }
    }
    Ok(())
}

fn row(what: &str, record: &Value, peak: u64) -> String {
    let seconds = |name: &str| record["timings_ms"][name].as_f64().unwrap_or(0.0) / 1e3;
    let reason = record["image_tokens_reason"].as_str().unwrap_or_default();
    format!(
        "| {what} | {}, {} | {:.1} s | {:.1} | {:.1} | {:.1} | {:.1} s | {:.2} GB | {reason} |",
        record["image_tokens"],
        record["tiles"],
        seconds("load"),
        seconds("vision"),
        seconds("resample"),
        seconds("prefill"),
        seconds("first_token"),
        peak as f64 / 1e9,
    )
}

/// Runs a program: seconds, the most memory it had at a time in bytes (Linux; else 0), what it
/// printed.
fn watched(command: &mut Command) -> Result<(f64, u64, String)> {
    let start = Instant::now();
    let name = format!("{command:?}");
    let mut child = command
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let line = status.unwrap_or_default();
        let line = line.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = number.map_or(peak, |kb: u64| kb * 1024);
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = start.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{name} failed ({})", output.status);
    }
    Ok((seconds, peak, String::from_utf8(output.stdout)?.trim().to_owned()))
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() { size(&entry.path())? } else { data.len() };
    }
    Ok(bytes)
}

/// A picture of slow changes of colour.
fn bmp((width, height): (u32, u32)) -> Vec<u8> {
    let pixels = 3 * width * height;
    let mut bytes = b"BM".to_vec();
    for word in [54 + pixels, 0, 54, 40, width, height, 1 | 24 << 16, 0, pixels, 2835, 2835, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for y in 0..height {
        for x in 0..width {
            bytes.extend([(x / 3 % 256) as u8, (y / 2 % 256) as u8, ((x + y) / 5 % 256) as u8]);
        }
    }
    bytes
}
