//! Which checkpoint tensors make up an entry of the layout, and which row comes from where.

use super::layout::Entry;
use super::names::{Names, ProjectorNames};
use crate::config::{Config, Projector};
use crate::kernels::attention::cache::HeadShape;
use crate::quant::{PANEL, padded_rows};

/// One checkpoint tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// It belongs to the vision tower, which may lie in another folder.
    pub tower: bool,
    /// Its full name.
    pub name: String,
    /// The shape it must have.
    pub shape: Vec<usize>,
    /// Not 0: rotation partners i and i + n / 2 of each head of n rows become 2i and 2i + 1.
    partners: usize,
}

impl Section {
    fn rows(&self) -> usize {
        self.shape[0]
    }
}

/// How an entry is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Stacked, each padded to whole panels; or taken panel by panel in turns.
    pub sections: Vec<Section>,
    interleaved: bool,
}

impl Recipe {
    /// Row `row` of the entry: the section and the row in it; `None` for padding.
    pub fn locate(&self, row: usize) -> Option<(usize, usize)> {
        if self.interleaved {
            let (panel, n) = (row / PANEL, self.sections.len());
            let source = panel / n * PANEL + row % PANEL;
            return (source < self.sections[panel % n].rows()).then_some((panel % n, source));
        }
        let mut first = 0;
        for (i, section) in self.sections.iter().enumerate() {
            let next = first + padded_rows(section.rows());
            if row < next {
                let source = row - first;
                return (source < section.rows()).then(|| (i, unpaired(source, section.partners)));
            }
            first = next;
        }
        None
    }
}

/// The row of a head that lies at `row` once rotation partners are neighbours.
fn unpaired(row: usize, head_dim: usize) -> usize {
    if head_dim == 0 {
        return row;
    }
    let (head, i) = (row / head_dim, row % head_dim);
    head * head_dim + i / 2 + i % 2 * (head_dim / 2)
}

/// The recipes of a checkpoint.
pub struct Book<'a> {
    /// The numbers.
    pub config: &'a Config,
    /// The names.
    pub names: &'a Names,
    /// Before the tower's names.
    pub tower: &'a str,
}

