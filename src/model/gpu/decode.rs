//! Decoding on the GPU: one step is a tape of about five dispatches per layer, from the token in
//! the state buffer to the next one.
//!
//! The host never needs to know a token to record the step after it, so steps run ahead and their
//! results trail behind: see [`super::generate`]. The plain layers of `language.rs` compute the
//! same with more dispatches.

use crate::config::LanguageConfig;
use crate::error::Result;
use crate::gpu::{Gpu, Letter, Mailbox, Matrix, Storage, Tape, Tensor};
use crate::kernels::attention::cache::KvLayer;
use crate::kernels::attention::step::{self, Split, attention_step, part_values, supports};
use crate::kernels::embed_step::embed_step;
use crate::kernels::pick::{Sets, Way, pick, set_bytes, set_words};
use crate::kernels::product::step::{End, product_step};
use crate::kernels::state::State;
use crate::model::parts::Language;
use crate::sample::Sampling;

/// Letters under way at once.
pub(super) const LETTERS: usize = 4;

/// The state buffer and the sets of tokens: what [`pick`] works on.
pub(in crate::model) struct Picker {
    state: Storage,
    seen: Storage,
    mask: Storage,
    pub(super) way: Way,
    /// Whether what a token is picked from is handed back.
    pub(super) shows_logits: bool,
    vocab: usize,
}

impl Picker {
    pub(super) async fn new(gpu: &Gpu, vocab: usize) -> Result<Picker> {
        let (state, seen, mask) = (
            gpu.storage("state", State::BYTES).await?,
            gpu.storage("seen", set_bytes(vocab)).await?,
            gpu.storage("mask", set_bytes(vocab)).await?,
        );
        let way = Way { greedy: true, masked: false };
        Ok(Picker { state, seen, mask, way, shows_logits: false, vocab })
    }

    pub(super) fn sets(&self) -> Sets<'_> {
        Sets { state: &self.state, seen: &self.seen, mask: &self.mask }
    }

    /// Makes ready for a generation whose prompt ends at `position`.
    pub(super) fn begin(
        &mut self,
        gpu: &Gpu,
        position: usize,
        limit: usize,
        sampling: &Sampling,
        seen: &[u32],
        end_ids: &[u32],
    ) {
        self.way = Way { greedy: sampling.is_plain_greedy(), masked: false };
        self.shows_logits = false;
        gpu.write(
            &self.state,
            0,
            bytemuck::bytes_of(&State::start(position, limit, sampling, end_ids)),
        );
        if sampling.repetition_penalty != 1.0 {
            let words =
                set_words(self.vocab, seen.iter().copied().filter(|&t| (t as usize) < self.vocab));
            gpu.write(&self.seen, 0, bytemuck::cast_slice(&words));
        }
    }

    /// From now on only tokens of `mask`, one bit each, are picked.
    pub(super) fn restrict(&mut self, gpu: &Gpu, mask: &[u32]) {
        self.way.masked = true;
        gpu.write(&self.mask, 0, bytemuck::cast_slice(mask));
    }

    /// The state as it is after all that was submitted.
    pub(super) async fn read(&self, gpu: &Gpu) -> Result<State> {
        Ok(State::read(&gpu.read(&self.state, 0, State::BYTES).await?))
    }
}

/// Activations of one token.
struct Scratch {
    /// [1, hidden]: the residual stream
    x: Tensor,
    /// [1, hidden]: the stream times the next norm's gain
    next: Tensor,
    /// [1, sections of q, k, v]
    qkv: Tensor,
    /// [1, heads · head_dim]
    mixed: Tensor,
    /// Pieces of split attention.
    part: Storage,
    /// [1, ffn]
    wide: Tensor,
    /// [1, vocab]
    logits: Tensor,
    /// Bound where a kernel writes nothing.
    spare: Storage,
}

/// What a step works on beside its own activations.
pub(super) struct Operands<'a> {
    pub(super) l: &'a LanguageConfig,
    pub(super) w: &'a Language<Matrix, Tensor>,
    pub(super) layers: &'a [KvLayer],
    pub(super) rope: &'a Storage,
    pub(super) picker: &'a Picker,
}

