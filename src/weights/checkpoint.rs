//! A checkpoint folder as published → configuration, tokenizer, and tensors on demand in panel layout.

use super::files::{Files, Local, check_name, json, whole};
use super::fold::{Folded, Resampler};
use super::layout::{Entry, Role, gate_row, gate_up_rows};
use super::names::{self, Names};
use super::safetensors::{self, read_floats};
use super::{Supply, Weights};
use crate::error::{Error, Result};
use crate::kernels::heads::HeadShape;
use crate::model::config::{self, Config, Fields};
use crate::quant::{Packed, padded_rows};
use crate::text::Tokenizer;
use serde_json::Value;
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, safetensors::Entry>;

/// An opened checkpoint: small files read, tensors located and checked by name, none loaded.
pub struct Checkpoint {
    files: Box<dyn Files>,
    tensors: Tensors,
    names: Names,
    resampler: String,
    tower: Tower,
    weights: Weights,
    folded: std::cell::OnceCell<Folded>,
    /// The numbers.
    pub config: Config,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
}

/// Where the vision tower's tensors are.
struct Tower {
    /// A folder of its own, or the checkpoint's.
    files: Option<Box<dyn Files>>,
    tensors: Tensors,
    prefix: String,
}

impl Checkpoint {
    /// Opens `files`; `tower` is the folder given by `--vision-tower`, if any.
    ///
    /// # Errors
    /// [`Error::ModelMissing`], [`Error::ModelCorrupt`] or [`Error::TensorMissing`], naming the file or tensor.
    pub async fn open(files: Box<dyn Files>, tower: Option<Box<dyn Files>>, weights: Weights) -> Result<Checkpoint> {
        let Some(json_config) = json(&*files, "config.json").await? else {
            let path = std::path::PathBuf::from(files.describe());
            let why = "it has neither manifest.json (a pack) nor config.json (a checkpoint)".into();
            return Err(Error::ModelMissing { path, why });
        };
        let fields = Fields { file: "config.json", value: &json_config };
        let tensors = all_tensors(&*files).await?;
        let Some(names) = names::recognise(&tensors) else {
            let hint = "; this does not look like a LLaVA checkpoint".into();
            return Err(Error::TensorMissing { name: "model.embed_tokens.weight".into(), hint });
        };
        let Some(resampler) = names.resampler.clone() else {
            let hint = "; without a query transformer this is not an MQT checkpoint".into();
            return Err(Error::TensorMissing { name: "model.query_abstractor.query".into(), hint });
        };
        let tower = find_tower(&*files, tower, &names, fields).await?;
        let (vision_json, preprocessor) = (tower.1, tower.2);
        let opened = Opened { tensors: &tensors, names: &names, resampler: &resampler, fields };
        let generation = json(&*files, "generation_config.json").await?;
        let tokenizer = tokenizer(&*files).await?;
        let config = opened.config(&vision_json, preprocessor.as_ref(), generation.as_ref(), &tokenizer)?;
        let folded = std::cell::OnceCell::new();
        Ok(Checkpoint { files, tensors, names, resampler, tower: tower.0, weights, folded, config, tokenizer })
    }

    /// The SHA-256 of the configuration and of every tensor's place: names a checkpoint without reading gigabytes.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&self.config).unwrap_or_default());
        for (name, entry) in &self.tensors {
            hash.update(format!("{name} {:?} {:?} {} {:?}\n", entry.dtype, entry.shape, entry.file, entry.range));
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The values of a checkpoint tensor, whose shape must be `shape`.
    async fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        floats(&*self.files, &self.tensors, name, shape).await
    }

    async fn tower_floats(&self, suffix: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let files = self.tower.files.as_deref().unwrap_or(&*self.files);
        let tensors = if self.tower.files.is_some() { &self.tower.tensors } else { &self.tensors };
        floats(files, tensors, &format!("{}{suffix}", self.tower.prefix), shape).await
    }

    async fn language_floats(&self, suffix: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.floats(&format!("{}{suffix}", self.names.language), shape).await
    }

