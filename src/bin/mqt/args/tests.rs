//! What the command line takes and what it refuses.

use super::*;
use clap::CommandFactory;

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
    let request = args.answer.request("what?", args.budget.budget());
    assert_eq!((request.sampling, request.max_new_tokens), (Sampling::default(), 512));
    assert_eq!(args.model.adapter, AdapterChoice::Auto);
    assert_eq!((args.model.weights, args.model.context, args.model.arithmetic.is_none()), (None, None, true));
}

#[test]
fn every_flag_of_ask() {
    let line = "mqt ask a.png b.png -q what? -m 16 --model dir --weights q8 --adapter llvm --context 99 --max-new-tokens 7 \
                --arithmetic exact --temperature 0.5 --top-p 0.9 --top-k 3 --repetition-penalty 1.1 --seed 5 --stop a --stop b --json --quiet";
    let args = ask(line);
    let request = args.answer.request("what?", args.budget.budget());
    assert_eq!(request.budget, Budget::Fixed(16));
    assert_eq!(request.sampling, Sampling { temperature: 0.5, top_p: 0.9, top_k: 3, repetition_penalty: 1.1, seed: 5 });
    assert_eq!((request.max_new_tokens, request.stop), (7, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((args.model.weights, args.model.context), (Some(Weights::Q8), Some(99)));
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
        "mqt ask a.png x --weights q5",
        "mqt ask a.png x --arithmetic slow",
        "mqt compare a.png x --tokens 2,x",
        "mqt trace a.png x -m 2",
        "mqt trace a.png x -o a",
        "mqt convert a -o b --weights f32",
        "mqt frobnicate",
    ];
    for line in wrong {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn urls_are_no_models() {
    assert_eq!(source(Some(&PathBuf::from("https://example.org/m"))).unwrap_err().code, 2);
}
