//! Which items of the Rust TypeScript knows, by file.

/// What each kind of item becomes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum As {
    /// What the package returns: every field is there.
    Record,
    /// What it takes: every field may be left out.
    Settings,
}

/// Names in Rust, and in TypeScript.
pub(super) type Names = &'static [(&'static str, &'static str)];

/// The items, by file.
pub(super) const ITEMS: &[(&str, As, Names)] = &[
    ("src/error/code.rs", As::Record, &[("Facts", "Facts")]),
    ("src/budget.rs", As::Record, &[("Mode", "ImageTokensMode"), ("Speed", "Speed")]),
    ("src/select.rs", As::Record, &[("Select", "Select")]),
    ("src/model/slot.rs", As::Record, &[("Arithmetic", "Arithmetic")]),
    (
        "src/session/record.rs",
        As::Record,
        &[
            ("Answer", "Answer"),
            ("AnswerImage", "AnswerImage"),
            ("FinishReason", "FinishReason"),
            ("Timings", "Timings"),
            ("AnswerAdapter", "AnswerAdapter"),
            ("AnswerModel", "AnswerModel"),
            ("Turn", "Turn"),
            ("Estimate", "Estimate"),
        ],
    ),
    ("src/session/looked_at.rs", As::Record, &[("LookedAt", "LookedAt")]),
    ("src/gpu/adapter.rs", As::Record, &[("AdapterInfo", "AdapterInfo")]),
    ("src/gpu/chosen.rs", As::Record, &[("Choices", "Kernels"), ("Learned", "Learned")]),
    (
        "src/session/loaded.rs",
        As::Record,
        &[("Loaded", "Loaded"), ("Why", "Why"), ("Offer", "Offer"), ("Level", "Level")],
    ),
    (
        "src/bench/report.rs",
        As::Record,
        &[
            ("Report", "BenchReport"),
            ("Processor", "BenchProcessor"),
            ("ModelFacts", "BenchModel"),
            ("Vision", "BenchVision"),
            ("Prefill", "BenchPrefill"),
            ("SmallBatch", "BenchBatch"),
            ("Decode", "BenchDecode"),
            ("FirstToken", "BenchFirstToken"),
            ("Prediction", "BenchPrediction"),
            ("Startup", "BenchStartup"),
        ],
    ),
    ("src/bench/pictures.rs", As::Record, &[("Pictures", "BenchPictures")]),
    ("src/bench/chosen.rs", As::Record, &[("ChosenByQuestion", "BenchChosen")]),
    ("src/bench/stop.rs", As::Record, &[("Stop", "BenchStop")]),
    ("src/cpu/isa.rs", As::Record, &[("Isa", "InstructionSet")]),
    ("src/bench/ceilings.rs", As::Record, &[("Ceilings", "BenchCeilings")]),
    ("src/bench/profile.rs", As::Record, &[("Stage", "BenchStage"), ("KernelTime", "BenchKernel")]),
    ("web/src/settings.rs", As::Settings, &[("Settings", "LoadSettings")]),
    ("src/settings.rs", As::Settings, &[("Asked", "AskSettings"), ("Measured", "BenchSettings")]),
];

/// The kinds of error: the library's, and the package's own.
pub(super) const CODES: &[(&str, &str)] =
    &[("src/error/code.rs", "ErrorCode"), ("web/src/failure.rs", "PackageErrorCode")];
