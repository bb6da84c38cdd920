//! The tensors of each published layout, by the names their publishers gave them.

use crate::config::{Config, LanguageConfig, Projector, VisionConfig};
use crate::kernels::attention::cache::HeadShape;

/// How a checkpoint is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// gordonhu/MQT-LLaVA-7b: query transformer and tower inside, bf16.
    MqtLlava,
    /// liuhaotian/llava-v1.5-7b: `mm_projector`, f16; the tower is a CLIP folder beside it, f32,
    /// text model included.
    Llava15,
    /// llava-hf, as exported before transformers 4.52.
    LlavaHf,
    /// llava-hf, as exported since.
    LlavaHfNew,
    /// HuggingFaceTB/SmolVLM-256M-Instruct and ibm-granite/granite-docling-258M: bf16, the tower
    /// inside.
    SmolVlm,
    /// mtgv/MobileVLM_V2-1.7B: the tower inside.
    MobileVlm,
}

impl std::str::FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Layout, String> {
        match text {
            "mqt-llava" => Ok(Layout::MqtLlava),
            "llava-1.5" => Ok(Layout::Llava15),
            "llava-hf" => Ok(Layout::LlavaHf),
            "llava-hf-new" => Ok(Layout::LlavaHfNew),
            "smolvlm" => Ok(Layout::SmolVlm),
            "mobilevlm" => Ok(Layout::MobileVlm),
            _ => Err(format!(
                "{text:?} is none of mqt-llava, llava-1.5, llava-hf, llava-hf-new, smolvlm, mobilevlm"
            )),
        }
    }
}

/// Element type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub(super) fn size(self) -> u64 {
        if self == Dtype::F32 { 4 } else { 2 }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
        }
    }
}

/// What its values are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Normal with this deviation, heavy tails, outlier channels.
    Weight(f32),
    /// The same for the first rows, then zeros.
    Rows(f32, usize),
    Norm,
    Bias,
    /// One value for all.
    Scalar(f32),
}

/// One tensor to make.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// The same in every layout: one seed gives one model, whatever its tensors are called.
    pub(super) key: String,
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
}

impl Tensor {
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn bytes(&self, dtype: Dtype) -> u64 {
        self.elements() as u64 * dtype.size()
    }
}

#[derive(Default)]
struct List {
    tensors: Vec<Tensor>,
    /// Before the names that follow, and what stands for it in their keys.
    prefix: String,
    part: String,
}

impl List {
    fn begin(&mut self, part: &str, prefix: &str) {
        (self.part, self.prefix) = (part.into(), prefix.into());
    }

    fn add(&mut self, name: String, shape: &[usize], kind: Kind) {
        let key = format!("{}.{}", self.part, name.strip_prefix(&self.prefix).unwrap_or(&name));
        self.tensors.push(Tensor { name, key, shape: shape.to_vec(), kind });
    }

    /// A Linear [out, in] with a bias; values keep a unit input near unit size.
    fn linear(&mut self, name: &str, out: usize, input: usize) {
        self.add(
            format!("{name}.weight"),
            &[out, input],
            Kind::Weight(0.6 / (input as f32).sqrt()),
        );
        self.add(format!("{name}.bias"), &[out], Kind::Bias);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(format!("{name}.weight"), &[width], Kind::Norm);
        self.add(format!("{name}.bias"), &[width], Kind::Bias);
    }
}

/// The folder that the CLIP tower is published as.
const CLIP: &str = "openai/clip-vit-large-patch14-336";

impl Layout {
    /// The layout that a model of these numbers is published in.
    pub(super) fn own(config: &Config) -> Layout {
        match &config.projector {
            Projector::Resampler(_) => Layout::MqtLlava,
            Projector::Mlp(_) if config.vision.class_token => Layout::Llava15,
            Projector::Mlp(_) => Layout::LlavaHf,
            Projector::Shuffle(_) => Layout::SmolVlm,
            Projector::Ldp2(_) => Layout::MobileVlm,
        }
    }

    /// One of LLaVA's, which any CLIP tower and LLaMA decoder can be written in.
    pub(super) fn is_llava(self) -> bool {
        matches!(self, Layout::Llava15 | Layout::LlavaHf | Layout::LlavaHfNew)
    }

    /// The element type of its main files.
    pub(super) fn dtype(self) -> Dtype {
        match self {
            Layout::MqtLlava | Layout::SmolVlm => Dtype::Bf16,
            _ => Dtype::F16,
        }
    }