/// The steps of one cache.
pub(in crate::model) struct Decoder {
    a: Scratch,
    split: Split,
    /// For plain greedy decoding, and for other ways of picking once they are asked for.
    tapes: [Option<Tape>; 4],
    mailbox: Mailbox,
}

impl Decoder {
    /// `None` where heads have a shape that only the plain layers know.
    pub(super) async fn new(
        gpu: &Gpu,
        l: &LanguageConfig,
        capacity: usize,
    ) -> Result<Option<Decoder>> {
        let shape = l.shape;
        if !supports(shape) {
            return Ok(None);
        }
        let chosen = gpu.chosen(&step::key(shape)).and_then(|text| text.parse().ok());
        let split = chosen.unwrap_or_else(|| Split::guess(gpu.is_software()));
        let a = Scratch {
            x: gpu.tensor("step x", 1, l.hidden).await?,
            next: gpu.tensor("step next", 1, l.hidden).await?,
            qkv: gpu.tensor("step qkv", 1, shape.sections().2).await?,
            mixed: gpu.tensor("step mixed", 1, shape.heads * shape.head_dim).await?,
            part: gpu.storage("step part", part_values(shape, split, capacity) as u64 * 4).await?,
            wide: gpu.tensor("step wide", 1, l.ffn).await?,
            logits: gpu.tensor("step logits", 1, l.vocab).await?,
            spare: gpu.storage("spare", 16).await?,
        };
        Ok(Some(Decoder {
            a,
            split,
            tapes: [const { None }; 4],
            mailbox: gpu.mailbox(LETTERS, State::BYTES),
        }))
    }

    /// Records the step for this way of picking, unless that is done.
    pub(super) fn prepare(&mut self, gpu: &Gpu, operands: &Operands) {
        let which = place(operands.picker.way);
        if self.tapes[which].is_none() {
            self.tapes[which] = Some(record(gpu, operands, &self.a, self.split));
        }
    }

    /// [1, vocab]: what the last step picked from.
    pub(super) fn logits(&self) -> &Tensor {
        &self.a.logits
    }

    /// Runs `steps` steps and posts the state as it is then.
    pub(super) fn run(&mut self, gpu: &Gpu, picker: &Picker, steps: usize) -> Letter {
        let tape = self.tapes[place(picker.way)].as_ref().expect("`prepare` comes first");
        gpu.replay(tape, steps, &picker.state, &mut self.mailbox)
    }
}

/// Where the tape of a way of picking is kept.
fn place(way: Way) -> usize {
    usize::from(!way.greedy) + 2 * usize::from(way.masked)
}

fn record(
    gpu: &Gpu,
    &Operands { l, w, layers, rope, picker }: &Operands,
    a: &Scratch,
    split: Split,
) -> Tape {
    let mut recorder = gpu.tape_recorder();
    let (rec, state, spare) = (&mut recorder, &picker.state, &a.spare);
    let norm = Some((&a.x, l.eps));
    embed_step(rec, state, &w.embed, &w.layers[0].norm1, &a.x, &a.next);
    for (i, (layer, kv)) in w.layers.iter().zip(layers).enumerate() {
        let after = w.layers.get(i + 1).map_or(&w.norm, |next| &next.norm1);
        product_step(
            rec,
            state,
            &a.next,
            norm,
            &layer.qkv.weight,
            End::Store(layer.qkv.bias.as_ref()),
            &a.qkv,
            spare,
        );
        attention_step(rec, state, &a.qkv, rope, kv, split, &a.part, &a.mixed);
        product_step(
            rec,
            state,
            &a.mixed,
            None,
            &layer.o,
            End::Residual(&layer.norm2, &a.next),
            &a.x,
            spare,
        );
        product_step(rec, state, &a.next, norm, &layer.gate_up, End::Gated, &a.wide, spare);
        product_step(
            rec,
            state,
            &a.wide,
            None,
            &layer.down,
            End::Residual(after, &a.next),
            &a.x,
            spare,
        );
    }
    product_step(
        rec,
        state,
        &a.next,
        norm,
        w.head.as_ref().unwrap_or(&w.embed),
        End::Store(None),
        &a.logits,
        spare,
    );
    pick(rec, &a.logits, &picker.sets(), picker.way);
    recorder.into_tape()
}
