//! `cargo xtask <task>`: everything around the build, in plain Rust. See `xtask/README.md`.

mod api;
mod checks;
mod machine;
mod package;
mod pictures;
mod python;
mod run;
mod setup;
mod shapes;
mod synth;
mod targets;
mod test;
mod types;
mod web;
mod www;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  test    set up what is missing, then run everything that CI runs
            --only STEP[,STEP]      only these steps
            --without STEP[,STEP]   all steps but these
            steps: setup fmt clippy clippy-wasm test swiftshader web browser biome doc licences
                   fuzz package
  setup   install what the tests need, or say what is missing
  types   write web/ts/generated.ts, the TypeScript that follows from the Rust
  api     write docs/api.txt, the list of the library's public items
  web     `types`; compile web/ to WebAssembly and build the page into www/dist
            --page                  the page alone, where no Rust has changed
  package the same; make the npm package in web/dist, check it and the crate as they would be published
  www     serve www/dist on http://localhost:8080 (`cargo xtask www PORT` for another port)
  targets check that mqt compiles for Windows, macOS and Linux on ARM; nothing is linked or run
            TARGET...               only these
  synth   write a synthetic checkpoint of a named shape
            --shape NAME -o DIR [--layout mqt-llava|llava-1.5|llava-hf|llava-hf-new|smolvlm|mobilevlm] [--seed N] [--shard-bytes N]
  shapes  make a synthetic checkpoint of each shape in turn, convert it, ask it, delete it, and print
          sizes, memory and times as the tables of docs/checkpoints.md
            --shape NAME[,NAME]     these shapes (default: the small ones)
            --adapter NAME[,NAME]   where to ask (default cpu)
            -o DIR                  where to work (default target/shapes)
  golden  write the reference files of tests/golden again (Python, PyTorch)
  training  the tests of what trains the toybox (Python, PyTorch)
  pictures  read generated pictures of every format with mqt and with Pillow, and compare (Python)
            --seed N                other pictures (default 1)
            --per-format N          how many of each format (default 500)
            --format NAME           only this format: jpeg png gif webp bmp other
            --refusals              also list what is refused, and what only mqt reads
            --write-fixed           write tests/golden/field again instead
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match task(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(args: &[String]) -> Result<()> {
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", args),
    };
    match task {
        "test" => test::run(rest),
        "golden" => python::golden(rest),
        "pictures" => pictures::run(rest),
        "synth" => synth::run(rest),
        "shapes" => shapes::run(rest),
        "web" if rest == ["--page"] => web::page().map(|_| ()),
        "targets" => targets::run(rest),
        "www" => www::run(rest),
        _ if !rest.is_empty() => {
            bail!("`cargo xtask {task}` takes no arguments, got {}", rest.join(" "))
        }
        "setup" => setup::run(&setup::Needs::all()),
        "training" => python::training(),
        "types" => types::run(),
        "api" => api::run(),
        "web" => web::run().map(|_| ()),
        "package" => package::run(),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no task {other}\n\n{HELP}"),
    }
}