    async fn folded(&self) -> Result<&Folded> {
        if self.folded.get().is_none() {
            let (d, hidden, r) = (self.config.vision.hidden, self.config.language.hidden, &self.config.resampler);
            let get = async |suffix: &str, shape: &[usize]| self.floats(&format!("{}{suffix}", self.resampler), shape).await;
            let norm = async |name: &str| Ok::<_, Error>((get(&format!("{name}.weight"), &[d]).await?, get(&format!("{name}.bias"), &[d]).await?));
            let resampler = Resampler {
                query: get("query", &[r.m_max, d]).await?,
                pos_embed: get("pos_embed", &[r.m_max, d]).await?,
                in_proj: get("attn.in_proj_weight", &[3 * d, d]).await?,
                in_bias: get("attn.in_proj_bias", &[3 * d]).await?,
                out_proj: get("attn.out_proj.weight", &[d, d]).await?,
                out_bias: get("attn.out_proj.bias", &[d]).await?,
                norms: [norm("ln_q").await?, norm("ln_k").await?, norm("ln_v").await?],
                proj: get("proj", &[d, hidden]).await?,
                width: d,
                heads: r.heads,
            };
            let _ = self.folded.set(resampler.fold(self.config.vision.grid()));
        }
        Ok(self.folded.get().expect("set above"))
    }

    /// The values of an entry of the layout, [rows, cols], row-major.
    async fn values(&self, entry: &Entry) -> Result<Vec<f32>> {
        let (part, rest) = entry.name.split_once('.').unwrap_or((&entry.name, ""));
        let layer = rest.strip_prefix("layers.").and_then(|r| r.split_once('.'));
        match (part, layer) {
            ("resampler", _) => {
                let folded = self.folded().await?;
                Ok(match rest {
                    "map" => folded.map.clone(),
                    "value" => folded.value.clone(),
                    "out" => folded.out.clone(),
                    _ => folded.bias.clone(),
                })
            }
            ("vision", Some((i, rest))) => self.vision_layer(&format!("encoder.layers.{i}."), rest).await,
            ("vision", None) => self.vision_part(rest).await,
            (_, Some((i, rest))) => self.language_layer(&format!("layers.{i}."), rest).await,
            (_, None) => self.language_part(rest).await,
        }
    }

    async fn vision_part(&self, rest: &str) -> Result<Vec<f32>> {
        let v = &self.config.vision;
        match rest {
            "patch" => self.tower_floats("embeddings.patch_embedding.weight", &[v.hidden, 3, v.patch, v.patch]).await,
            "class" => self.tower_floats("embeddings.class_embedding", &[v.hidden]).await,
            "position" => self.tower_floats("embeddings.position_embedding.weight", &[v.patches() + 1, v.hidden]).await,
            // The misspelling is the real name.
            _ => self.tower_floats(&rest.replace("pre_norm", "pre_layrnorm"), &[v.hidden]).await,
        }
    }

    async fn vision_layer(&self, layer: &str, rest: &str) -> Result<Vec<f32>> {
        let v = &self.config.vision;
        let get = async |name: &str, shape: &[usize]| self.tower_floats(&format!("{layer}{name}"), shape).await;
        match rest {
            "qkv" | "qkv.bias" => {
                let (suffix, width) = if rest == "qkv" { ("weight", v.hidden) } else { ("bias", 1) };
                let mut out = Vec::new();
                for part in ["q", "k", "v"] {
                    let shape = if width == 1 { vec![v.hidden] } else { vec![v.hidden, width] };
                    section(&mut out, &get(&format!("self_attn.{part}_proj.{suffix}"), &shape).await?, width);
                }
                Ok(out)
            }
            "out" => get("self_attn.out_proj.weight", &[v.hidden, v.hidden]).await,
            "out.bias" => get("self_attn.out_proj.bias", &[v.hidden]).await,
            "fc1" => get("mlp.fc1.weight", &[v.mlp, v.hidden]).await,
            "fc1.bias" => get("mlp.fc1.bias", &[v.mlp]).await,
            "fc2" => get("mlp.fc2.weight", &[v.hidden, v.mlp]).await,
            "fc2.bias" => get("mlp.fc2.bias", &[v.hidden]).await,
            norm => get(&norm.replace("norm", "layer_norm"), &[v.hidden]).await,
        }
    }

    async fn language_part(&self, rest: &str) -> Result<Vec<f32>> {
        let l = &self.config.language;
        match rest {
            "embed" => self.language_floats("embed_tokens.weight", &[l.vocab, l.hidden]).await,
            "norm" => self.language_floats("norm.weight", &[l.hidden]).await,
            _ => {
                let name = self.names.head.as_deref().expect("the layout has a head only where the checkpoint does");
                self.floats(name, &[l.vocab, l.hidden]).await
            }
        }
    }

