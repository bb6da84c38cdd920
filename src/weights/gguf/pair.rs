//! A pair of files as the checkpoint folder that it could have been made from.

use super::config::Decoder;
use super::container::Container;
use super::halves::{check_mmproj, check_model, check_widths, language_tensors, vision_tensors};
use super::{Source, config, mmproj as vision_half, tokenizer};
use crate::error::{Error, Result};
use crate::future::Boxed;
use crate::untrusted::{cut, limits, one_line};
use crate::weights::files::Files;
use crate::weights::tensors::Tensor;
use std::collections::BTreeMap;
use std::ops::Range;

/// The two files, seen as a checkpoint folder.
pub struct Pair {
    sources: [Source; 2],
    /// Small files that a folder would have.
    small: BTreeMap<&'static str, Vec<u8>>,
    tensors: BTreeMap<String, Tensor>,
    /// What the keys of the model's architecture begin with.
    pub(super) decoder: &'static str,
}

async fn read(source: &Source) -> Result<Container> {
    Container::read(&*source.files, &source.name, &source.label).await
}

impl Pair {
    /// Reads the headers of both files.
    ///
    /// # Errors
    /// [`Error::ModelMissing`], [`Error::ModelCorrupt`] naming the file and the key,
    /// [`Error::TensorUnknown`] or [`Error::TensorMissing`].
    pub async fn open(model: Source, mmproj: Source) -> Result<Pair> {
        let (language, vision) = (read(&model).await?, read(&mmproj).await?);
        check_model(&language)?;
        check_mmproj(&vision)?;
        let (mut config, head_dim) = config::language(&language)?;
        let (tower, pictures) = vision_half::vision(&vision)?;
        let (tokenizer, ends) = tokenizer::tokenizer(&language)?;
        check_widths(&language, &vision)?;
        // The projector says which family it is.
        config.extend(tower);
        config.insert("eos_token_id".into(), ends.into());
        let mut tensors = language_tensors(&language, head_dim)?;
        tensors.extend(vision_tensors(&vision)?);
        let json = |value: &serde_json::Value| value.to_string().into_bytes();
        let mut small = BTreeMap::from([
            ("config.json", json(&config.into())),
            ("preprocessor_config.json", json(&pictures)),
            ("README.md", card(&language)),
        ]);
        small.extend(tokenizer);
        let decoder = Decoder::of(&language)?.prefix();
        Ok(Pair { sources: [model, mmproj], small, tensors, decoder })
    }

    fn source(&self, label: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.label == label)
    }
}

/// A model card of the one line that a pack takes from it.
fn card(file: &Container) -> Vec<u8> {
    let licence = file.text("general.license").ok().flatten().unwrap_or_default();
    if licence.is_empty() {
        return Vec::new();
    }
    format!("---\nlicense: {}\n---\n", one_line(&cut(licence, limits::NAME))).into_bytes()
}

impl Files for Pair {
    fn describe(&self) -> String {
        self.sources[0].label.clone()
    }

    fn size<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<u64>>> {
        Box::pin(async move {
            match self.source(name) {
                Some(source) => source.files.size(&source.name).await,
                None => Ok(self.small.get(name).map(|bytes| bytes.len() as u64)),
            }
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Boxed<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            if let Some(source) = self.source(name) {
                return source.files.read(&source.name, range).await;
            }
            let part = |bytes: &Vec<u8>| {
                bytes.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec)
            };
            self.small.get(name).and_then(part).ok_or_else(|| Error::ModelCorrupt {
                file: name.into(),
                problem: "a range outside the file was asked for".into(),
            })
        })
    }

    fn list(&self) -> Vec<String> {
        self.small.keys().map(|name| (*name).to_owned()).collect()
    }

    fn path(&self, name: &str) -> Option<std::path::PathBuf> {
        let source = self.source(name)?;
        source.files.path(&source.name)
    }

    fn tensors(&self) -> Option<BTreeMap<String, Tensor>> {
        Some(self.tensors.clone())
    }

    fn folder(&self, _: &str) -> Option<Box<dyn Files>> {
        None
    }
}
