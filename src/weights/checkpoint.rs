//! A checkpoint folder as published → configuration, tokenizer, and tensors on demand in panel
//! layout.

use super::check::check_tensors;
use super::choice::what_else;
use super::described::Described;
use super::files::{Files, json, whole};
use super::fold::{Folded, Resampler};
use super::importance::{Grade, Walk};
use super::layout::{Entry, Role, layout};
use super::names::{self, Names};
use super::recipe::{Book, Recipe};
use super::tensors::{Folder, Rows};
use super::tower::{self, Tower};
use super::{Supply, Weights, WeightsChoice, quantised};
use crate::cancel::Cancel;
use crate::config::fields::Fields;
use crate::config::{Config, Projector};
use crate::error::{Error, Result};
use crate::future::Boxed;
use crate::quant::{PANEL, Packed};
use crate::text::Tokenizer;
use async_lock::Mutex;
use std::ops::Range;

/// Values of a matrix that are in memory at once while it is packed.
const VALUES_AT_ONCE: usize = 8 << 20;

/// An opened checkpoint: small files read, every tensor located and its shape and type checked,
/// none loaded.
pub struct Checkpoint {
    folder: Folder,
    names: Names,
    tower: Tower,
    /// How its matrices are stored.
    pub weights: Weights,
    folded: std::sync::OnceLock<Folded>,
    /// What tells how errors count; nothing where values are not rounded to codes.
    walk: Option<Mutex<Walk>>,
    /// How it tells that.
    pub grade: Grade,
    /// The numbers.
    pub config: Config,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
}

impl Checkpoint {
    /// Opens `files`; `tower` is the folder given by `--vision-tower`, if any.
    ///
    /// # Errors
    /// [`Error::ModelMissing`], [`Error::ModelCorrupt`], or what `check_tensors` says, naming the
    /// files or tensors.
    pub async fn open(
        files: Box<dyn Files>,
        tower: Option<Box<dyn Files>>,
        weights: WeightsChoice,
    ) -> Result<Checkpoint> {
        let Some(json_config) = json(&*files, "config.json").await? else {
            return Err(what_else(
                &*files,
                "it has neither manifest.json (a pack) nor config.json (a checkpoint)",
            )
            .await);
        };
        let fields = Fields { file: "config.json", value: &json_config };
        quantised::check_config(&json_config, "config.json")?;
        quantised::check_side_files(&*files, "").await?;
        let folder = Folder::open(files).await?;
        if folder.tensors.is_empty() {
            return Err(what_else(&*folder.files, "it has no weights: neither model.safetensors nor pytorch_model.bin, in one file or several").await);
        }
        quantised::check_tensors(&folder.tensors)?;
        let Some(names) = names::recognise(&folder.tensors) else {
            let hint = "; this does not look like a LLaVA checkpoint".into();
            return Err(Error::TensorMissing { name: "model.embed_tokens.weight".into(), hint });
        };
        let Some(projector) = &names.projector else {
            let hint = "; without a query transformer or a projector the model cannot see".into();
            return Err(Error::TensorMissing { name: "model.query_abstractor.query".into(), hint });
        };
        let tower = tower::find(&*folder.files, tower, &names, fields).await?;
        let generation = json(&*folder.files, "generation_config.json").await?;
        let tokenizer = tokenizer(&*folder.files).await?;
        let described = Described { tensors: &folder.tensors, names: &names, projector, fields };
        let config = described.config(&tower, generation.as_ref(), &tokenizer)?;
        let checkpoint = Checkpoint {
            folder,
            names,
            tower,
            weights: weights.settle(&config),
            folded: std::sync::OnceLock::new(),
            walk: None,
            grade: Grade::None,
            config,
            tokenizer,
        }
        .weighed(Walk::guess, Grade::Guessed);
        check_tensors(&checkpoint.book(), &checkpoint.folder, checkpoint.tower.folder.as_ref())?;
        Ok(checkpoint)
    }

    fn weighed(mut self, walk: impl FnOnce(&Config) -> Walk, grade: Grade) -> Checkpoint {
        if self.weights.format(Role::Layer).is_scaled() {
            (self.walk, self.grade) = (Some(Mutex::new(walk(&self.config))), grade);
        }
        self
    }

    /// The same, errors weighed by what these texts (token ids) show and not by a guess.
    pub fn measured(self, texts: Vec<Vec<u32>>, cancel: &Cancel) -> Checkpoint {
        let cancel = cancel.clone();
        self.weighed(|config| Walk::measure(config, texts).stoppable(cancel), Grade::Measured)
    }