    /// What `mm_vision_tower` says of this tower.
    pub(super) fn tower_name(config: &Config) -> &'static str {
        if config.vision.hidden == 1024 && config.vision.image_size == 336 {
            CLIP
        } else {
            "vision_tower"
        }
    }

    /// The tensors of the main folder.
    pub(super) fn tensors(self, config: &Config) -> Vec<Tensor> {
        let mut list = List::default();
        let (language_prefix, head) = match self {
            Layout::MqtLlava | Layout::Llava15 | Layout::MobileVlm => ("model.", "lm_head.weight"),
            Layout::SmolVlm => ("model.text_model.", "lm_head.weight"),
            Layout::LlavaHf => ("language_model.model.", "language_model.lm_head.weight"),
            Layout::LlavaHfNew => ("model.language_model.", "lm_head.weight"),
        };
        language(&mut list, language_prefix, head, &config.language, self.vocab(config));
        let (d, hidden) = (config.vision.hidden, config.language.hidden);
        let projector: &[&str] = match self {
            Layout::MqtLlava => {
                resampler(&mut list, config);
                &[]
            }
            Layout::SmolVlm => {
                shuffle(&mut list, config);
                &[]
            }
            Layout::Llava15 => &["model.mm_projector.0", "model.mm_projector.2"],
            Layout::LlavaHf => {
                &["multi_modal_projector.linear_1", "multi_modal_projector.linear_2"]
            }
            Layout::LlavaHfNew => {
                &["model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_2"]
            }
            Layout::MobileVlm => &["model.mm_projector.mlp.mlp.0", "model.mm_projector.mlp.mlp.2"],
        };
        for (i, name) in projector.iter().enumerate() {
            list.begin(&format!("projector.{i}"), name);
            list.linear(name, hidden, if i == 0 { d } else { hidden });
        }
        match &config.projector {
            Projector::Ldp2(_) => {
                let peg = "model.mm_projector.peg.peg.0";
                list.begin("projector.depthwise", peg);
                list.add(format!("{peg}.weight"), &[hidden, 1, 3, 3], Kind::Weight(0.1));
                list.add(format!("{peg}.bias"), &[hidden], Kind::Bias);
            }
            Projector::Mlp(mlp) if mlp.newline => {
                list.begin("projector.newline", "image_newline");
                list.add("image_newline".into(), &[hidden], Kind::Weight(0.02));
            }
            _ => {}
        }
        match self {
            Layout::MqtLlava | Layout::MobileVlm => {
                vision(&mut list, "model.vision_tower.vision_tower.vision_model.", &config.vision)
            }
            Layout::SmolVlm => vision(&mut list, "model.vision_model.", &config.vision),
            Layout::Llava15 => {}
            Layout::LlavaHf => vision(&mut list, "vision_tower.vision_model.", &config.vision),
            Layout::LlavaHfNew => {
                vision(&mut list, "model.vision_tower.vision_model.", &config.vision)
            }
        }
        list.tensors
    }

    /// The tower's own folder and its tensors, where it is published apart.
    pub(super) fn tower(self, config: &Config) -> Option<(&'static str, Vec<Tensor>)> {
        if self != Layout::Llava15 {
            return None;
        }
        let mut list = List::default();
        vision(&mut list, "vision_model.", &config.vision);
        clip_text(&mut list, config.vision.hidden);
        Some((Layout::tower_name(config), list.tensors))
    }

    /// Rows of the embedding table: llava-hf adds `<image>`, `<pad>` and padding to LLaMA's.
    pub(super) fn vocab(self, config: &Config) -> usize {
        let adds =
            matches!(self, Layout::LlavaHf | Layout::LlavaHfNew) && config.vision.class_token;
        let extra = if adds { 64 } else { 0 };
        config.language.vocab + extra
    }
}

fn language(list: &mut List, prefix: &str, head: &str, l: &LanguageConfig, vocab: usize) {
    let HeadShape { heads, kv_heads, head_dim } = l.shape;
    // What a layer adds to the residual stream shrinks with the number of layers, as in trained
    // models.
    let added = 0.02 / (2.0 * l.layers as f32).sqrt();
    list.begin("language", prefix);
    list.add(format!("{prefix}embed_tokens.weight"), &[vocab, l.hidden], Kind::Rows(0.02, l.vocab));
    for i in 0..l.layers {
        let name = |part: &str| format!("{prefix}layers.{i}.{part}.weight");
        list.add(name("input_layernorm"), &[l.hidden], Kind::Norm);
        for (part, n) in [("q", heads), ("k", kv_heads), ("v", kv_heads)] {
            let part = format!("self_attn.{part}_proj");
            list.add(name(&part), &[n * head_dim, l.hidden], Kind::Weight(0.02));
            if l.qkv_bias {
                let bias = format!("{prefix}layers.{i}.{part}.bias");
                list.add(bias, &[n * head_dim], Kind::Bias);
            }
        }
        list.add(name("self_attn.o_proj"), &[l.hidden, heads * head_dim], Kind::Weight(added));
        list.add(name("post_attention_layernorm"), &[l.hidden], Kind::Norm);
        list.add(name("mlp.gate_proj"), &[l.ffn, l.hidden], Kind::Weight(0.02));
        list.add(name("mlp.up_proj"), &[l.ffn, l.hidden], Kind::Weight(0.02));
        list.add(name("mlp.down_proj"), &[l.hidden, l.ffn], Kind::Weight(added));
    }
    list.add(format!("{prefix}norm.weight"), &[l.hidden], Kind::Norm);
    if !l.tied {
        list.begin("head", head);
        list.add(head.into(), &[vocab, l.hidden], Kind::Rows(0.02, l.vocab));
    }
}

