//! The prompt of a checkpoint: its own chat template, cut into pieces, or `vicuna_v1` where the
//! layout is LLaVA-1.5's, M3's, MQT's or MobileVLM's, whose code never uses the template.

use super::checkpoint::Checkpoint;
use super::files::{Files, json, whole};
use crate::error::{Error, Result};
use crate::text::chat::{self, Names};
use crate::text::{Template, TemplateChoice, Tokenizer};
use serde_json::Value;

/// `model_type`s whose processors follow the chat template.
const SPEAK: [&str; 6] =
    ["smolvlm", "idefics3", "llava_onevision", "llava-qwen2", "llava_qwen2", "llava_qwen"];
/// Files that may hold a chat template, the first that does counts.
const FILES: [&str; 3] = ["chat_template.json", "processor_config.json", "tokenizer_config.json"];

impl Checkpoint {
    /// The prompt that was chosen, or the checkpoint's own.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`] about a chat template that is missing or cannot be cut;
    /// [`Error::InvalidSetting`] if the chosen one needs tokens that the tokenizer lacks.
    pub async fn template(&self, choice: &TemplateChoice) -> Result<Template> {
        match choice {
            TemplateChoice::Own => own(self.files(), &self.tokenizer).await,
            TemplateChoice::Named(template) => chosen(template, &self.tokenizer),
        }
    }
}

/// The same template, if the tokenizer has what it writes.
pub(crate) fn chosen(template: &Template, tokenizer: &Tokenizer) -> Result<Template> {
    match template.tokens().find(|name| tokenizer.special(name).is_none()) {
        None => Ok(template.clone()),
        Some(token) => Err(Error::InvalidSetting {
            what: "template".into(),
            why: format!(
                "{} writes the token {token}, which this model's tokenizer does not have",
                template.name
            ),
        }),
    }
}

async fn own(files: &dyn Files, tokenizer: &Tokenizer) -> Result<Template> {
    let config = json(files, "config.json").await?.unwrap_or_default();
    if !speaks_for_itself(&config) {
        return Ok(Template::vicuna_v1());
    }
    let refused = |file: &str, problem: String| Error::ModelCorrupt {
        file: file.into(),
        problem: format!("{problem}; {}", Template::HINT),
    };
    let Some((file, source)) = source(files).await? else {
        return Err(refused("the checkpoint", "it has no chat template".into()));
    };
    let tokens = json(files, "tokenizer_config.json").await?.unwrap_or_default();
    let names = Names { image: image(&config, tokenizer), tokens: named(&tokens) };
    chat::pieces(&source, &names, tokenizer).map(Template::of).map_err(|problem| {
        refused(file, format!("its chat template cannot be cut into pieces ({problem})"))
    })
}

fn speaks_for_itself(config: &Value) -> bool {
    let inner = config["text_config"]["model_type"].as_str().unwrap_or_default();
    let outer = config["model_type"].as_str().unwrap_or_default();
    SPEAK.contains(&outer) || inner.starts_with("qwen")
}

/// The chat template's text and the file that holds it.
async fn source(files: &dyn Files) -> Result<Option<(&'static str, String)>> {
    const BARE: &str = "chat_template.jinja";
    if let Some(bytes) = whole(files, BARE).await? {
        let source = String::from_utf8(bytes).map_err(|_| Error::ModelCorrupt {
            file: BARE.into(),
            problem: "it is not UTF-8".into(),
        })?;
        return Ok(Some((BARE, source)));
    }
    for file in FILES {
        let found = json(files, file).await?.unwrap_or_default();
        if let Some(source) = written(&found["chat_template"]) {
            return Ok(Some((file, source.to_owned())));
        }
    }
    Ok(None)
}

/// One text, or the one named `default` of several.
fn written(template: &Value) -> Option<&str> {
    let is_default = |entry: &&Value| entry["name"] == "default";
    template
        .as_str()
        .or_else(|| template["default"].as_str())
        .or_else(|| template.as_array()?.iter().find(is_default)?["template"].as_str())
}

/// The name of the token that stands for a picture.
fn image(config: &Value, tokenizer: &Tokenizer) -> String {
    let id =
        ["image_token_id", "image_token_index"].into_iter().find_map(|key| config[key].as_u64());
    let named = tokenizer.specials().find(|(_, token)| Some(u64::from(*token)) == id);
    named.map_or("<image>", |(name, _)| name).to_owned()
}

/// `bos_token` and the like, as a template may write them.
fn named(config: &Value) -> Vec<(String, String)> {
    ["bos_token", "eos_token", "pad_token", "unk_token"]
        .into_iter()
        .filter_map(|key| {
            let text = config[key].as_str().or_else(|| config[key]["content"].as_str())?;
            Some((key.to_owned(), text.to_owned()))
        })
        .collect()
}