    /// The SHA-256 of the configuration and of every tensor's place: names a checkpoint without
    /// reading gigabytes.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&self.config).unwrap_or_default());
        for folder in [Some(&self.folder), self.tower.folder.as_ref()].into_iter().flatten() {
            for (name, tensor) in &folder.tensors {
                hash.update(format!("{name} {}\n", tensor.describe()));
            }
        }
        super::pack::hex(&hash.finalize())
    }

    /// Its small files.
    pub fn files(&self) -> &dyn Files {
        &*self.folder.files
    }

    /// Where its files lie on disk.
    #[cfg(feature = "native")]
    pub fn paths(&self) -> Vec<std::path::PathBuf> {
        let folders = [Some(&self.folder), self.tower.folder.as_ref()];
        let mut paths: Vec<_> = folders
            .into_iter()
            .flatten()
            .flat_map(|f| f.tensors.values().filter_map(|t| f.files.path(&t.file)))
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// What tells these weights from any others without reading them: configuration, formats, and
    /// every file's path, size and time of change. `None` where a file has none of those.
    #[cfg(feature = "native")]
    pub fn identity(&self) -> Option<String> {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(format!("{}\n{}\n", self.fingerprint(), self.weights));
        let paths = self.paths();
        for path in &paths {
            let path = path.canonicalize().ok()?;
            let data = std::fs::metadata(&path).ok()?;
            let changed = data.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update(format!("\n{} {}\n", data.len(), changed.as_nanos()));
        }
        (!paths.is_empty()).then(|| super::pack::hex(&hash.finalize()))
    }

    fn book(&self) -> Book<'_> {
        Book { config: &self.config, names: &self.names, tower: &self.tower.prefix }
    }

    fn folder_of(&self, tower: bool) -> &Folder {
        self.tower.folder.as_ref().filter(|_| tower).unwrap_or(&self.folder)
    }

    async fn folded(&self) -> Result<&Folded> {
        if self.folded.get().is_none() {
            let Projector::Resampler(r) = &self.config.projector else {
                unreachable!("only a resampler is folded")
            };
            let mut values = std::collections::BTreeMap::new();
            for section in self.book().folded() {
                let name = section
                    .name
                    .rsplit_once("query_abstractor.")
                    .map_or(section.name.clone(), |(_, name)| name.to_owned());
                values.insert(name, self.folder.floats(&section.name).await?);
            }
            let mut take = |name: &str| {
                values.remove(name).expect("`folded` lists every tensor of the resampler")
            };
            let mut norm =
                |name: &str| (take(&format!("{name}.weight")), take(&format!("{name}.bias")));
            let norms = [norm("ln_q"), norm("ln_k"), norm("ln_v")];
            let resampler = Resampler {
                query: take("query"),
                pos_embed: take("pos_embed"),
                in_proj: take("attn.in_proj_weight"),
                in_bias: take("attn.in_proj_bias"),
                out_proj: take("attn.out_proj.weight"),
                out_bias: take("attn.out_proj.bias"),
                norms,
                proj: take("proj"),
                width: self.config.vision.hidden,
                heads: r.heads,
            };
            let _ = self.folded.set(resampler.fold(self.config.vision.grid()));
        }
        Ok(self.folded.get().expect("set above"))
    }

    /// An entry of the folded resampler, [rows, cols].
    async fn folded_values(&self, entry: &Entry) -> Result<&[f32]> {
        let folded = self.folded().await?;
        Ok(match entry.name.as_str() {
            "resampler.map" => &folded.map,
            "resampler.value" => &folded.value,
            "resampler.out" => &folded.out,
            _ => &folded.bias,
        })
    }

    /// What is needed of the checkpoint for these rows of an entry.
    async fn gather(&self, recipe: &Recipe, rows: Range<usize>) -> Result<Vec<Option<Rows>>> {
        let mut gathered = Vec::new();
        for (i, section) in recipe.sections.iter().enumerate() {
            let wanted = rows
                .clone()
                .filter_map(|row| recipe.locate(row))
                .filter(|(s, _)| *s == i)
                .map(|(_, row)| row);
            let bounds = wanted.fold(None, |b: Option<(usize, usize)>, row| {
                Some(b.map_or((row, row), |(lo, hi)| (lo.min(row), hi.max(row))))
            });
            gathered.push(match bounds {
                Some((lo, hi)) => {
                    Some(self.folder_of(section.tower).rows(&section.name, lo..hi + 1).await?)
                }
                None => None,
            });
        }
        Ok(gathered)
    }

    /// Panels of a matrix, packed; a bounded part of the checkpoint is in memory at any time.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn panels(&self, entry: &Entry, panels: Range<usize>) -> Result<Packed> {
        let format = self.weights.format(entry.role);
        let last_row = entry.rows.min(panels.end * PANEL);
        let cols = entry.cols;
        let Some(recipe) = self.book().recipe(entry) else {
            let values = self.folded_values(entry).await?;
            let first = panels.start * PANEL;
            return Ok(Packed::pack(
                format,
                &values[first * cols..last_row * cols],
                last_row - first,
                cols,
            ));
        };
        let importance = self.importance(entry).await?;
        let mut packed = Packed::zeros(format, 0, cols);
        for rows in pieces(panels.start * PANEL..last_row, cols) {
            let sources = self.gather(&recipe, rows.clone()).await?;
            let row = |row: usize, out: &mut [f32]| fill(&recipe, &sources, row, out);
            packed.append(&Packed::pack_rows(
                format,
                rows.len(),
                cols,
                importance.as_deref(),
                |i, out| row(rows.start + i, out),
            ));
            if let Some(walk) = &self.walk {
                walk.lock().await.show(entry, rows, &row);
            }
        }
        Ok(packed)
    }

    /// How much errors in each column of a matrix count; `None`: all alike. What leads to it and
    /// was not read yet is read for it.
    pub(super) async fn importance(&self, entry: &Entry) -> Result<Option<Vec<f32>>> {
        let Some(walk) = &self.walk else { return Ok(None) };
        let mut walk = walk.lock().await;
        let Some(place) = walk.place(entry) else { return Ok(None) };
        loop {
            if let Some(known) = walk.importance(place) {
                return Ok(Some(known.to_vec()).filter(|known| !known.is_empty()));
            }
            let (next, rows) = walk.next();
            let next = next.clone();
            let recipe = self.book().recipe(&next).expect("the decoder's matrices are not folded");
            for rows in pieces(rows, next.cols) {
                walk.check()?;
                let sources = self.gather(&recipe, rows.clone()).await?;
                walk.show(&next, rows, &|row, out| fill(&recipe, &sources, row, out));
            }
            let name = walk.vector();
            let entry = layout(&self.config).into_iter().find(|e| Some(&e.name) == name.as_ref());
            let vector = match entry {
                Some(entry) => self.vector(&entry).await?,
                None => Vec::new(),
            };
            walk.step(&vector);
        }
    }
}

