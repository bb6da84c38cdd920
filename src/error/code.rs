//! What programs read of an error: its code and its facts.

/// The kinds of error, for programs. The browser package has them by these names, in kebab case
/// (`budget-out-of-range`), beside a few of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The number of image tokens is outside what the model gives.
    BudgetOutOfRange,
    /// The model gives only some numbers of image tokens, and this is none of them.
    BudgetNotOffered,
    /// A setting that makes no sense.
    InvalidSetting,
    /// A file of the model does not exist or cannot be read.
    ModelMissing,
    /// A file of the model is there, but what it holds is not valid.
    ModelCorrupt,
    /// Tensors are missing, misshapen, of a wrong type or unknown.
    BadTensors,
    /// No such graphics adapter, or it gave no device.
    NoAdapter,
    /// The adapter's limits are too small for this model.
    LimitTooSmall,
    /// The device ran out of memory.
    OutOfMemory,
    /// The device went away.
    DeviceLost,
    /// The picture does not exist, or cannot be decoded completely.
    ImageUnreadable,
    /// The conversation does not fit the context.
    ContextFull,
    /// Something could not be written.
    OutputFailed,
    /// The caller asked to stop.
    Cancelled,
}

impl ErrorCode {
    /// The name, as the browser package has it.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BudgetOutOfRange => "budget-out-of-range",
            ErrorCode::BudgetNotOffered => "budget-not-offered",
            ErrorCode::InvalidSetting => "invalid-setting",
            ErrorCode::ModelMissing => "model-missing",
            ErrorCode::ModelCorrupt => "model-corrupt",
            ErrorCode::BadTensors => "bad-tensors",
            ErrorCode::NoAdapter => "no-adapter",
            ErrorCode::LimitTooSmall => "limit-too-small",
            ErrorCode::OutOfMemory => "out-of-memory",
            ErrorCode::DeviceLost => "device-lost",
            ErrorCode::ImageUnreadable => "image-unreadable",
            ErrorCode::ContextFull => "context-full",
            ErrorCode::OutputFailed => "output-failed",
            ErrorCode::Cancelled => "cancelled",
        }
    }
}

/// Numbers and names behind an error, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// What is needed: bytes of memory, tokens of context, or the value of a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub need: Option<u64>,
    /// What there is of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub have: Option<u64>,
    /// The file: its name within the model, or its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What it is about: a setting, a tensor, an adapter, or what the memory was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// WebGPU's name of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The image tokens that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// The most image tokens that the model gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
    /// The numbers of image tokens that the model gives, rising.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered: Option<Vec<usize>>,
}