    async fn language_layer(&self, layer: &str, rest: &str) -> Result<Vec<f32>> {
        let l = &self.config.language;
        let HeadShape { heads, kv_heads, head_dim } = l.shape;
        let get = async |name: &str, shape: &[usize]| self.language_floats(&format!("{layer}{name}"), shape).await;
        match rest {
            "qkv" | "qkv.bias" => {
                let (suffix, width) = if rest == "qkv" { ("weight", l.hidden) } else { ("bias", 1) };
                let mut out = Vec::new();
                for (part, n) in [("q", heads), ("k", kv_heads), ("v", kv_heads)] {
                    let rows = n * head_dim;
                    let shape = if width == 1 { vec![rows] } else { vec![rows, width] };
                    let values = get(&format!("self_attn.{part}_proj.{suffix}"), &shape).await?;
                    let values = if part == "v" { values } else { partners_adjacent(&values, head_dim, width) };
                    section(&mut out, &values, width);
                }
                Ok(out)
            }
            "o" => get("self_attn.o_proj.weight", &[l.hidden, heads * head_dim]).await,
            "gate_up" => {
                let (gate, up) = (get("mlp.gate_proj.weight", &[l.ffn, l.hidden]).await?, get("mlp.up_proj.weight", &[l.ffn, l.hidden]).await?);
                let mut out = vec![0.0; gate_up_rows(l.ffn) * l.hidden];
                for f in 0..l.ffn {
                    let (from, to) = (f * l.hidden..(f + 1) * l.hidden, gate_row(f) * l.hidden);
                    out[to..to + l.hidden].copy_from_slice(&gate[from.clone()]);
                    let to = to + crate::quant::PANEL * l.hidden;
                    out[to..to + l.hidden].copy_from_slice(&up[from]);
                }
                Ok(out)
            }
            "down" => get("mlp.down_proj.weight", &[l.hidden, l.ffn]).await,
            "norm1" => get("input_layernorm.weight", &[l.hidden]).await,
            _ => get("post_attention_layernorm.weight", &[l.hidden]).await,
        }
    }
}

impl Supply for Checkpoint {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Local<'a, Result<Packed>> {
        Box::pin(async move {
            let values = self.values(entry).await?;
            Ok(Packed::pack(self.weights.format(entry.role), &values, entry.rows, entry.cols))
        })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Local<'a, Result<Vec<f32>>> {
        Box::pin(async move {
            let values = self.values(entry).await?;
            debug_assert!(entry.role == Role::Vector || entry.role == Role::Map);
            Ok(values)
        })
    }
}

/// Appends `values` [rows, width], padded with zero rows to whole panels.
fn section(out: &mut Vec<f32>, values: &[f32], width: usize) {
    out.extend_from_slice(values);
    let rows = values.len() / width;
    out.resize(out.len() + (padded_rows(rows) - rows) * width, 0.0);
}

/// Reorders the rows of each head so that rotation partners i and i + head_dim / 2 become 2i and 2i + 1.
fn partners_adjacent(values: &[f32], head_dim: usize, width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_dim * width) {
        for i in 0..head_dim / 2 {
            out.extend_from_slice(&head[i * width..][..width]);
            out.extend_from_slice(&head[(i + head_dim / 2) * width..][..width]);
        }
    }
    out
}

async fn floats(files: &dyn Files, tensors: &Tensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let entry = expect(tensors, name, shape)?;
    read_floats(files, name, entry).await
}

fn expect<'a>(tensors: &'a Tensors, name: &str, shape: &[usize]) -> Result<&'a safetensors::Entry> {
    let entry = tensors.get(name).ok_or_else(|| Error::TensorMissing { name: name.into(), hint: "; the download may be incomplete".into() })?;
    if entry.shape != shape {
        return Err(Error::TensorShape { name: name.into(), expected: shape.to_vec(), got: entry.shape.clone() });
    }
    Ok(entry)
}