/// Idefics3's connector.
fn shuffle(list: &mut List, config: &Config) {
    let Projector::Shuffle(shuffle) = &config.projector else { return };
    let input = shuffle.scale * shuffle.scale * config.vision.hidden;
    let name = "model.connector.modality_projection.proj.weight";
    list.begin("projector.0", "model.connector.modality_projection.proj");
    let weight = Kind::Weight(0.6 / (input as f32).sqrt());
    list.add(name.into(), &[config.language.hidden, input], weight);
}

fn resampler(list: &mut List, config: &Config) {
    let Projector::Resampler(r) = &config.projector else { return };
    let (d, hidden) = (config.vision.hidden, config.language.hidden);
    let name = |part: &str| format!("model.query_abstractor.{part}");
    list.begin("resampler", &name(""));
    list.add(name("query"), &[r.m_max, d], Kind::Weight(0.3));
    list.add(name("pos_embed"), &[r.m_max, d], Kind::Weight(0.6));
    list.add(name("attn.in_proj_weight"), &[3 * d, d], Kind::Weight(1.0 / (d as f32).sqrt()));
    list.add(name("attn.in_proj_bias"), &[3 * d], Kind::Bias);
    list.linear(&name("attn.out_proj"), d, d);
    for norm in ["ln_q", "ln_k", "ln_v"] {
        list.norm(&name(norm), d);
    }
    list.add(name("proj"), &[d, hidden], Kind::Weight(0.3 / (d as f32).sqrt()));
}

/// All layers, of CLIP's one more than run, and the last norm.
fn vision(list: &mut List, prefix: &str, v: &VisionConfig) {
    let d = v.hidden;
    list.begin("vision", prefix);
    let patches = Kind::Weight(1.0 / (3.0 * (v.patch * v.patch) as f32).sqrt());
    if v.class_token {
        list.add(format!("{prefix}embeddings.class_embedding"), &[d], Kind::Weight(0.3));
    }
    list.add(
        format!("{prefix}embeddings.patch_embedding.weight"),
        &[d, 3, v.patch, v.patch],
        patches,
    );
    if v.patch_bias {
        list.add(format!("{prefix}embeddings.patch_embedding.bias"), &[d], Kind::Bias);
    }
    list.add(
        format!("{prefix}embeddings.position_embedding.weight"),
        &[v.tokens(), d],
        Kind::Weight(0.3),
    );
    if v.pre_norm {
        list.norm(&format!("{prefix}pre_layrnorm"), d);
    }
    layers(list, prefix, v.layers + usize::from(v.class_token), d, v.mlp);
    list.norm(&format!("{prefix}post_layernorm"), d);
}

fn layers(list: &mut List, prefix: &str, n: usize, d: usize, mlp: usize) {
    for i in 0..n {
        let layer = format!("{prefix}encoder.layers.{i}");
        for part in ["k", "v", "q", "out"] {
            list.linear(&format!("{layer}.self_attn.{part}_proj"), d, d);
        }
        list.norm(&format!("{layer}.layer_norm1"), d);
        list.linear(&format!("{layer}.mlp.fc1"), mlp, d);
        list.linear(&format!("{layer}.mlp.fc2"), d, mlp);
        list.norm(&format!("{layer}.layer_norm2"), d);
    }
}

/// The text half of a CLIP model, which nothing here reads.
fn clip_text(list: &mut List, vision: usize) {
    let (d, projected) = (768, 768);
    list.begin("clip", "");
    list.add(
        "text_model.embeddings.token_embedding.weight".into(),
        &[49_408, d],
        Kind::Weight(0.02),
    );
    list.add(
        "text_model.embeddings.position_embedding.weight".into(),
        &[77, d],
        Kind::Weight(0.02),
    );
    layers(list, "text_model.", 12, d, 3072);
    list.norm("text_model.final_layer_norm", d);
    list.add("visual_projection.weight".into(), &[projected, vision], Kind::Weight(0.02));
    list.add("text_projection.weight".into(), &[projected, d], Kind::Weight(0.02));
    list.add("logit_scale".into(), &[], Kind::Scalar(4.6052));
}
