//! Every tensor of the network by our name, with its shape: the one list that loading, packing and
//! inspecting follow.

use crate::config::{Config, Projector};
use crate::kernels::attention::cache::HeadShape;
use crate::kernels::depthwise;
use crate::quant::padded_rows;

/// What a tensor is for; decides its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A matrix of the decoder's layers: nearly all the bytes.
    Layer,
    /// One of its last layer, whose errors nothing after it makes up for.
    LastLayer,
    /// The embedding table or the output head.
    Head,
    /// A matrix of the vision tower, the resampler or the projector.
    Vision,
    /// The patch embedding: small, and its input is the picture itself.
    Patch,
    /// The resampler's attention map.
    Map,
    /// A norm's gain, a bias, a position table: always f32.
    Vector,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Our name, e.g. `language.layers.3.qkv`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Rows as the kernels see them: sections padded to whole panels are counted padded.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Rows of [gate | up] interleaved panel by panel.
pub fn gate_up_rows(ffn: usize) -> usize {
    2 * padded_rows(ffn)
}

/// Parameters of a network as it runs: layers that never influence an answer are not counted.
pub fn parameters(config: &Config) -> u64 {
    layout(config).iter().map(|e| (e.rows * e.cols) as u64).sum()
}

/// All tensors, in the order they are loaded: tower, resampler or projector, embedding, layers,
/// head.
pub fn layout(config: &Config) -> Vec<Entry> {
    let mut list = List(Vec::new());
    vision(&mut list, config);
    let (d, hidden) = (config.vision.hidden, config.language.hidden);
    match &config.projector {
        Projector::Resampler(r) => {
            list.add("resampler.map", Role::Map, r.heads * r.m_max, config.vision.patches());
            list.add("resampler.value", Role::Vision, d, d);
            list.add("resampler.out", Role::Vision, hidden, d);
            list.add("resampler.bias", Role::Vector, 1, hidden);
        }
        Projector::Mlp(mlp) => {
            for i in 0..mlp.linears {
                list.linear(
                    &format!("projector.{i}"),
                    Role::Vision,
                    hidden,
                    if i == 0 { d } else { hidden },
                    mlp.bias,
                );
            }
            if mlp.newline {
                list.add("projector.newline", Role::Vector, 1, hidden);
            }
        }
        Projector::Shuffle(shuffle) => {
            list.add("projector.0", Role::Vision, hidden, shuffle.scale * shuffle.scale * d);
        }
        Projector::Ldp2(_) => {
            list.linear("projector.0", Role::Vision, hidden, d, true);
            list.linear("projector.1", Role::Vision, hidden, hidden, true);
            list.add("projector.depthwise", Role::Vector, hidden, depthwise::TAPS);
            list.add("projector.depthwise.bias", Role::Vector, 1, hidden);
        }
    }
    language(&mut list, config);
    list.0
}

/// Parameters of the decoder, embeddings and head included.
pub fn decoder_parameters(config: &Config) -> u64 {
    let mut list = List(Vec::new());
    language(&mut list, config);
    list.0.iter().map(|entry| (entry.rows * entry.cols) as u64).sum()
}

fn vision(list: &mut List, config: &Config) {
    let v = &config.vision;
    list.linear("vision.patch", Role::Patch, v.hidden, 3 * v.patch * v.patch, v.patch_bias);
    if v.class_token {
        list.add("vision.class", Role::Vector, 1, v.hidden);
    }
    list.add("vision.position", Role::Vector, v.tokens(), v.hidden);
    if v.pre_norm {
        list.norm("vision.pre_norm", v.hidden);
    }
    for i in 0..v.layers {
        let layer = format!("vision.layers.{i}");
        list.norm(&format!("{layer}.norm1"), v.hidden);
        list.linear(&format!("{layer}.qkv"), Role::Vision, v.shape().sections().2, v.hidden, true);
        list.linear(&format!("{layer}.out"), Role::Vision, v.hidden, v.hidden, true);
        list.norm(&format!("{layer}.norm2"), v.hidden);
        list.linear(&format!("{layer}.fc1"), Role::Vision, v.mlp, v.hidden, true);
        list.linear(&format!("{layer}.fc2"), Role::Vision, v.hidden, v.mlp, true);
    }
    if v.post_norm {
        list.norm("vision.post_norm", v.hidden);
    }
}

fn language(list: &mut List, config: &Config) {
    let l = &config.language;
    let HeadShape { heads, head_dim, .. } = l.shape;
    list.add("language.embed", Role::Head, l.vocab, l.hidden);
    for i in 0..l.layers {
        let layer = format!("language.layers.{i}");
        let role = if i + 1 == l.layers { Role::LastLayer } else { Role::Layer };
        list.add(&format!("{layer}.norm1"), Role::Vector, 1, l.hidden);
        list.linear(&format!("{layer}.qkv"), role, l.shape.sections().2, l.hidden, l.qkv_bias);
        list.add(&format!("{layer}.o"), role, l.hidden, heads * head_dim);
        list.add(&format!("{layer}.norm2"), Role::Vector, 1, l.hidden);
        list.add(&format!("{layer}.gate_up"), role, gate_up_rows(l.ffn), l.hidden);
        list.add(&format!("{layer}.down"), role, l.hidden, l.ffn);
    }
    list.add("language.norm", Role::Vector, 1, l.hidden);
    if !l.tied {
        list.add("language.head", Role::Head, l.vocab, l.hidden);
    }
}

struct List(Vec<Entry>);

impl List {
    fn add(&mut self, name: &str, role: Role, rows: usize, cols: usize) {
        self.0.push(Entry { name: name.to_owned(), role, rows, cols });
    }

    fn linear(&mut self, name: &str, role: Role, rows: usize, cols: usize, bias: bool) {
        self.add(name, role, rows, cols);
        if bias {
            self.add(&format!("{name}.bias"), Role::Vector, 1, rows);
        }
    }

    fn norm(&mut self, name: &str, cols: usize) {
        self.add(&format!("{name}.weight"), Role::Vector, 1, cols);
        self.add(&format!("{name}.bias"), Role::Vector, 1, cols);
    }
}
