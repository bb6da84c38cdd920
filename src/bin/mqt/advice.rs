//! The library's errors in the program's words. Its messages name no flags; the advice about flags
//! is added here, and nowhere else.

use mqt::Error;
use mqt::internals::untrusted::limits;
use mqt::internals::weights::files::is_gguf;
use mqt::text::Template;
use std::path::Path;

/// What happened and what helps, in one sentence.
pub(crate) fn message(error: &Error) -> String {
    match error {
        Error::InvalidSetting { what, why } => format!("{}: {why}", flag(what)),
        _ => match advice(error) {
            Some(advice) => format!("{error}; {advice}"),
            None => error.to_string(),
        },
    }
}

/// The same for a model whose context has at most `limit` tokens: no flag gives it more.
pub(crate) fn within(error: &Error, limit: usize) -> String {
    match error {
        Error::ContextFull { have, .. } if *have >= limit => format!(
            "{error}, and this model allows no more; use fewer image tokens, a shorter question or a new \
             conversation"
        ),
        _ => message(error),
    }
}

/// What to do, where there is something to do.
fn advice(error: &Error) -> Option<String> {
    let what = match error {
        Error::BudgetOutOfRange { max, .. } => {
            return Some(format!("choose a number from 1 to {max}"));
        }
        Error::ModelMissing { path, .. } if path.is_file() && is_gguf(path) => {
            let path = path.display();
            return Some(format!("`mqt convert {path} --mmproj MMPROJ.gguf -o PACK` makes one"));
        }
        Error::ModelMissing { path, .. } if has_gguf(path) => {
            "`mqt convert MODEL.gguf --mmproj MMPROJ.gguf -o PACK` makes one"
        }
        Error::ModelCorrupt { problem, .. } if problem.ends_with(Template::HINT) => {
            "`--template NAME` names one"
        }
        Error::ModelMissing { path, .. } if is_a_name(path) => {
            return Some(format!(
                "`mqt pull {}` fetches it, or resumes fetching it",
                path.display()
            ));
        }
        Error::TowerMissing { .. } => "give its folder with --vision-tower",
        Error::DeviceRefused { .. } | Error::LimitTooSmall { .. } => "try `--adapter cpu`",
        Error::OutOfMemory { .. } => {
            "try a smaller --context, fewer image tokens or smaller weights"
        }
        Error::DeviceLost { .. } => "run the command again, or use `--adapter cpu`",
        Error::ContextFull { .. } => {
            "use a larger --context, fewer image tokens, a shorter question or a new conversation"
        }
        _ => return None,
    };
    Some(what.to_owned())
}

/// Whether a path that leads nowhere looks like a model's name, `owner/name`.
fn is_a_name(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let word = |word: &str| !word.is_empty() && !word.starts_with('.');
    let named = text
        .split_once('/')
        .is_some_and(|(owner, name)| word(owner) && word(name) && !name.contains('/'));
    named && !path.exists()
}

/// Whether a folder holds GGUF files.
fn has_gguf(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(limits::FILES);
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|e| e == "gguf"))
}

/// A setting as a flag of the command line; its first word is the name that the library uses.
fn flag(setting: &str) -> String {
    let (name, rest) = setting.split_once(' ').unwrap_or((setting, ""));
    let flag = match name {
        "calibrate" => "--calibrate",
        "context" => "--context",
        "mmproj" => "--mmproj",
        "vision_tower" => "--vision-tower",
        "shape" => "--shape",
        "select" => "--select",
        "template" => "--template",
        "layout" => "--layout",
        "output" => "-o",
        _ => return setting.to_owned(),
    };
    format!("{flag} {rest}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_by_their_flags() {
        let said =
            |what: &str| message(&Error::InvalidSetting { what: what.into(), why: "?".into() });
        assert_eq!(said("context"), "--context: ?");
        assert_eq!(said("output /a b"), "-o /a b: ?");
        assert_eq!(said("the system prompt"), "the system prompt: ?");
    }

    #[test]
    fn advice_is_part_of_the_sentence() {
        assert_eq!(
            message(&Error::BudgetOutOfRange { m: 300, max: 64 }),
            "300 image tokens asked for, but this model gives 1 to 64; choose a number from 1 to 64"
        );
        assert_eq!(message(&Error::Cancelled), "stopped");
        let full = Error::ContextFull { need: 600, have: 512 };
        assert!(within(&full, 2048).contains("--context"), "{}", within(&full, 2048));
        assert!(!within(&full, 512).contains("--context"), "{}", within(&full, 512));
    }
}
