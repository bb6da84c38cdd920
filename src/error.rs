//! One error type for the crate: what happened, where, and what to do next.
//!
//! Variants carry facts; edges translate them once ([`Error::exit_code`] for the command line).

use std::path::PathBuf;

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong outside our own code: input, files, network, device.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token budget is outside what the model can give.
    #[error(
        "{m} image tokens asked for, but this model gives 1 to {max}; choose -m between 1 and {max}"
    )]
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
        /// What there is, rising.
        offered: Vec<usize>,
    },
    /// A setting that makes no sense.
    #[error("{what}: {why}")]
    InvalidSetting {
        /// The flag or field.
        what: String,
        /// What is wrong and what would be right.
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
    /// `--adapter NAME` matched nothing.
    #[error("no adapter's name contains {wanted:?}; there are: {available}")]
    AdapterNotFound {
        /// The name that was asked for.
        wanted: String,
        /// What exists, comma separated (always including `cpu`).
        available: String,
    },
    /// The adapter exists but refused to give a usable device.
    #[error("the adapter {adapter} gave no device: {why}; try `--adapter cpu`")]
    DeviceRefused {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        why: String,
    },
    /// The device ran out of memory.
    #[error(
        "out of memory on the device for {what}{}; try a smaller --context, fewer image tokens or smaller weights",
        sized(*bytes)
    )]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Its size; 0 if the device did not say.
        bytes: u64,
    },
    /// A limit of the adapter is below what is needed and cannot be worked around.
    #[error("{what} needs {limit} = {need}, this adapter allows {have}; try `--adapter cpu`")]
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
    #[error("the graphics device was lost: {why}; run again, or with `--adapter cpu`")]
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
    #[error(
        "the context is full: {need} tokens are needed, {have} fit; use a larger --context, fewer image tokens, a shorter question, or start anew"
    )]
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

    /// The name of this kind of error, for programs: what the browser package has as `code`
    /// (`web/ts/errors.ts`).
    pub fn code(&self) -> &'static str {
        match self {
            Error::BudgetOutOfRange { .. } => "budget-out-of-range",
            Error::BudgetNotOffered { .. } => "budget-not-offered",
            Error::InvalidSetting { .. } => "invalid-setting",
            Error::ModelMissing { .. } => "model-missing",
            Error::ModelCorrupt { .. } => "model-corrupt",
            Error::TensorMissing { .. }
            | Error::TensorShape { .. }
            | Error::TensorType { .. }
            | Error::TensorUnknown { .. }
            | Error::Tensors { .. } => "bad-tensors",
            Error::AdapterNotFound { .. } | Error::DeviceRefused { .. } => "no-adapter",
            Error::OutOfMemory { .. } => "out-of-memory",
            Error::LimitTooSmall { .. } => "limit-too-small",
            Error::DeviceLost { .. } => "device-lost",
            Error::ImageMissing { .. } | Error::ImageUnreadable { .. } => "image-unreadable",
            Error::ContextFull { .. } => "context-full",
            Error::OutputFailed { .. } => "output-failed",
            Error::Cancelled => "cancelled",
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

/// So many tensors are named: enough to see what is wrong, few enough to read.
const NAMED: usize = 8;

/// The first few, and how many more there are.
fn list(errors: &[Error]) -> String {
    let named = errors.iter().take(NAMED).map(Error::to_string).collect::<Vec<_>>().join("; ");
    let more = errors.len().saturating_sub(NAMED);
    if more == 0 { named } else { format!("{named}; and {more} more") }
}

#[cfg(test)]
mod tests {
    /// What stands in quotes.
    fn quoted(text: &str) -> Vec<&str> {
        text.split('"').skip(1).step_by(2).collect()
    }

    /// The part of `text` from `start` to `end`.
    fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
        let (_, rest) = text.split_once(start).expect(start);
        rest.split_once(end).expect(end).0
    }

    #[test]
    fn the_page_knows_every_code_and_no_other() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web/ts");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let text = read("errors.ts");
        let known = quoted(between(&text, "CODES = [", "] as const"));
        let ours = quoted(between(include_str!("error.rs"), "pub fn code(&self)", "\n    }\n"));
        assert!(ours.len() > 10, "{ours:?}");
        for code in &ours {
            assert!(known.contains(code), "{code} is not in web/ts/errors.ts");
        }
        // What the library does not say, the package has to throw itself.
        let package = ["engine.ts", "worker.ts", "store.ts", "blobs.ts", "network.ts", "errors.ts"]
            .map(read)
            .concat();
        for code in known.iter().filter(|code| !ours.contains(code)) {
            assert!(package.contains(&format!("EngineError(\"{code}\"")), "nothing throws {code}");
        }
    }
}