#[cfg(all(test, feature = "native"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::weights::files::Disk;
    use pollster::block_on;
    use serde_json::json;
    use std::path::Path;

    /// A copy of a case's small files, changed.
    fn files(case: &str, change: impl FnOnce(&Path)) -> (tempfile::TempDir, Disk, Tokenizer) {
        let copy = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families").join(case);
        for entry in std::fs::read_dir(from.join("checkpoint")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "json" || kind == "jinja") {
                std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let read = |name: &str| std::fs::read(copy.path().join(name)).ok();
        let (tokens, config) = (read("tokenizer.json"), read("tokenizer_config.json"));
        let tokenizer = Tokenizer::from_files(tokens.as_deref(), None, config.as_deref()).unwrap();
        change(copy.path());
        let files = Disk::open(copy.path()).unwrap();
        (copy, files, tokenizer)
    }

    fn edit(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) {
        let path = folder.join(name);
        let mut value =
            std::fs::read(&path).map_or(json!({}), |b| serde_json::from_slice(&b).unwrap());
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }

    #[test]
    fn a_checkpoints_own_template_counts() {
        for case in ["smolvlm", "granite_docling", "llava_interleave", "llava_onevision"] {
            let (_copy, files, tokenizer) = files(case, |_| {});
            let template = block_on(own(&files, &tokenizer)).unwrap();
            assert_eq!(template.name, "chat_template");
            let turns = [("q", Some("a")), ("r", None)];
            let built_in = Template::by_name(case).unwrap();
            assert_eq!(template.written(Some("P"), &turns), built_in.written(Some("P"), &turns));
            chosen(&built_in, &tokenizer).unwrap();
        }
    }

    #[test]
    fn templates_are_found_wherever_publishers_put_them() {
        let whole =
            json!([{"name": "tools", "template": "x"}, {"name": "default", "template": "T"}]);
        for (name, value) in [
            ("chat_template.json", json!("T")),
            ("processor_config.json", json!({"default": "T"})),
            ("tokenizer_config.json", whole),
        ] {
            let (_copy, files, _) = files("llava_interleave", |folder| {
                std::fs::remove_file(folder.join("chat_template.json")).unwrap();
                edit(folder, name, |file| file["chat_template"] = value);
            });
            assert_eq!(block_on(source(&files)).unwrap(), Some((name, "T".to_owned())));
        }
    }

    #[test]
    fn llavas_own_layouts_keep_vicuna() {
        for config in [
            json!({"model_type": "llava_llama"}),
            json!({"model_type": "mobilevlm"}),
            json!({"model_type": "llava", "text_config": {"model_type": "llama"}}),
        ] {
            let (_copy, files, tokenizer) = files("smolvlm", |folder| {
                edit(folder, "config.json", |file| *file = config);
            });
            assert_eq!(block_on(own(&files, &tokenizer)).unwrap(), Template::vicuna_v1());
        }
    }

    #[test]
    fn what_cannot_be_cut_is_refused_with_what_helps() {
        let refused = |change: &dyn Fn(&Path)| {
            let (_copy, files, tokenizer) = files("smolvlm", change);
            block_on(own(&files, &tokenizer)).unwrap_err()
        };
        let none =
            refused(&|folder| std::fs::remove_file(folder.join("chat_template.json")).unwrap());
        assert_eq!(
            none.to_string(),
            "the checkpoint is not usable: it has no chat template; a built-in template can be named instead"
        );
        let broken = refused(&|folder| {
            edit(folder, "chat_template.json", |file| file["chat_template"] = json!("{% if %}"));
        });
        assert_eq!(broken.exit_code(), 3);
        let said = broken.to_string();
        assert!(
            said.starts_with("chat_template.json is not usable: its chat template cannot be cut")
        );
        assert!(said.ends_with(Template::HINT), "{said}");
    }

    #[test]
    fn a_chosen_template_needs_its_tokens() {
        let (_copy, _, tokenizer) = files("smolvlm", |_| {});
        let error = chosen(&Template::by_name("granite_docling").unwrap(), &tokenizer).unwrap_err();
        assert_eq!(
            error.to_string(),
            "template: granite_docling writes the token <|start_of_role|>, which this model's tokenizer does not have"
        );
        assert_eq!(chosen(&Template::vicuna_v1(), &tokenizer).unwrap(), Template::vicuna_v1());
        let named: TemplateChoice = "smolvlm".parse().unwrap();
        assert_eq!(named, TemplateChoice::Named(Template::by_name("smolvlm").unwrap()));
        assert!("smol".parse::<TemplateChoice>().unwrap_err().contains("vicuna_v1"));
    }
}
