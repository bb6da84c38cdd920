//! Named shapes: the numbers of models without their weights, for benchmarks and synthetic
//! checkpoints.

use super::{
    Config, LanguageConfig, MlpConfig, Preparing, Projector, ResamplerConfig, VisionConfig,
};
use crate::image::ImageSpec;
use crate::kernels::attention::cache::HeadShape;

/// Every name that [`named`] knows.
pub const NAMES: [&str; 5] =
    ["toybox", "llama-200m", "tinyllama-1.1b", "mqt-llava-7b", "llava-1.5-7b"];

/// The shape of this name; `None` if there is none.
pub fn named(name: &str) -> Option<Config> {
    let (vision, projector) = match name {
        "toybox" | "llama-60m" => {
            (toybox_tower(), Projector::Resampler(ResamplerConfig { m_max: 64, heads: 4 }))
        }
        "llava-1.5-7b" => (clip_large(), Projector::Mlp(MlpConfig { linears: 2, elastic: false })),
        _ => (clip_large(), Projector::Resampler(ResamplerConfig { m_max: 256, heads: 16 })),
    };
    let language = match name {
        "toybox" => decoder(256, 704, 4, [8, 4], 1536, 2048),
        // For the quantisation table: LLaMA's widths in few layers, behind a tower that takes no
        // time.
        #[cfg(test)]
        "llama-60m" => decoder(1024, 2816, 4, [16, 16], 4096, 2048),
        "llama-200m" => decoder(1024, 2816, 12, [16, 16], 32_000, 2048),
        "tinyllama-1.1b" => decoder(2048, 5632, 22, [32, 4], 32_000, 2048),
        "mqt-llava-7b" | "llava-1.5-7b" => decoder(4096, 11_008, 32, [32, 32], 32_000, 4096),
        _ => return None,
    };
    let ImageSpec { mean, std, .. } = ImageSpec::clip(vision.image_size);
    let (preparing, end_ids, reads_documents) = (Preparing::default(), vec![2], false);
    Some(Config {
        vision,
        projector,
        language,
        pad_to_square: true,
        preparing,
        reads_documents,
        mean,
        std,
        end_ids,
    })
}

/// CLIP ViT-L/14-336 up to its second-to-last layer.
fn clip_large() -> VisionConfig {
    VisionConfig {
        image_size: 336,
        patch: 14,
        hidden: 1024,
        heads: 16,
        mlp: 4096,
        layers: 23,
        eps: 1e-5,
        exact_gelu: false,
    }
}

/// The bundled model's tower up to its second-to-last layer.
fn toybox_tower() -> VisionConfig {
    VisionConfig {
        image_size: 112,
        patch: 14,
        hidden: 192,
        heads: 3,
        mlp: 768,
        layers: 7,
        eps: 1e-5,
        exact_gelu: false,
    }
}

/// A LLaMA decoder; `heads` of queries and of keys.
fn decoder(
    hidden: usize,
    ffn: usize,
    layers: usize,
    heads: [usize; 2],
    vocab: usize,
    max_positions: usize,
) -> LanguageConfig {
    let [heads, kv_heads] = heads;
    let head_dim = hidden / heads;
    let inv_freq =
        (0..head_dim / 2).map(|i| ROPE_THETA.powf(-2.0 * i as f64 / head_dim as f64)).collect();
    let shape = HeadShape { heads, kv_heads, head_dim };
    LanguageConfig {
        hidden,
        layers,
        shape,
        ffn,
        vocab,
        eps: 1e-5,
        max_positions,
        inv_freq,
        qkv_bias: false,
        tied: false,
    }
}

/// The base of every shape's rotation frequencies.
pub const ROPE_THETA: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_plausible_shape() {
        for name in NAMES {
            named(name).expect(name).check(name).unwrap();
        }
        assert!(named("gpt-5").is_none());
    }

    /// As published: LLaMA 6,738,415,616 parameters; the tower less its last layer and last
    /// norm; the folded resampler.
    #[test]
    fn the_7b_has_its_published_size() {
        let config = named("mqt-llava-7b").unwrap();
        let decoder: u64 = crate::weights::layout::layout(&config)
            .iter()
            .filter(|entry| entry.name.starts_with("language."))
            .map(|entry| (entry.rows * entry.cols) as u64)
            .sum();
        assert_eq!(decoder, 6_738_415_616);
        assert_eq!((config.m_max(), config.vision.patches()), (256, 576));
    }
}
