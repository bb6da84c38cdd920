//! `mqt`, the command line: parse, call the library, print, exit code. One file per command.
//!
//! Answers go to stdout, everything else to stderr.

mod address;
mod advice;
mod answer;
mod args;
mod ask;
mod attention;
mod batch;
mod bench;
mod cache;
mod camera;
mod chat;
mod choices;
mod compare;
mod console;
mod conversation;
mod convert;
mod devices;
mod disk;
mod doctor;
mod download;
mod drivers;
mod eval;
mod exact;
mod failure;
mod fetch;
mod folder;
mod form;
mod frames;
mod help;
mod images;
mod inspect;
mod interrupt;
mod journal;
mod known;
mod ledger;
mod lines;
mod lock;
mod memory;
mod models;
mod output;
mod picture;
mod pictures;
mod plot;
mod processor;
mod pull;
mod pulled;
mod score;
mod serve;
mod sources;
mod target;
mod trace;
mod typed;
mod words;

use args::{Arguments, Command};
use clap::Parser;
use clap::error::ErrorKind;
use console::Console;
use interrupt::Interrupt;
use mqt::internals::untrusted;
use std::process::ExitCode;

fn main() -> ExitCode {
    drivers::keep_quiet();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let console = Console::new(arguments.quiet);
    let ready = arguments.processor.apply().and_then(|()| Interrupt::install());
    let done = ready.and_then(|_| match arguments.command {
        Command::Ask(args) => ask::run(args, &console),
        Command::Chat(args) => chat::run(args, &console),
        Command::Compare(args) => compare::run(args, &console),
        Command::Attention(args) => attention::run(args, &console),
        Command::Trace(args) => trace::run(args, &console),
        Command::Eval(args) => eval::run(args, &console),
        Command::Serve(args) => serve::run(args, &console),
        Command::Convert(args) => convert::run(args, &console),
        Command::Verify(args) => convert::verify(args, &console),
        Command::Pull(args) => pull::run(args, &console),
        Command::Cache(command) => cache::run(command, &console),
        Command::Inspect(args) => inspect::run(args),
        Command::Bench(args) => bench::run(args, &console),
        Command::Models(args) => models::run(&args),
        Command::Doctor(args) => doctor::run(args, &console),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = &failure.message {
                console.error(message);
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Prints help where it was asked for, and what is wrong with the arguments otherwise; a wrong
/// value in one sentence.
fn refuse(error: &clap::Error) -> ExitCode {
    let steers = |text: &str| untrusted::shown(text) != text;
    let text = error.to_string();
    if matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        let sentence: Vec<&str> =
            text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
        Console::new(true).error(sentence.join(" ").trim_start_matches("error: "));
    } else if error.use_stderr()
        && std::env::args_os().any(|argument| steers(&argument.to_string_lossy()))
    {
        // It may repeat an argument that would steer the terminal, so it comes without paint of its
        // own.
        Console::new(false).line(text.trim_end());
    } else {
        // A closed stdout or stderr leaves nobody to tell.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
