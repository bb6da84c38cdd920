//! What a model needs of a device and what the device allows, known before anything is allocated.

use super::back_end::CHUNK;
use super::{Arithmetic, Weights, bytes_of};
use crate::config::{Config, Projector};
use crate::error::{Error, Result};
use crate::gpu::{AdapterInfo, Gpu};
use crate::image::tiles::Plan;
use crate::kernels::attention::cache::{HeadShape, KvLayer};
use crate::quant::{Format, PANEL, padded_cols};
use crate::weights::layout::{Role, gate_up_rows, layout};

/// Bytes that a model takes on a device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Needs {
    /// All weights.
    pub weights: u64,
    /// Keys and values of the context.
    pub keys_and_values: u64,
    /// Intermediate results: the same for every m.
    pub activations: u64,
}

impl Needs {
    /// Of this model in this format, with room for `context` tokens.
    #[doc(hidden)]
    pub fn of(config: &Config, weights: Weights, arithmetic: Arithmetic, context: usize) -> Needs {
        Needs::up_to(config, weights, arithmetic, context, None)
    }

    /// The same where nobody asks for more than `m` image tokens, if that is known.
    pub(crate) fn up_to(
        config: &Config,
        weights: Weights,
        arithmetic: Arithmetic,
        context: usize,
        m: Option<usize>,
    ) -> Needs {
        let format = |role: Role| weights.format(role);
        let kv = if arithmetic == Arithmetic::Exact { Format::F32 } else { Format::F16 };
        let l = &config.language;
        Needs {
            weights: layout(config).iter().map(|entry| bytes_of(entry, &format)).sum(),
            keys_and_values: l.layers as u64 * KvLayer::bytes(l.shape, context, kv),
            activations: activations(config, m),
        }
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.weights + self.keys_and_values + self.activations
    }
}

/// Scratch memory of tower, projector and decoder, and one picture's image tokens: in the finest
/// cut that has at most `m`.
fn activations(config: &Config, m: Option<usize>) -> u64 {
    let (v, l) = (&config.vision, &config.language);
    let rows = |rows: usize, cols: usize| (rows * padded_cols(cols) * 4) as u64;
    let attended = |rows: usize, shape: HeadShape| (rows * shape.heads * shape.dims() * 4) as u64;
    let (patches, tokens, made) = (v.patches(), v.tokens(), config.square_tokens());
    let tower = rows(1, 3 * v.image_size * v.image_size)
        + rows(patches, 3 * v.patch * v.patch)
        + rows(patches, v.hidden)
        + 3 * rows(tokens, v.hidden)
        + rows(tokens, v.shape().sections().2)
        + rows(tokens, v.mlp)
        + attended(tokens, v.shape())
        + KvLayer::bytes(v.shape(), tokens, Format::F32);
    let projector = match &config.projector {
        Projector::Resampler(r) => {
            2 * rows(patches, v.hidden) + rows(r.m_max, v.hidden) + rows(r.m_max, l.hidden)
        }
        Projector::Mlp(_) => 2 * rows(patches, l.hidden),
        Projector::Shuffle(shuffle) => {
            rows(made, shuffle.scale * shuffle.scale * v.hidden) + rows(made, l.hidden)
        }
        // The taps of the means: a row and a weight for each patch.
        Projector::Ldp2(_) => {
            rows(patches, l.hidden) + 2 * rows(made, l.hidden) + (patches * 8) as u64
        }
    };
    let decoder = 2 * rows(CHUNK, l.hidden)
        + rows(CHUNK, l.shape.sections().2)
        + attended(CHUNK, l.shape)
        + rows(CHUNK, l.shape.heads * l.shape.head_dim)
        + rows(CHUNK, gate_up_rows(l.ffn))
        + rows(CHUNK, l.ffn)
        + rows(1, l.vocab);
    let pooled = rows(config.visual_rows() - made, l.hidden);
    // A picture in several squares: the tokens of each, and what they are put together into.
    let picture = |plan: &Plan| {
        let apart = rows(plan.squares() * made + 1, l.hidden);
        apart + if Config::is_assembled(plan) { rows(config.tokens(plan), l.hidden) } else { 0 }
    };
    let plans = config.largest_plans();
    let fits = |plan: &&Plan| m.is_none_or(|m| config.tokens(plan) <= m);
    let picture = plans.iter().filter(fits).map(picture).max().unwrap_or_default();
    let one_square = rows(config.visual_rows(), l.hidden);
    tower + projector + pooled + decoder + picture.max(one_square)
}

/// What a model needs, compared with what a device has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Preflight {
    /// The device.
    pub adapter: AdapterInfo,
    /// Tokens of context that are counted.
    pub context: usize,
    /// What the model takes.
    pub needs: Needs,
    /// The largest tensor.
    pub largest: String,
    /// Its bytes.
    pub largest_bytes: u64,
    /// The most that the device binds at once; larger matrices are stored in several parts. `None`
    /// on the processor, which has no such limit.
    pub binding_bytes: Option<u64>,
}

