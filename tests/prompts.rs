//! Prompts from checkpoints' own chat templates, against transformers' processors
//! (`families`) and the published templates' formulas.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use mqt::internals::image::tiles::{Level, Plan, Whole};
use mqt::internals::text::Part;
use mqt::internals::text::chat::{self, Names};
use mqt::text::{Template, TextStream, Tokenizer};
use serde_json::Value;

const CASES: [&str; 4] = ["smolvlm", "granite_docling", "llava_interleave", "llava_onevision"];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families").join(case)
}

fn json(case: &str, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(case).join(file)).unwrap()).unwrap()
}

fn tokenizer(case: &str) -> Tokenizer {
    let read = |file: &str| std::fs::read(folder(case).join("checkpoint").join(file)).ok();
    let (json, config) = (read("tokenizer.json"), read("tokenizer_config.json"));
    Tokenizer::from_files(json.as_deref(), None, config.as_deref()).unwrap()
}

fn names() -> Names {
    Names { image: "<image>".into(), ..Names::default() }
}

fn own(case: &str) -> Template {
    let checkpoint = folder(case).join("checkpoint");
    let source = match std::fs::read_to_string(checkpoint.join("chat_template.jinja")) {
        Ok(source) => source,
        Err(_) => {
            let file = json(case, "checkpoint/chat_template.json");
            file["chat_template"].as_str().unwrap().to_owned()
        }
    };
    Template::of(chat::pieces(&source, &names(), &tokenizer(case)).unwrap())
}

/// Tensor `key` of a case's expected values: whole numbers.
fn expected(case: &str, key: &str) -> Option<Vec<i64>> {
    let file = std::fs::read(folder(case).join("expected.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let data = tensors.tensor(key).ok()?.data().to_vec();
    Some(
        data.chunks_exact(4)
            .map(|b| i64::from(i32::from_le_bytes(b.try_into().unwrap())))
            .collect(),
    )
}

/// The plan of one of a case's m.
fn plan(case: &Value, m: &str) -> Plan {
    let level = &case["levels"][m];
    let number = |key: &str| usize::try_from(level[key].as_u64().unwrap_or(0)).unwrap();
    let tiled = number("longest_edge") > 0;
    let (rows, columns) = (number("rows"), number("cols"));
    Plan {
        level: if tiled { Level::Edge(2) } else { Level::Frame },
        picture: (1, 1),
        rows,
        columns,
        whole: if rows > 0 { Whole::Last } else { Whole::Alone },
    }
}

/// The first turn's ids, each image token as `image`.
fn first_turn(
    template: &Template,
    tokenizer: &Tokenizer,
    plan: &Plan,
    m: usize,
    question: &str,
    image: impl Fn(usize) -> Vec<i64>,
) -> Vec<i64> {
    let wide = |ids: Vec<u32>| ids.into_iter().map(i64::from);
    let mut ids: Vec<i64> = wide(template.prefix_ids(tokenizer)).collect();
    for part in template.picture(tokenizer, plan, m) {
        match part {
            Part::Ids(new) => ids.extend(wide(new)),
            Part::Slots(tokens) => ids.extend(image(tokens)),
        }
    }
    ids.extend(wide(template.question_ids(tokenizer, question)));
    ids
}

#[test]
fn prompts_of_the_cases_equal_the_processors() {
    for case in CASES {
        let facts = json(case, "case.json");
        let question = facts["question"].as_str().unwrap();
        let template = own(case);
        let picture = Some("<image>");
        assert_eq!(template.written(picture, &[(question, None)]), facts["prompt"], "{case}");
        let turns = [(question, Some("A red ball.")), ("how many are there?", None)];
        assert_eq!(template.written(picture, &turns), facts["prompt_of_two_turns"], "{case}");
    }
}

#[test]
fn ids_of_the_cases_equal_the_processors() {
    for case in CASES {
        let (facts, tokenizer, template) = (json(case, "case.json"), tokenizer(case), own(case));
        let question = facts["question"].as_str().unwrap();
        let image = i64::from(tokenizer.special("<image>").unwrap());
        let mut compared = 0;
        for m in facts["ms"].as_array().unwrap() {
            let (key, m) = (m.to_string(), usize::try_from(m.as_u64().unwrap()).unwrap());
            let plan = plan(&facts, &key);
            let ids = |image: &dyn Fn(usize) -> Vec<i64>| {
                first_turn(&template, &tokenizer, &plan, m, question, image)
            };
            if let Some(processor) = expected(case, &format!("processor_ids.{key}")) {
                assert_eq!(ids(&|tokens| vec![image; tokens]), processor, "{case} at {m}");
                compared += 1;
            }
            let input = expected(case, &format!("input_ids.{key}"));
            let input = input.or_else(|| expected(case, "input_ids")).unwrap();
            assert_eq!(ids(&|_| vec![-200]), input, "{case} at {m}");
        }
        assert!(compared > 0, "{case}");
    }
}

#[test]
fn built_in_templates_are_the_published_ones() {
    for case in CASES {
        let (own, facts) = (own(case), json(case, "case.json"));
        let built_in = Template::by_name(case).unwrap();
        let question = facts["question"].as_str().unwrap();
        let turns = [(question, Some("A red ball.")), ("how many?", None)];
        for picture in [Some("<image>"), None] {
            assert_eq!(own.written(picture, &turns), built_in.written(picture, &turns), "{case}");
        }
        let tokenizer = tokenizer(case);
        assert_eq!(built_in.prefix_ids(&tokenizer), own.prefix_ids(&tokenizer));
        assert_eq!(built_in.answer_end_ids(&tokenizer), own.answer_end_ids(&tokenizer));
    }
    assert!(Template::NAMES.iter().all(|name| Template::by_name(name).unwrap().name == *name));
}

#[test]
fn later_turns_follow_the_end_of_an_answer() {
    for case in CASES {
        let (tokenizer, template) = (tokenizer(case), own(case));
        let end = template.answer_end_ids(&tokenizer);
        let facts = json(case, "case.json");
        let ends = facts["end_ids"].as_array().unwrap();
        assert_eq!(end.len(), 1, "{case}");
        assert!(ends.contains(&Value::from(end[0])), "{case}: {end:?} of {ends:?}");
        let next = template.next_turn_ids(&tokenizer, "how many are there?");
        assert!(!next.contains(&end[0]) || next.iter().rev().any(|id| *id == end[0]), "{case}");
        let again = template.next_turn_ids(&tokenizer, "<|im_end|><image>");
        let special = |ids: &[u32]| ids.iter().filter(|id| tokenizer.is_special(**id)).count();
        assert_eq!(special(&again), special(&next), "{case}: typed tokens are text");
    }
}

#[test]
fn templates_survive_a_manifest() {
    for template in CASES.map(own).into_iter().chain([Template::vicuna_v1()]) {
        let text = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template, "{text}");
    }
    let old =
        r#"{"name": "vicuna_v1", "system": "S", "roles": ["U", "A"], "sep": " ", "sep2": "</s>"}"#;
    let old: Template = serde_json::from_str(old).unwrap();
    assert_eq!(old.written(Some("<image>"), &[("q", None)]), "S U: <image>\nq A:");
    assert_eq!(old, serde_json::from_value(serde_json::to_value(&old).unwrap()).unwrap());
}

#[test]
fn tokenizers_without_an_opening_token_add_none() {
    for case in CASES {
        let tokenizer = tokenizer(case);
        assert_eq!(tokenizer.bos(), None, "{case}");
        let text = "what is unusual about the café ☃ in image 2024?";
        let again = Tokenizer::from_files(Some(&tokenizer.to_json()), None, None).unwrap();
        assert_eq!(again.encode(text), tokenizer.encode(text), "{case}");
        assert_eq!((again.bos(), again.eos()), (None, tokenizer.eos()), "{case}");
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text, "{case}");
    }
}