impl Book<'_> {
    /// The recipe of an entry; `None` for what [`Book::folded`] is made into.
    pub fn recipe(&self, entry: &Entry) -> Option<Recipe> {
        let (part, rest) = entry.name.split_once('.').unwrap_or((&entry.name, ""));
        let layer = rest.strip_prefix("layers.").and_then(|r| r.split_once('.'));
        let sections = match (part, layer) {
            ("resampler", _) => return None,
            ("projector", _) => vec![self.projector(rest)],
            ("vision", Some((i, rest))) => self.vision_layer(&format!("encoder.layers.{i}."), rest),
            ("vision", None) => vec![self.vision_part(rest)],
            (_, Some((i, rest))) => self.language_layer(&format!("layers.{i}."), rest),
            (_, None) => vec![self.language_part(rest)],
        };
        Some(Recipe { sections, interleaved: layer.is_some_and(|(_, rest)| rest == "gate_up") })
    }

    /// The resampler's tensors and their shapes.
    pub fn folded(&self) -> Vec<Section> {
        let (Some(ProjectorNames::Resampler(prefix)), Projector::Resampler(r)) =
            (&self.names.projector, &self.config.projector)
        else {
            return Vec::new();
        };
        let (d, hidden, m) = (self.config.vision.hidden, self.config.language.hidden, r.m_max);
        let square = [
            ("query", vec![m, d]),
            ("pos_embed", vec![m, d]),
            ("attn.in_proj_weight", vec![3 * d, d]),
            ("attn.in_proj_bias", vec![3 * d]),
        ];
        let rest = [
            ("attn.out_proj.weight", vec![d, d]),
            ("attn.out_proj.bias", vec![d]),
            ("proj", vec![d, hidden]),
        ];
        let norms = ["ln_q", "ln_k", "ln_v"]
            .into_iter()
            .flat_map(|n| ["weight", "bias"].map(|s| (format!("{n}.{s}"), vec![d])));
        let named = square
            .into_iter()
            .chain(rest)
            .map(|(name, shape)| (name.to_owned(), shape))
            .chain(norms);
        named
            .map(|(name, shape)| Section {
                tower: false,
                name: format!("{prefix}{name}"),
                shape,
                partners: 0,
            })
            .collect()
    }

    fn projector(&self, rest: &str) -> Section {
        let (d, hidden) = (self.config.vision.hidden, self.config.language.hidden);
        let (part, bias) = rest.strip_suffix(".bias").map_or((rest, false), |part| (part, true));
        let section = |name: &str, cols: &[usize]| {
            let (suffix, tail) = if bias { ("bias", &[][..]) } else { ("weight", cols) };
            let shape = [&[hidden], tail].concat();
            Section { tower: false, name: format!("{name}.{suffix}"), shape, partners: 0 }
        };
        let index: usize = part.parse().unwrap_or(0);
        let input = if index == 0 { d } else { hidden };
        match (&self.names.projector, &self.config.projector) {
            (_, _) if part == "newline" => {
                let name = self.names.newline.clone().unwrap_or_else(|| "image_newline".into());
                Section { tower: false, name, shape: vec![hidden], partners: 0 }
            }
            (Some(ProjectorNames::Mlp(linears)), _) => section(&linears[index], &[input]),
            (Some(ProjectorNames::Shuffle(name)), Projector::Shuffle(shuffle)) => {
                section(name, &[shuffle.scale * shuffle.scale * d])
            }
            (Some(ProjectorNames::Ldp2(_, convolution)), _) if part == "depthwise" => {
                section(convolution, &[1, 3, 3])
            }
            (Some(ProjectorNames::Ldp2(linears, _)), _) => section(&linears[index], &[input]),
            _ => unreachable!("the layout follows the names"),
        }
    }

    fn tower(&self, suffix: &str, shape: &[usize]) -> Section {
        Section {
            tower: true,
            name: format!("{}{suffix}", self.tower),
            shape: shape.to_vec(),
            partners: 0,
        }
    }

    fn vision_part(&self, rest: &str) -> Section {
        let v = &self.config.vision;
        match rest {
            "patch" => {
                self.tower("embeddings.patch_embedding.weight", &[v.hidden, 3, v.patch, v.patch])
            }
            "class" => self.tower("embeddings.class_embedding", &[v.hidden]),
            "position" => {
                self.tower("embeddings.position_embedding.weight", &[v.tokens(), v.hidden])
            }
            "patch.bias" => self.tower("embeddings.patch_embedding.bias", &[v.hidden]),
            // The misspelling is the real name.
            _ => {
                let name = rest.replace("pre_norm", "pre_layrnorm");
                self.tower(&name.replace("post_norm", "post_layernorm"), &[v.hidden])
            }
        }
    }

    fn vision_layer(&self, layer: &str, rest: &str) -> Vec<Section> {
        let v = &self.config.vision;
        let one = |name: &str, shape: &[usize]| vec![self.tower(&format!("{layer}{name}"), shape)];
        match rest {
            "qkv" => ["q", "k", "v"]
                .iter()
                .flat_map(|p| one(&format!("self_attn.{p}_proj.weight"), &[v.hidden, v.hidden]))
                .collect(),
            "qkv.bias" => ["q", "k", "v"]
                .iter()
                .flat_map(|p| one(&format!("self_attn.{p}_proj.bias"), &[v.hidden]))
                .collect(),
            "out" => one("self_attn.out_proj.weight", &[v.hidden, v.hidden]),
            "out.bias" => one("self_attn.out_proj.bias", &[v.hidden]),
            "fc1" => one("mlp.fc1.weight", &[v.mlp, v.hidden]),
            "fc1.bias" => one("mlp.fc1.bias", &[v.mlp]),
            "fc2" => one("mlp.fc2.weight", &[v.hidden, v.mlp]),
            "fc2.bias" => one("mlp.fc2.bias", &[v.hidden]),
            norm => one(&norm.replace("norm", "layer_norm"), &[v.hidden]),
        }
    }

    fn language(&self, suffix: &str, shape: &[usize]) -> Section {
        Section {
            tower: false,
            name: format!("{}{suffix}", self.names.language),
            shape: shape.to_vec(),
            partners: 0,
        }
    }

    fn language_part(&self, rest: &str) -> Section {
        let l = &self.config.language;
        match rest {
            "embed" => self.language("embed_tokens.weight", &[l.vocab, l.hidden]),
            "norm" => self.language("norm.weight", &[l.hidden]),
            _ => {
                let name = self.names.head.clone().unwrap_or_else(|| "lm_head.weight".into());
                Section { tower: false, name, shape: vec![l.vocab, l.hidden], partners: 0 }
            }
        }
    }

    fn language_layer(&self, layer: &str, rest: &str) -> Vec<Section> {
        let l = &self.config.language;
        let HeadShape { heads, kv_heads, head_dim } = l.shape;
        let one = |name: &str, shape: &[usize]| self.language(&format!("{layer}{name}"), shape);
        let qkv = |suffix: &str, tail: &[usize]| {
            let part = |(part, n): (&str, usize)| {
                let shape = [&[n * head_dim], tail].concat();
                let partners = if part == "v" { 0 } else { head_dim };
                Section { partners, ..one(&format!("self_attn.{part}_proj.{suffix}"), &shape) }
            };
            [("q", heads), ("k", kv_heads), ("v", kv_heads)].map(part).to_vec()
        };
        match rest {
            "qkv" => qkv("weight", &[l.hidden]),
            "qkv.bias" => qkv("bias", &[]),
            "o" => vec![one("self_attn.o_proj.weight", &[l.hidden, heads * head_dim])],
            "gate_up" => vec![
                one("mlp.gate_proj.weight", &[l.ffn, l.hidden]),
                one("mlp.up_proj.weight", &[l.ffn, l.hidden]),
            ],
            "down" => vec![one("mlp.down_proj.weight", &[l.hidden, l.ffn])],
            "norm1" => vec![one("input_layernorm.weight", &[l.hidden])],
            _ => vec![one("post_attention_layernorm.weight", &[l.hidden])],
        }
    }
}
