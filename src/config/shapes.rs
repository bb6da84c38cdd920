//! Named shapes: the numbers of models without their weights, for benchmarks and synthetic
//! checkpoints.

use super::{
    Activation, Config, LanguageConfig, Ldp2Config, MlpConfig, Preparing, Projector,
    ResamplerConfig, ShuffleConfig, VisionConfig,
};
use crate::image::tiles::Tiling;
use crate::image::{Filter, ImageSpec};
use crate::kernels::attention::cache::HeadShape;

/// Every name that [`named`] knows.
pub const NAMES: [&str; 11] = [
    "toybox",
    "llama-200m",
    "tinyllama-1.1b",
    "mqt-llava-7b",
    "llava-1.5-7b",
    "smolvlm-256m",
    "smolvlm-500m",
    "granite-docling",
    "llava-interleave-0.5b",
    "llava-onevision-0.5b",
    "mobilevlm-v2-1.7b",
];

/// The shape of this name; `None` if there is none.
pub fn named(name: &str) -> Option<Config> {
    let (vision, projector) = match name {
        "toybox" | "llama-60m" => {
            (toybox_tower(), Projector::Resampler(ResamplerConfig { m_max: 64, heads: 4 }))
        }
        "llava-1.5-7b" => (clip_large(), Projector::Mlp(MlpConfig::plain(2))),
        "mobilevlm-v2-1.7b" => (clip_large(), Projector::Ldp2(Ldp2Config { side: 12 })),
        "smolvlm-256m" | "smolvlm-500m" | "granite-docling" => {
            (siglip_base(), Projector::Shuffle(ShuffleConfig { scale: 4 }))
        }
        "llava-interleave-0.5b" => (siglip_so400m(), Projector::Mlp(MlpConfig::plain(2))),
        "llava-onevision-0.5b" => {
            let mlp = MlpConfig { newline: true, ..MlpConfig::plain(2) };
            (siglip_so400m(), Projector::Mlp(mlp))
        }
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
        "smolvlm-256m" => rotated(decoder(576, 1536, 30, [9, 3], 49_280, 8192), 1e5),
        "smolvlm-500m" => rotated(decoder(960, 2560, 32, [15, 5], 49_280, 8192), 1e5),
        "granite-docling" => tied(rotated(decoder(576, 1536, 30, [9, 3], 100_352, 8192), 1e5)),
        "llava-interleave-0.5b" => qwen2(decoder(1024, 2816, 24, [16, 16], 152_000, 32_768)),
        "llava-onevision-0.5b" => qwen2(decoder(896, 4864, 24, [14, 2], 152_000, 32_768)),
        "mobilevlm-v2-1.7b" => {
            LanguageConfig { eps: 1e-6, ..decoder(2048, 5632, 24, [16, 16], 32_000, 2048) }
        }
        _ => return None,
    };
    let (preparing, end_ids) = (preparing(name, vision.image_size), vec![end_id(name)]);
    let ImageSpec { mean, std, .. } = ImageSpec::clip(vision.image_size);
    let (mean, std) = if vision.class_token { (mean, std) } else { ([0.5; 3], [0.5; 3]) };
    Some(Config {
        pad_to_square: vision.class_token,
        vision,
        projector,
        language,
        preparing,
        reads_documents: name == "granite-docling",
        mean,
        std,
        end_ids,
    })
}

/// How the shape's pictures are prepared, on a tower for `side` pixels.
fn preparing(name: &str, side: usize) -> Preparing {
    let siglip = Preparing { over_white: true, ..Preparing::default() };
    match name {
        "smolvlm-256m" | "smolvlm-500m" | "granite-docling" => Preparing {
            filter: Filter::Lanczos,
            tiling: Tiling::Edges { published: 4, split: true },
            ..siglip
        },
        "llava-interleave-0.5b" => Preparing { stretch: true, ..siglip },
        "llava-onevision-0.5b" => {
            let sizes = (1..=6).flat_map(|rows| (1..=6).map(move |columns| [rows, columns]));
            let sizes = sizes.map(|size| size.map(|n| n * side)).collect();
            Preparing { stretch: true, tiling: Tiling::Pinpoints { sizes, most: 9 }, ..siglip }
        }
        _ => Preparing::default(),
    }
}

/// The token that ends an answer, by the published tokenizer.
fn end_id(name: &str) -> u32 {
    match name {
        "smolvlm-256m" | "smolvlm-500m" => 49_279,
        "granite-docling" => 100_257,
        "llava-interleave-0.5b" | "llava-onevision-0.5b" => 151_645,
        _ => 2,
    }
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
        act: Activation::Quick,
        class_token: true,
        pre_norm: true,
        patch_bias: false,
        post_norm: false,
    }
}

/// SigLIP-B/16-512, whole.
fn siglip_base() -> VisionConfig {
    VisionConfig {
        image_size: 512,
        patch: 16,
        hidden: 768,
        heads: 12,
        mlp: 3072,
        layers: 12,
        eps: 1e-6,
        act: Activation::Tanh,
        class_token: false,
        pre_norm: false,
        patch_bias: true,
        post_norm: true,
    }
}

/// SigLIP so400m-14-384 without its last layer, whose patches of 14 leave 6 pixels unseen.
fn siglip_so400m() -> VisionConfig {
    VisionConfig {
        image_size: 384,
        patch: 14,
        hidden: 1152,
        heads: 16,
        mlp: 4304,
        layers: 26,
        post_norm: false,
        ..siglip_base()
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
        act: Activation::Quick,
        class_token: true,
        pre_norm: true,
        patch_bias: false,
        post_norm: false,
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
    let inv_freq = frequencies(head_dim, ROPE_THETA);
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

/// A decoder with another base of its rotation frequencies.
fn rotated(l: LanguageConfig, theta: f64) -> LanguageConfig {
    LanguageConfig { inv_freq: frequencies(l.shape.head_dim, theta), ..l }
}

/// One whose head is its embedding table.
fn tied(l: LanguageConfig) -> LanguageConfig {
    LanguageConfig { tied: true, ..l }
}

/// A Qwen2 decoder.
fn qwen2(l: LanguageConfig) -> LanguageConfig {
    tied(LanguageConfig { qkv_bias: true, eps: 1e-6, ..rotated(l, 1e6) })
}

fn frequencies(head_dim: usize, theta: f64) -> Vec<f64> {
    (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect()
}

/// The base of most shapes' rotation frequencies.
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