/// Every tensor of a folder: of the files its index names, or of all its safetensors files.
async fn all_tensors(files: &dyn Files) -> Result<Tensors> {
    const INDEX: &str = "model.safetensors.index.json";
    let mut tensors = Tensors::new();
    let (names, index) = match json(files, INDEX).await? {
        Some(index) => {
            let map = index.get("weight_map").and_then(Value::as_object);
            let map = map.ok_or_else(|| Error::ModelCorrupt { file: INDEX.into(), problem: "it has no weight_map".into() })?;
            let mut names: Vec<String> = Vec::new();
            for value in map.values() {
                let name = value.as_str().unwrap_or_default();
                check_name(name, INDEX)?;
                names.push(name.to_owned());
            }
            names.sort();
            names.dedup();
            (names, Some(map.clone()))
        }
        None => (files.list().into_iter().filter(|n| n.ends_with(".safetensors")).collect(), None),
    };
    for file in &names {
        for (name, entry) in safetensors::read_header(files, file).await? {
            if let Some(old) = tensors.insert(name.clone(), entry) {
                let problem = format!("tensor {name} is also in {}", old.file);
                return Err(Error::ModelCorrupt { file: file.clone(), problem });
            }
        }
    }
    for (name, file) in index.iter().flatten() {
        if tensors.get(name).is_none_or(|e| Some(e.file.as_str()) != file.as_str()) {
            let problem = format!("tensor {name} is not in {file}, where {INDEX} says it is");
            return Err(Error::ModelCorrupt { file: INDEX.into(), problem });
        }
    }
    Ok(tensors)
}

/// The tower's tensors, its configuration, and its preprocessor's.
type FoundTower = (Tower, Value, Option<Value>);

async fn find_tower(files: &dyn Files, given: Option<Box<dyn Files>>, names: &Names, fields: Fields<'_>) -> Result<FoundTower> {
    let named = fields.text("mm_vision_tower").unwrap_or_default();
    let mut candidates: Vec<Box<dyn Files>> = given.into_iter().collect();
    candidates.extend(files.folder(named).filter(|_| !named.is_empty()));
    candidates.extend(files.folder("vision_tower"));
    let mut config = None;
    let mut own_preprocessor = None;
    let mut own = None;
    let mut looked_in = Vec::new();
    for folder in candidates {
        looked_in.push(folder.describe());
        if config.is_none() {
            let json = json(&*folder, "config.json").await?;
            config = json.map(|json| json.get("vision_config").filter(|v| v.is_object()).cloned().unwrap_or(json));
        }
        if own_preprocessor.is_none() {
            own_preprocessor = json(&*folder, "preprocessor_config.json").await?;
        }
        let tensors = all_tensors(&*folder).await?;
        if own.is_none() && !tensors.is_empty() {
            let Some(prefix) = names::vision_prefix(&tensors) else {
                let hint = format!("; looked in {}", folder.describe());
                return Err(Error::TensorMissing { name: "vision_model.embeddings.patch_embedding.weight".into(), hint });
            };
            own = Some(Tower { files: Some(folder), tensors, prefix });
        }
    }
    let preprocessor = match own_preprocessor {
        Some(own) => Some(own),
        None => json(files, "preprocessor_config.json").await?,
    };
    let config = match (config, fields.get("vision_config").filter(|v| v.is_object())) {
        (Some(config), _) => config,
        (None, Some(inner)) => inner.clone(),
        (None, None) if named == "openai/clip-vit-large-patch14-336" => serde_json::from_str(config::CLIP_L_336).expect("the constant is valid JSON"),
        (None, None) => {
            return Err(fields.bad(format!("the numbers of its vision tower {named:?} are nowhere; give its folder with --vision-tower")));
        }
    };
    let tower = match (own, &names.vision) {
        (Some(own), _) => own,
        (None, Some(prefix)) => Tower { files: None, tensors: Tensors::new(), prefix: prefix.clone() },
        (None, None) => {
            let hint = match looked_in.as_slice() {
                [] => "; give the vision tower's folder with --vision-tower".into(),
                folders => format!("; there are no safetensors in {}", folders.join(" or ")),
            };
            return Err(Error::TensorMissing { name: "model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.weight".into(), hint });
        }
    };
    Ok((tower, config, preprocessor))
}

async fn tokenizer(files: &dyn Files) -> Result<Tokenizer> {
    let json = whole(files, "tokenizer.json").await?;
    let model = whole(files, "tokenizer.model").await?;
    if json.is_none() && model.is_none() {
        let path = std::path::Path::new(&files.describe()).join("tokenizer.json");
        return Err(Error::ModelMissing { path, why: "neither tokenizer.json nor tokenizer.model is there".into() });
    }
    let config = whole(files, "tokenizer_config.json").await?;
    // The reference reads the SentencePiece model; the JSON stands in where there is none, or none of our kind.
    let first = Tokenizer::from_files(json.as_deref().filter(|_| model.is_none()), model.as_deref(), config.as_deref());
    if first.is_err() && model.is_some() && json.is_some() {
        return Tokenizer::from_files(json.as_deref(), None, config.as_deref());
    }
    first
}

