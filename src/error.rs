//! One error type for the crate: what happened, and where.
//!
//! A message mentions no flags or buttons: each front end adds its own advice. For that it has the
//! error's code and its facts ([`Error::code`], [`Error::facts`]). For the browser package, both
//! are generated from here into `web/ts/generated.ts`.

pub use code::{ErrorCode, Facts};
use std::path::PathBuf;

mod code;

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong outside our own code: input, files, network, device.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token budget is outside what the model can give.
    #[error("{m} image tokens asked for, but this model gives 1 to {max}")]
    BudgetOutOfRange {
        /// What was asked for.
        m: u64,
        /// The model's maximum, M.
        max: usize,
    },
    /// This model gives only some numbers of image tokens.
    #[error("{m} image tokens asked for, but this model gives {}", alternatives(.offered))]
    BudgetNotOffered {
        /// What was asked for.
        m: u64,
        /// The numbers that the model gives, in ascending order.
        offered: Vec<usize>,
    },
    /// A setting that makes no sense.
    #[error("{what}: {why}")]
    InvalidSetting {
        /// The setting's name: its first word is the field's name (`context`, `output`).
        what: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A path of the model does not exist or cannot be read.
    #[error("the model file {} cannot be read: {why}", path.display())]
    ModelMissing {
        /// The path that was tried.
        path: PathBuf,
        /// The system's reason, and what to do.
        why: String,
    },
    /// A model file exists but its content is not valid.
    #[error("{file} is not usable: {problem}")]
    ModelCorrupt {
        /// File name within the model.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor the architecture needs is absent.
    #[error("the checkpoint has no tensor {name}{hint}")]
    TensorMissing {
        /// The checkpoint's name for it.
        name: String,
        /// A hint, starting with punctuation, or empty.
        hint: String,
    },
    /// A checkpoint without its vision tower, which is often in a folder of its own.
    #[error("the checkpoint's vision tower is missing: {why}")]
    TowerMissing {
        /// What was looked for, and where.
        why: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor {name}: expected shape {expected:?}, the file has {got:?}")]
    TensorShape {
        /// The checkpoint's name for it.
        name: String,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor has an element type we do not read.
    #[error("tensor {name} has element type {dtype}; F32, F16 and BF16 can be read")]
    TensorType {
        /// The checkpoint's name for it.
        name: String,
        /// The type in the file.
        dtype: String,
    },
    /// A tensor that would change the answer and that this version does not know.
    #[error("tensor {name} belongs to an architecture this version does not know")]
    TensorUnknown {
        /// The checkpoint's name for it.
        name: String,
    },
    /// Several tensors are missing, misshapen, of a wrong type or unknown.
    #[error(
        "the checkpoint does not fit its configuration in {} places: {}", .faults.len(),
        list(.faults)
    )]
    Tensors {
        /// One error per tensor.
        faults: Vec<Error>,
    },
    /// The name of an adapter matched nothing.
    #[error("no adapter's name contains {wanted:?}; available: {available}")]
    AdapterNotFound {
        /// The name that was asked for.
        wanted: String,
        /// What exists, comma separated (always including `cpu`).
        available: String,
    },
    /// The adapter exists but refused to give a usable device.
    #[error("the adapter {adapter} did not provide a device: {why}")]
    DeviceRefused {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        why: String,
    },
    /// The device ran out of memory.
    #[error("out of memory on the device for {what}{}", sized(*bytes))]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Its size; 0 if the device did not say.
        bytes: u64,
    },
    /// A limit of the adapter is below what is needed and cannot be worked around.
    #[error("{what} needs {limit} = {need}, but this adapter allows {have}")]
    LimitTooSmall {
        /// What needed it.
        what: String,
        /// WebGPU's name of the limit.
        limit: &'static str,
        /// The value needed.
        need: u64,
        /// The value the device has.
        have: u64,
    },
    /// The device went away (driver reset, unplugged, destroyed) or refused our commands.
    #[error("the graphics device was lost: {why}")]
    DeviceLost {
        /// The driver's reason.
        why: String,
    },
    /// A picture file does not exist or cannot be read.
    #[error("the picture {path} cannot be read: {why}")]
    ImageMissing {
        /// The path as given.
        path: String,
        /// The system's reason.
        why: String,
    },
    /// The bytes are not a picture we can decode completely.
    #[error("the picture cannot be used: {problem}")]
    ImageUnreadable {
        /// What is wrong with it.
        problem: String,
    },
    /// The conversation does not fit the context.
    #[error("the context is full: {need} tokens are needed, but only {have} fit")]
    ContextFull {
        /// Tokens needed including the next one.
        need: usize,
        /// Tokens that fit.
        have: usize,
    },
    /// Something could not be written.
    #[error("{} cannot be written: {why}", path.display())]
    OutputFailed {
        /// Where it should go.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Cancelled,
}

impl Error {
    /// The documented exit code of the command line for this error (`mqt --help`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::OutputFailed { .. } => 1,
            Error::BudgetOutOfRange { .. }
            | Error::BudgetNotOffered { .. }
            | Error::InvalidSetting { .. } => 2,
            Error::ModelMissing { .. }
            | Error::ModelCorrupt { .. }
            | Error::TensorMissing { .. }
            | Error::TowerMissing { .. }
            | Error::TensorShape { .. }
            | Error::TensorType { .. }
            | Error::TensorUnknown { .. }
            | Error::Tensors { .. } => 3,
            Error::AdapterNotFound { .. } | Error::DeviceRefused { .. } => 4,
            Error::OutOfMemory { .. } | Error::LimitTooSmall { .. } | Error::DeviceLost { .. } => 5,
            Error::ImageMissing { .. } | Error::ImageUnreadable { .. } => 6,
            Error::ContextFull { .. } => 8,
            Error::Cancelled => 130,
        }
    }

    /// Which kind of error this is, for programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::BudgetOutOfRange { .. } => ErrorCode::BudgetOutOfRange,
            Error::BudgetNotOffered { .. } => ErrorCode::BudgetNotOffered,
            Error::InvalidSetting { .. } => ErrorCode::InvalidSetting,
            Error::ModelMissing { .. } => ErrorCode::ModelMissing,
            Error::ModelCorrupt { .. } => ErrorCode::ModelCorrupt,
            Error::TensorMissing { .. }
            | Error::TowerMissing { .. }
            | Error::TensorShape { .. }
            | Error::TensorType { .. }
            | Error::TensorUnknown { .. }
            | Error::Tensors { .. } => ErrorCode::BadTensors,
            Error::AdapterNotFound { .. } | Error::DeviceRefused { .. } => ErrorCode::NoAdapter,
            Error::OutOfMemory { .. } => ErrorCode::OutOfMemory,
            Error::LimitTooSmall { .. } => ErrorCode::LimitTooSmall,
            Error::DeviceLost { .. } => ErrorCode::DeviceLost,
            Error::ImageMissing { .. } | Error::ImageUnreadable { .. } => {
                ErrorCode::ImageUnreadable
            }
            Error::ContextFull { .. } => ErrorCode::ContextFull,
            Error::OutputFailed { .. } => ErrorCode::OutputFailed,
            Error::Cancelled => ErrorCode::Cancelled,
        }
    }

    /// The numbers and names that a front end may use in its advice.
    pub fn facts(&self) -> Facts {
        let none = Facts::default();
        let text = |text: &str| Some(text.to_owned());
        match self {
            Error::BudgetOutOfRange { m, max } => {
                Facts { asked: Some(*m), most: Some(*max as u64), ..none }
            }
            Error::BudgetNotOffered { m, offered } => {
                Facts { asked: Some(*m), offered: Some(offered.clone()), ..none }
            }
            Error::InvalidSetting { what, .. } => Facts { what: text(what), ..none },
            Error::ModelMissing { path, .. } | Error::OutputFailed { path, .. } => {
                Facts { file: Some(path.display().to_string()), ..none }
            }
            Error::ModelCorrupt { file, .. } | Error::ImageMissing { path: file, .. } => {
                Facts { file: text(file), ..none }
            }
            Error::TensorMissing { name, .. }
            | Error::TensorShape { name, .. }
            | Error::TensorType { name, .. }
            | Error::TensorUnknown { name } => Facts { what: text(name), ..none },
            Error::AdapterNotFound { wanted: name, .. }
            | Error::DeviceRefused { adapter: name, .. } => Facts { what: text(name), ..none },
            Error::OutOfMemory { what, bytes } => {
                Facts { what: text(what), need: (*bytes > 0).then_some(*bytes), ..none }
            }
            Error::LimitTooSmall { what, limit, need, have } => Facts {
                what: text(what),
                limit: text(limit),
                need: Some(*need),
                have: Some(*have),
                ..none
            },
            Error::ContextFull { need, have } => {
                Facts { need: Some(*need as u64), have: Some(*have as u64), ..none }
            }
            Error::TowerMissing { .. } => Facts { what: text("vision tower"), ..none },
            Error::Tensors { .. }
            | Error::DeviceLost { .. }
            | Error::ImageUnreadable { .. }
            | Error::Cancelled => none,
        }
    }
}

/// " (16 bytes)", if the size is known.
fn sized(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!(" ({bytes} bytes)") }
}

/// "1, 9 or 36".
fn alternatives(values: &[usize]) -> String {
    let words: Vec<String> = values.iter().map(usize::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// How many tensors are named: enough to see what is wrong, few enough to read.
const NAMED: usize = 8;

/// The first few, and how many more there are.
fn list(errors: &[Error]) -> String {
    let named = errors.iter().take(NAMED).map(Error::to_string).collect::<Vec<_>>().join("; ");
    let more = errors.len().saturating_sub(NAMED);
    if more == 0 { named } else { format!("{named}; and {more} more") }
}

#[cfg(test)]
mod tests;