impl Preflight {
    /// Compares the two; `gpu` is `None` for the network on the processor.
    ///
    /// # Errors
    /// [`Error::LimitTooSmall`] if a single panel of a matrix is more than the device binds at
    /// once.
    pub(crate) fn new(
        config: &Config,
        weights: Weights,
        arithmetic: Arithmetic,
        context: usize,
        image_tokens: Option<usize>,
        gpu: Option<&Gpu>,
    ) -> Result<Preflight> {
        let format = |role: Role| weights.format(role);
        let entries = layout(config);
        let largest = entries
            .iter()
            .max_by_key(|entry| bytes_of(entry, &format))
            .expect("a layout has tensors");
        let binding_bytes = gpu.map(Gpu::max_binding_bytes);
        for entry in entries.iter().filter(|entry| !matches!(entry.role, Role::Vector | Role::Map))
        {
            let need = format(entry.role).words(PANEL, entry.cols).0 * 4;
            if let Some(have) = binding_bytes.filter(|have| need > *have) {
                return Err(Error::LimitTooSmall {
                    what: entry.name.clone(),
                    limit: "maxStorageBufferBindingSize",
                    need,
                    have,
                });
            }
        }
        Ok(Preflight {
            adapter: gpu.map_or_else(AdapterInfo::cpu, |gpu| gpu.info().clone()),
            context,
            needs: Needs::up_to(config, weights, arithmetic, context, image_tokens),
            largest: largest.name.clone(),
            largest_bytes: bytes_of(largest, &format),
            binding_bytes,
        })
    }

    /// In how many parts the largest tensor lies.
    pub fn parts(&self) -> u64 {
        self.binding_bytes.map_or(1, |bytes| self.largest_bytes.div_ceil(bytes.max(1)))
    }

    /// Whether the weights share the memory of the host, as they do on a software adapter and on
    /// the processor.
    pub fn is_in_host_memory(&self) -> bool {
        matches!(self.adapter.kind.as_str(), "software" | "cpu")
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::config::shapes::named;
    use crate::gpu::AdapterChoice;
    use crate::image::Picture;
    use crate::kernels::check::gpu_or_skip;
    use crate::model::open::{LoadOptions, ModelSource};
    use crate::{Model, Session};
    use pollster::block_on;
    use std::sync::Arc;

    /// What is said before loading is what the device holds afterwards, but for a few small
    /// buffers.
    #[test]
    fn it_tells_the_truth() {
        if gpu_or_skip().is_none() {
            return;
        }
        let golden = |case: &str| {
            ModelSource::Path(
                format!("{}/tests/golden/{case}/checkpoint", env!("CARGO_MANIFEST_DIR")).into(),
            )
        };
        for source in [ModelSource::Bundled, golden("a-f32-tower"), golden("e-llava-bins")] {
            for arithmetic in [Arithmetic::Exact, Arithmetic::Fast] {
                let options =
                    LoadOptions { adapter: AdapterChoice::Gpu, arithmetic, ..Default::default() };
                let model =
                    Arc::new(block_on(Model::load(&source, &options, &mut |_| {})).unwrap());
                let needs = Needs::of(model.config(), model.weights(), arithmetic, 256);
                let mut session =
                    block_on(Session::new(model.clone(), 256, &Cancel::new())).unwrap();
                let rgb = vec![90; 3 * 16 * 16];
                let picture = Picture { rgb, width: 16, height: 16, readings_differ: false };
                block_on(session.look(&picture, &Cancel::new())).unwrap();
                let got = model.counters().bytes;
                let want = needs.total();
                assert!(
                    want <= got && got <= want + want / 8 + 1_000_000,
                    "{source:?} {arithmetic}: {got} on the device, {needs:?}"
                );
            }
        }
    }

    #[test]
    fn a_fixed_m_counts_no_finer_cut_than_it_reads() {
        let tiled = crate::config::shapes::NAMES.iter().filter_map(|name| named(name));
        let tiled: Vec<_> = tiled.filter(|config| !config.largest_plans().is_empty()).collect();
        assert!(!tiled.is_empty());
        for config in tiled {
            let needs =
                |m| Needs::up_to(&config, Weights::Q4, Arithmetic::Fast, 2048, m).activations;
            let plans = config.largest_plans();
            let most = plans.iter().map(|plan| config.tokens(plan)).max().unwrap();
            assert_eq!(needs(Some(most)), needs(None));
            assert!(needs(Some(1)) < needs(None), "{config:?}");
            assert!(needs(Some(1)) <= needs(Some(most / 2)));
        }
    }

    #[test]
    fn a_model_of_seven_billion() {
        let config = named("mqt-llava-7b").unwrap();
        let needs = Needs::of(&config, Weights::Q4, Arithmetic::Fast, 2048);
        assert_eq!(needs.keys_and_values, 32 * 2 * 2048 * 4096 * 2);
        assert!((3_800_000_000..4_300_000_000).contains(&needs.weights), "{needs:?}");
        let on_cpu =
            Preflight::new(&config, Weights::Q4, Arithmetic::Fast, 2048, None, None).unwrap();
        assert_eq!((on_cpu.parts(), on_cpu.is_in_host_memory()), (1, true));
        let Some(gpu) = gpu_or_skip() else { return };
        gpu.limit_bindings(32 << 20);
        let split =
            Preflight::new(&config, Weights::Q4, Arithmetic::Fast, 2048, None, Some(&gpu)).unwrap();
        assert_eq!(split.parts(), split.largest_bytes.div_ceil(32 << 20));
        gpu.limit_bindings(1 << 10);
        let error = Preflight::new(&config, Weights::Q4, Arithmetic::Fast, 2048, None, Some(&gpu))
            .unwrap_err();
        assert!(matches!(error, Error::LimitTooSmall { .. }), "{error}");
    }
}