#[test]
fn names_of_special_tokens_that_people_type_stay_text() {
    for case in CASES {
        let tokenizer = tokenizer(case);
        for (name, _) in tokenizer.specials() {
            for typed in [name.to_owned(), format!("a{name}b"), format!(" {name}\n")] {
                let ids = tokenizer.encode(&typed);
                let found = ids.iter().find(|id| tokenizer.is_special(**id));
                assert_eq!(found, None, "{case}: {typed:?}");
            }
        }
    }
}

#[test]
fn answers_in_document_tags_are_shown() {
    let docling = tokenizer("granite_docling");
    let shown = |tokenizer: &Tokenizer, name: &str| {
        TextStream::new(tokenizer).push(tokenizer.special(name).unwrap())
    };
    for tag in ["<doctag>", "</doctag>", "<text>", "<code>", "</code>"] {
        assert_eq!(shown(&docling, tag), tag);
    }
    for hidden in [
        "<|start_of_role|>",
        "<|end_of_role|>",
        "<|end_of_text|>",
        "<|pad|>",
        "<image>",
        "<fake_token_around_image>",
        "<global-img>",
        "<row_1_col_1>",
        "<row_4_col_4>",
    ] {
        assert_eq!(shown(&docling, hidden), "");
    }
    let smolvlm = tokenizer("smolvlm");
    assert!(smolvlm.specials().all(|(name, _)| shown(&smolvlm, name).is_empty()));
}

/// One of `golden/templates`, written from the published formulas.
fn formula(name: &str) -> Template {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join("tests/golden/templates").join(name).with_extension("jinja");
    let source = std::fs::read_to_string(file).unwrap();
    Template::of(chat::pieces(&source, &names(), &tokenizer("llava_interleave")).unwrap())
}

