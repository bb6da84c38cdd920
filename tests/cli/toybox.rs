//! The bundled model: it answers right from any folder, and the same on every adapter.

use crate::common::{adapters, mqt, picture, text, words};
use serde_json::Value;
use std::path::Path;

#[test]
fn the_doctor_finds_everything_right() {
    for adapter in adapters() {
        // What was measured lets the doctor ask the model there.
        let (folder, picture) = (tempfile::tempdir().unwrap(), picture("blobs.png"));
        let cache = text(folder.path());
        let run = |line: Vec<&str>| mqt(line).env("MQT_CACHE", &cache).ok();
        run(vec!["ask", &picture, "What is this?", "--adapter", adapter]);
        let report = run(vec!["doctor", "--json", "--adapter", adapter]).record();
        assert_eq!(
            (&report["schema"], &report["usable"]),
            (&"mqt.doctor/1".into(), &true.into()),
            "{report}"
        );
        assert_eq!(
            (&report["problems"], &report["model"]["right"]),
            (&Value::Array(Vec::new()), &true.into()),
            "{report}"
        );
        let test = &report["self_test"];
        if adapter == "cpu" {
            assert_eq!(
                (&report["adapter"]["kind"], test),
                (&"cpu".into(), &Value::Null),
                "{report}"
            );
        } else {
            assert!(test["cases"].as_u64().unwrap() > 0 && test["cases"] == test["ok"], "{report}");
            assert!(report["limits"]["maxBufferSize"].as_u64().unwrap() >= 1 << 28, "{report}");
        }
        let done = run(vec!["doctor", "--no-self-test", "--adapter", adapter]);
        assert!(
            done.stdout.ends_with("mqt works here\n") && !done.stdout.contains("kernels:"),
            "{done:#?}"
        );
    }
}

#[test]
fn kernels_that_were_measured_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (path, cache) = (folder.path().join("kernels.json"), text(folder.path()));
    let doctor =
        || mqt(["doctor", "--no-self-test", "--json"]).env("MQT_CACHE", &cache).ok().record();
    let adapter = doctor()["adapter"].clone();
    let field = |name: &str| adapter[name].as_str().unwrap().to_owned();
    let key = format!("{} · {} · {}", field("backend"), field("name"), field("driver"));
    let kernels = serde_json::json!({ "attention": "groups" });
    let remembered = |schema: &str, version: &str| {
        let learned =
            serde_json::json!({ "variants": kernels, "pipelines": { "fast 0123456789ab": 25 } });
        serde_json::json!({ "schema": schema, "version": version, "adapters": { &key: learned } })
            .to_string()
    };
    let (schema, version) = ("mqt.kernels/2", env!("CARGO_PKG_VERSION"));
    std::fs::write(&path, remembered(schema, version)).unwrap();
    let known = if adapter["kind"] == "cpu" { serde_json::json!({}) } else { kernels.clone() };
    assert_eq!(doctor()["kernels"], known);
    for stale in
        [remembered(schema, "0.0.0"), remembered("mqt.kernels/1", version), "{".into(), "[]".into()]
    {
        std::fs::write(&path, stale).unwrap();
        assert_eq!(doctor()["kernels"], serde_json::json!({}));
    }
}

#[test]
fn it_travels_inside_the_program() {
    let folder = tempfile::tempdir().unwrap();
    for adapter in adapters() {
        let picture = picture("blobs.png");
        let done = mqt(words("ask --adapter", &[adapter, &picture, "What is this?"]))
            .folder(folder.path())
            .ok();
        assert!(!done.stdout.trim().is_empty(), "{done:#?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:#?}");
    }
    let record = mqt(["inspect", "--json"]).folder(folder.path()).ok().record();
    assert_eq!((&record["name"], &record["weights"]), (&"toybox".into(), &"q8".into()), "{record}");
}

/// As where no graphics driver is installed.
#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_the_processor_answers() {
    let picture = picture("blobs.png");
    let run = |line: &[&str]| {
        mqt(line).env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere").run()
    };
    let done = run(&["ask", &picture, "What is this?", "--json", "--adapter", "auto"]);
    assert_eq!((done.code, &done.record()["adapter"]["kind"]), (0, &"cpu".into()), "{done:#?}");
    assert!(done.stderr.contains("note: CPU: no usable graphics adapter"), "{done:#?}");
    run(&["ask", &picture, "What is this?", "--adapter", "llvmpipe"]).refused(4, "available: cpu");
    run(&["ask", &picture, "What is this?", "--adapter", "gpu"]).refused(4, "available: cpu");
    assert_eq!(run(&["doctor", "--adapter", "auto"]).code, 0);
}

/// With exact arithmetic, for every format of the weights and every step of the ladder.
#[test]
fn answers_do_not_depend_on_the_adapter() {
    let model = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/checkpoint"));
    for weights in ["f32", "f16", "q8", "q4"] {
        for (name, question) in
            [("blobs.png", "What is this?"), ("wide.png", "How many squares are there?")]
        {
            let picture = picture(name);
            let answers = |adapter: &str| {
                let line = words(
                    "compare --json --arithmetic exact",
                    &[
                        &picture,
                        question,
                        "--model",
                        &model,
                        "--weights",
                        weights,
                        "--adapter",
                        adapter,
                    ],
                );
                let records = mqt(line).ok().records();
                records
                    .iter()
                    .map(|record| (record["image_tokens"].clone(), record["token_ids"].clone()))
                    .collect::<Vec<_>>()
            };
            let all: Vec<_> = adapters().into_iter().map(answers).collect();
            assert!(all[0].len() > 3, "the ladder has steps: {:?}", all[0]);
            assert!(all.iter().all(|one| *one == all[0]), "{weights} {name}: {all:#?}");
        }
    }
}
