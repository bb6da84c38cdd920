//! Which device answers where nobody says: never a software driver that was not measured.

use crate::common::{Mqt, adapters, mqt, picture, text};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Whether every adapter here is a software one, and there is one.
fn only_software() -> bool {
    let all = pollster::block_on(mqt::gpu::adapters());
    !all.is_empty() && all.iter().all(mqt::gpu::AdapterInfo::is_software)
}

fn ask(cache: &Path, more: &[&str]) -> Mqt {
    let picture = picture("blobs.png");
    mqt(["ask", &picture, "What is this?", "--json"].iter().chain(more).copied())
        .env("MQT_CACHE", &text(cache))
}

/// Changes what is remembered about devices whose key contains `device`: all takes so many times as
/// long.
fn slow_down(cache: &Path, device: &str, times: f64) {
    let path = cache.join("kernels.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, learned) in value["adapters"].as_object_mut().unwrap() {
        if !key.contains(device) {
            continue;
        }
        for speed in learned["speeds"].as_object_mut().unwrap().values_mut() {
            for ms in speed.as_object_mut().unwrap().values_mut().filter(|ms| ms.is_f64()) {
                *ms = (ms.as_f64().unwrap() * times).into();
            }
        }
    }
    fs::write(&path, value.to_string()).unwrap();
}

#[test]
fn a_software_driver_answers_once_it_was_measured_to_be_faster() {
    if !only_software() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let auto = || {
        let done = ask(folder.path(), &["--adapter", "auto"]).ok();
        (done.record()["adapter"]["kind"].as_str().unwrap().to_owned(), done.stderr)
    };
    // Also the second time: the processor's speed alone decides nothing.
    for _ in 0..2 {
        let (kind, said) = auto();
        assert_eq!((kind.as_str(), said.lines().count()), ("cpu", 1), "{said}");
        assert!(said.contains("software driver and was not measured yet"), "{said}");
    }
    // Forced, it is measured, and nothing has to be explained.
    let forced = ask(folder.path(), &["--adapter", "gpu"]).ok();
    assert_eq!(forced.record()["adapter"]["kind"], "software", "{forced:#?}");
    assert_eq!(forced.stderr, "");
    slow_down(folder.path(), "cpu", 1e4);
    let (kind, said) = auto();
    assert_eq!((kind.as_str(), said.lines().count()), ("software", 1), "{said}");
    assert!(said.contains("faster here than CPU"), "{said}");
    slow_down(folder.path(), "vulkan", 1e8);
    let (kind, said) = auto();
    assert_eq!((kind.as_str(), said.lines().count()), ("cpu", 1), "{said}");
    assert!(said.contains("note: CPU: ") && said.contains("× faster here than "), "{said}");
    // `--quiet` leaves nothing of it.
    assert_eq!(ask(folder.path(), &["--adapter", "auto", "--quiet"]).ok().stderr, "");
}

#[test]
fn the_environment_names_an_adapter_and_the_flag_another() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |run: Mqt| run.ok().record()["adapter"]["kind"].as_str().unwrap().to_owned();
    assert_eq!(kind(ask(folder.path(), &[]).env("MQT_ADAPTER", "cpu")), "cpu");
    ask(folder.path(), &[]).env("MQT_ADAPTER", "voodoo").run().refused(4, "voodoo");
    let gpu = *adapters().last().unwrap();
    let asked = ask(folder.path(), &["--adapter", gpu]).env("MQT_ADAPTER", "cpu");
    assert_eq!(kind(asked) == "cpu", gpu == "cpu");
}

/// As where nobody has logged in at a screen.
#[cfg(target_os = "linux")]
#[test]
fn drivers_print_nothing_on_stderr() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqt"));
    command.args(["doctor", "--no-self-test", "--adapter", "cpu", "--json"]);
    let folder = tempfile::tempdir().unwrap();
    command.env("MQT_CACHE", folder.path());
    for value in [None, Some(""), Some("relative")] {
        match value {
            Some(value) => command.env("XDG_RUNTIME_DIR", value),
            None => command.env_remove("XDG_RUNTIME_DIR"),
        };
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{value:?}");
        assert!(output.status.success());
    }
}

#[test]
fn the_doctor_compiles_for_no_software_driver_that_was_not_measured() {
    if !only_software() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let doctor = |more: &[&str]| {
        mqt(["doctor"].iter().chain(more).copied()).env("MQT_CACHE", &text(folder.path())).ok()
    };
    let report = doctor(&["--json", "--adapter", "auto"]).record();
    assert_eq!(report["adapter"]["kind"], "cpu", "{report}");
    assert!(report["reason"].as_str().unwrap().contains("was not measured yet"), "{report}");
    let devices = report["devices"].as_array().unwrap();
    assert_eq!(devices.last().unwrap()["kind"], "cpu", "{report}");
    assert_eq!(devices[0]["answer_ms"], Value::Null, "{report}");
    assert!(report["memory_bytes"].is_null() || report["memory_bytes"].as_u64() > Some(1 << 20));
    let shown = doctor(&["--adapter", "auto"]).stdout;
    assert!(shown.contains("not measured yet") && shown.contains("used: cpu"), "{shown}");
    // Asked for by name, some kernels are tested; the model would have to compile all of its own.
    let report = doctor(&["--json", "--adapter", "gpu"]).record();
    let test = &report["self_test"];
    assert!(test["cases"].as_u64() >= Some(1) && test["cases"] == test["ok"], "{report}");
    assert!(test["of"].as_u64() >= Some(19), "{report}");
    assert_eq!((&report["model"], &report["reason"]), (&Value::Null, &"asked for".into()));
}