/// Rows in runs of whole panels, of which one is in memory at a time.
fn pieces(rows: Range<usize>, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (VALUES_AT_ONCE / (PANEL * cols)).max(1) * PANEL;
    rows.clone().step_by(step).map(move |first| first..rows.end.min(first + step))
}

/// One row of an entry; padding stays as it is.
fn fill(recipe: &Recipe, sources: &[Option<Rows>], row: usize, out: &mut [f32]) {
    if let Some((section, row)) = recipe.locate(row) {
        sources[section].as_ref().expect("gathered for these rows").copy(row, out);
    }
}

impl Supply for Checkpoint {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Packed>> {
        Box::pin(self.panels(entry, 0..entry.rows.div_ceil(PANEL)))
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        Box::pin(async move {
            debug_assert!(entry.role == Role::Vector || entry.role == Role::Map);
            let Some(recipe) = self.book().recipe(entry) else {
                return Ok(self.folded_values(entry).await?.to_vec());
            };
            // A vector is a column; the position table has rows of its own.
            let width: usize = recipe.sections[0].shape.iter().skip(1).product();
            let rows = entry.rows * entry.cols / width;
            let sources = self.gather(&recipe, 0..rows).await?;
            let mut values = vec![0.0; entry.rows * entry.cols];
            values
                .chunks_exact_mut(width)
                .enumerate()
                .for_each(|(row, out)| fill(&recipe, &sources, row, out));
            Ok(values)
        })
    }
}

async fn tokenizer(files: &dyn Files) -> Result<Tokenizer> {
    let json = whole(files, "tokenizer.json").await?;
    let model = whole(files, "tokenizer.model").await?;
    if json.is_none() && model.is_none() {
        let path = std::path::Path::new(&files.describe()).join("tokenizer.json");
        return Err(Error::ModelMissing {
            path,
            why: "neither tokenizer.json nor tokenizer.model is there".into(),
        });
    }
    let config = whole(files, "tokenizer_config.json").await?;
    // The reference reads the SentencePiece model; the JSON stands in where there is none, or none
    // of our kind.
    let first = Tokenizer::from_files(
        json.as_deref().filter(|_| model.is_none()),
        model.as_deref(),
        config.as_deref(),
    );
    if first.is_err() && model.is_some() && json.is_some() {
        return Tokenizer::from_files(json.as_deref(), None, config.as_deref());
    }
    first
}