/// What configuration is read from.
struct Opened<'a> {
    tensors: &'a Tensors,
    names: &'a Names,
    resampler: &'a str,
    fields: Fields<'a>,
}

impl Opened<'_> {
    fn shape2(&self, name: &str) -> Result<[usize; 2]> {
        let entry = self.tensors.get(name).ok_or_else(|| Error::TensorMissing { name: name.into(), hint: String::new() })?;
        <[usize; 2]>::try_from(entry.shape.as_slice()).map_err(|_| Error::TensorShape {
            name: name.into(),
            expected: vec![0, 0],
            got: entry.shape.clone(),
        })
    }

    fn config(&self, vision: &Value, preprocessor: Option<&Value>, generation: Option<&Value>, tokenizer: &Tokenizer) -> Result<Config> {
        let fields = self.fields;
        let select = fields.get("mm_vision_select_layer").or_else(|| fields.get("vision_feature_layer")).and_then(Value::as_i64).unwrap_or(-2);
        if let Some(other) = fields.text("mm_vision_select_feature").filter(|f| *f != "patch") {
            return Err(fields.bad(format!("mm_vision_select_feature {other:?} is not supported; patch is")));
        }
        if fields.get("mm_use_im_start_end").and_then(Value::as_bool) == Some(true) {
            return Err(fields.bad("mm_use_im_start_end is not supported: the prompt would lack its tokens around the picture".into()));
        }
        self.refuse_unread_tensors()?;
        let vision = config::vision(Fields { file: "the vision tower's config.json", value: vision }, select)?;
        let [vocab, _] = self.shape2(&format!("{}embed_tokens.weight", self.names.language))?;
        let qkv_bias = self.tensors.contains_key(&format!("{}layers.0.self_attn.q_proj.bias", self.names.language));
        let text = fields.inner("text_config").unwrap_or(fields);
        let language = config::language(text, vocab, self.names.head.is_some(), qkv_bias)?;
        let resampler = self.resampler(vision.hidden)?;
        let preprocessor = preprocessor.map(|value| Fields { file: "preprocessor_config.json", value });
        let (mean, std) = config::normalisation(preprocessor)?;
        let generation = generation.map(|value| Fields { file: "generation_config.json", value });
        let end_ids = config::end_ids(&[Some(text), Some(fields), generation], tokenizer.eos());
        let pad_to_square = fields.text("image_aspect_ratio") == Some("pad");
        let config = Config { vision, resampler, language, pad_to_square, mean, std, end_ids };
        config.check("config.json")?;
        Ok(config)
    }

    /// A tensor of a decoder layer that we do not know would change the answer: better none than a wrong one.
    fn refuse_unread_tensors(&self) -> Result<()> {
        const READ: [&str; 13] = [
            "self_attn.q_proj.weight",
            "self_attn.k_proj.weight",
            "self_attn.v_proj.weight",
            "self_attn.o_proj.weight",
            "self_attn.q_proj.bias",
            "self_attn.k_proj.bias",
            "self_attn.v_proj.bias",
            "mlp.gate_proj.weight",
            "mlp.up_proj.weight",
            "mlp.down_proj.weight",
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            // Old checkpoints carry it; it follows from rope_theta.
            "self_attn.rotary_emb.inv_freq",
        ];
        let prefix = format!("{}layers.", self.names.language);
        for name in self.tensors.keys() {
            let suffix = name.strip_prefix(&prefix).and_then(|rest| rest.split_once('.')).map(|(_, suffix)| suffix);
            if suffix.is_some_and(|s| !READ.contains(&s)) {
                let problem = format!("its tensor {name} belongs to an architecture this version does not know");
                return Err(Error::ModelCorrupt { file: "the checkpoint".into(), problem });
            }
        }
        Ok(())
    }

    fn resampler(&self, width: usize) -> Result<config::ResamplerConfig> {
        let name = format!("{}query", self.resampler);
        let [m_max, d] = self.shape2(&name)?;
        if d != width {
            return Err(Error::TensorShape { name, expected: vec![m_max, width], got: vec![m_max, d] });
        }
        config::resampler(self.fields, m_max)
    }
}
