//! What the command line takes and what it refuses.

use super::*;
use clap::CommandFactory;
use clap::error::ErrorKind;
use mqt::Sampling;
use mqt::budget::Budget;
use mqt::defaults;
use mqt::gpu::AdapterChoice;

fn parse(line: &str) -> std::result::Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split(' '))
}

fn ask(line: &str) -> AskArgs {
    match parse(line).unwrap().command {
        Command::Ask(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn defaults() {
    let args = ask("mqt ask a.png what?");
    assert_eq!(args.budget.budget(), Budget::default());
    let request = args.answer.request("what?", args.budget.budget(), &toybox());
    assert_eq!(
        (request.sampling, request.max_new_tokens),
        (Sampling::default(), defaults::MAX_NEW_TOKENS)
    );
    assert_eq!(args.model.adapter, AdapterChoice::Auto);
    assert_eq!(
        (args.model.weights, args.model.context, args.model.arithmetic.is_none()),
        (None, None, true)
    );
}

/// Some defaults depend on the model, so their words stand in the help.
#[test]
fn the_help_names_the_defaults() {
    let help = |name: &str| {
        let mut command = Arguments::command();
        let found = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let context = format!("[default: as many as needed, at least {}", defaults::CONTEXT);
    let [most, documents] = [defaults::MAX_NEW_TOKENS, defaults::DOCUMENT_TOKENS];
    let answer = format!("[default: {most}, or {documents} for models that write documents]");
    for words in [context, answer] {
        assert!(help("ask").contains(&words), "{}", help("ask"));
    }
    let ladder = defaults::LADDER.map(|m| m.to_string()).join(",");
    assert!(help("compare").contains(&format!("the ladder {ladder} up")), "{}", help("compare"));
}

#[test]
fn every_flag_of_ask() {
    let line = "mqt ask a.png b.png -q what? -m 16 --model dir --weights q8 --adapter llvm --context 99 --max-new-tokens 7 \
                --arithmetic exact --temperature 0.5 --top-p 0.9 --top-k 3 --repetition-penalty 1.1 --seed 5 --stop a --stop b --json --quiet";
    let args = ask(line);
    let request = args.answer.request("what?", args.budget.budget(), &toybox());
    assert_eq!(request.budget, Budget::Fixed(16));
    assert_eq!(
        request.sampling,
        Sampling { temperature: 0.5, top_p: 0.9, top_k: 3, repetition_penalty: 1.1, seed: 5 }
    );
    assert_eq!((request.max_new_tokens, request.stop), (7, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(
        (args.model.weights, args.model.context),
        (Some(mqt::model::Weights::Q8.into()), Some(99))
    );
    assert_eq!(args.model.adapter, AdapterChoice::Named("llvm".into()));
    assert_eq!(args.words.len(), 2);
    assert_eq!(ask("mqt ask - x --draft 2 --refine 8").refine, Some(8));
}

#[test]
fn usage_errors() {
    let wrong = [
        "mqt",
        "mqt ask",
        "mqt ask a.png x -m abc",
        "mqt ask a.png x -m -1",
        "mqt ask a.png x -m 1.5",
        "mqt ask a.png x --draft 2",
        "mqt ask a.png x --refine 2",
        "mqt ask a.png x --draft 2 --refine 4 -m 3",
        "mqt ask a.png x --temperature -1",
        "mqt ask a.png x --temperature nan",
        "mqt ask a.png x --top-p 0",
        "mqt ask a.png x --top-p 1.1",
        "mqt ask a.png x --max-new-tokens 0",
        "mqt ask a.png x --weights q6",
        "mqt ask a.png x --arithmetic slow",
        "mqt compare a.png x --tokens 2,x",
        "mqt trace a.png x -m 2",
        "mqt trace a.png x -o a",
        "mqt convert a -o b --weights q3",
        "mqt frobnicate",
    ];
    for line in wrong {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

/// Every flag that takes a number, with what no such flag can mean: one sentence and exit code 2.
#[test]
fn numbers_without_sense() {
    let flags = [
        ("ask a.png x", "--target-ms", &["0", "86400001", "nan", "inf", "-inf", "1e300"][..]),
        ("ask a.png x", "--temperature", &["nan", "inf", "-inf", "-nan", "100.5", "1e300", "-0.1"]),
        ("ask a.png x", "--top-p", &["0", "1.01", "nan", "inf", "1e300", "1e-50"]),
        ("ask a.png x", "--top-k", &["4294967296", "1.5", "nan", "1e3"]),
        (
            "ask a.png x",
            "--repetition-penalty",
            &["0", "0.001", "101", "nan", "inf", "1e-45", "1e300"],
        ),
        ("ask a.png x", "--seed", &["18446744073709551616", "1.5", "nan"]),
        ("ask a.png x", "--max-new-tokens", &["0", "4294967296", "1.5", "nan"]),
        ("ask a.png x", "--context", &["18446744073709551616", "4294967296", "nan", "1.5"]),
        ("ask a.png x", "-m", &["18446744073709551616", "nan", "1.5", "1e3"]),
        ("ask a.png x --refine 4", "--draft", &["18446744073709551616", "nan", "1.5"]),
        ("compare a.png x", "--tokens", &["2,nan", "2,,4", "1e3", "18446744073709551616"]),
        ("eval q.jsonl --images . -o a", "--tokens", &["2,nan", "2,,4", "1e3"]),
        (
            "eval q.jsonl --images . -o a",
            "--shard",
            &["0/1", "2/1", "1/0", "nan/1", "1e3/2", "1/18446744073709551616"],
        ),
        ("attention a.png -o a", "-m", &["nan", "1.5"]),
        ("trace a.png x -o a", "-m", &["nan", "1.5"]),
        ("pull a/b", "--timeout", &["0", "86401", "nan", "inf", "1e300"]),
        ("convert a -o b", "--shard-bytes", &["nan", "1.5", "18446744073709551616"]),
        ("bench", "--tokens", &["0", "4294967296", "nan", "2,,4"]),
        ("bench", "--contexts", &["0", "4294967296", "nan"]),
        ("bench", "--prefill", &["0", "4294967296", "nan"]),
        ("bench", "--batches", &["0", "4294967296", "nan"]),
        ("bench", "--patience", &["0", "86401", "nan", "inf", "1e300"]),
    ];
    for (command, flag, values) in flags {
        for value in values.iter().chain(&[
            "-1",
            "-inf",
            "--json",
            "",
            "x",
            "0x10",
            "1_000",
            "-99999999999999999999",
        ]) {
            let words = ["mqt"].into_iter().chain(command.split(' ')).chain([flag, *value]);
            let error = Arguments::try_parse_from(words)
                .err()
                .unwrap_or_else(|| panic!("{command} {flag} {value:?}"));
            assert!(
                matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue),
                "{command} {flag} {value:?}: {error}"
            );
            assert!(
                error.exit_code() == 2
                    && error.to_string().contains(if flag == "-m" { "--tokens" } else { flag }),
                "{error}"
            );
        }
    }
}

#[test]
fn urls_are_no_models() {
    assert_eq!(source(Some(&PathBuf::from("https://example.org/m"))).unwrap_err().code, 2);
}

fn toybox() -> mqt::Config {
    mqt::internals::config::shapes::named("toybox").unwrap()
}