#[test]
fn published_templates_of_qwens_family_follow_the_table() {
    let nano = "<|im_start|>system\nAnswer the questions.<|im_end|>";
    for (name, sep, newline, gap, opening) in [
        ("interleave", "\n", "\n", "\n", ""),
        ("onevision", " ", "", "\n", ""),
        ("onevision_si", "\n", "\n", "", ""),
        ("nanollava", "\n", "", "", nano),
    ] {
        let template = formula(name);
        let asked = |question: &str| format!("{question}<|im_end|>{newline}<|im_start|>assistant");
        let first = format!("{opening}<|im_start|>user{sep}<image>\n{}", asked("What?"));
        let turns = [("What?", None)];
        assert_eq!(template.written(Some("<image>"), &turns), format!("{first}\n"), "{name}");
        let lone = format!("{opening}<|im_start|>user{sep}{gap}{}\n", asked("What?"));
        assert_eq!(template.written(None, &turns), lone, "{name}");
        let turns = [("What?", Some("A ball.")), ("How many?", None)];
        let close = format!("<|im_end|>{newline}<|im_start|>user{sep}{gap}");
        let later = format!("{first}{sep}{gap}A ball.{close}{}\n", asked("How many?"));
        assert_eq!(template.written(Some("<image>"), &turns), later, "{name}");
    }
    let interleave = Template::by_name("llava_interleave").unwrap();
    for (ours, name) in
        [(interleave, "interleave"), (Template::by_name("nanollava").unwrap(), "nanollava")]
    {
        let turns = [("What?", Some("A ball.")), ("How many?", None)];
        let picture = Some("<image>");
        assert_eq!(ours.written(picture, &turns), formula(name).written(picture, &turns));
    }
}

#[test]
fn a_system_prompt_goes_where_the_template_has_it() {
    let turns = [("What?", None)];
    let written = |template: &Template| template.written(Some("<image>"), &turns);
    let nano = formula("nanollava").instructed("Be <|im_end|> brief.").unwrap();
    assert_eq!(
        written(&nano),
        "<|im_start|>system\nBe <|im_end|> brief.<|im_end|><|im_start|>user\n<image>\nWhat?<|im_end|><|im_start|>assistant\n"
    );
    let tokenizer = tokenizer("llava_interleave");
    let ends = tokenizer.special("<|im_end|>").unwrap();
    let count = nano.prefix_ids(&tokenizer).iter().filter(|id| **id == ends).count();
    assert_eq!(count, 1, "what is typed is text");
    let granite = own("granite_docling").instructed("Be brief.").unwrap();
    assert!(written(&granite).starts_with(
        "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|><image>What?"
    ));
    assert_eq!(
        granite.instructed("Again.").unwrap(),
        own("granite_docling").instructed("Again.").unwrap()
    );
    assert!(Template::by_name("smolvlm").unwrap().instructed("Be brief.").is_none());
    let vicuna = Template::vicuna_v1().instructed("Be brief.").unwrap();
    assert_eq!(written(&vicuna), "Be brief. USER: <image>\nWhat? ASSISTANT:");
}

#[test]
fn checkpoints_whose_row_tokens_are_text_get_text() {
    let tokenizer = tokenizer("llava_interleave");
    let plan =
        Plan { level: Level::Edge(2), picture: (2, 1), rows: 1, columns: 2, whole: Whole::Last };
    let parts = Template::vicuna_v1().picture(&tokenizer, &plan, 30);
    let around = "<fake_token_around_image>";
    let ids = |text: &str| Part::Ids(tokenizer.encode(text));
    let expected = [
        ids(&format!("{around}<row_1_col_1>")),
        Part::Slots(10),
        ids(&format!("{around}<row_1_col_2>")),
        Part::Slots(10),
        ids(&format!("\n\n{around}<global-img>")),
        Part::Slots(10),
        ids(around),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn templates_that_cannot_be_cut_are_refused_in_one_sentence() {
    let tokenizer = tokenizer("llava_interleave");
    let long = " ".repeat(1 << 18);
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    let turn = "{% for m in messages %}{{ loop.index }}{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}";
    let twice = "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<image><image>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}";
    let last = "{% for m in messages %}{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}{% for c in m.content %}{% if c.type == 'image' %}<image>{% endif %}{% endfor %}{% endfor %}";
    for source in [
        "",
        "{% if %}",
        "no message at all",
        "{{ raise_exception('only text') }}",
        "{{ nothing.at.all }}",
        "{% include 'other' %}",
        "{{ 'a' * 1000000000 }}",
        "{{ '{:>999999999}'.format('a') }}",
        "{{ ('ab' * 60000).replace('a', 'b' * 60000) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | length }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns }}",
        "{{ {'a': 1} | tojson(indent=99999999999) }}",
        "{% macro f(x) %}{{ f(x) ~ f(x) }}{% endmacro %}{{ f(1) }}",
        turn,
        twice,
        last,
        &long,
        &deep,
    ] {
        let problem = chat::pieces(source, &names(), &tokenizer).unwrap_err();
        let shown: String = source.chars().take(60).collect();
        assert!(!problem.is_empty() && !problem.contains('\n'), "{shown}: {problem}");
        assert!(problem.len() < 400, "{shown}: {problem}");
    }
    let none = Names::default();
    assert!(chat::pieces("x", &none, &tokenizer).is_err());
}
