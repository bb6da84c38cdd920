//! Models that are known by name: what they can do, what they need, and their licence. The program
//! lists them (`mqt models`), the page offers them.

use crate::config::shapes;
use crate::model::Needs;
use crate::model::{Arithmetic, WeightsChoice};

/// A published model that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Known {
    /// Its name on Hugging Face: `mqt pull NAME`.
    pub name: &'static str,
    /// Parameters, tower and projector included, in millions.
    pub millions: u32,
    /// Bytes of its files of weights, in millions.
    pub download_mb: u32,
    /// The licence that its publisher names; the model's page has the full text.
    pub licence: &'static str,
    /// What it is good at.
    pub knows: &'static str,
    /// The shape that determines its needs ([`shapes`]).
    #[serde(skip)]
    shape: &'static str,
}

/// Every one of them, small ones first.
pub const KNOWN: [Known; 10] = [
    known("HuggingFaceTB/SmolVLM-256M-Instruct", (256, 513), APACHE, PHOTOS, "smolvlm-256m"),
    known("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", (256, 513), APACHE, PHOTOS, "smolvlm-256m"),
    known(
        "ds4sd/SmolDocling-256M-preview",
        (256, 513),
        "CDLA-Permissive-2.0",
        PAGES,
        "smolvlm-256m",
    ),
    known("ibm-granite/granite-docling-258M", (258, 515), APACHE, PAGES, "granite-docling"),
    known("HuggingFaceTB/SmolVLM-500M-Instruct", (507, 1015), APACHE, PHOTOS, "smolvlm-500m"),
    known(
        "llava-hf/llava-interleave-qwen-0.5b-hf",
        (891, 1783),
        "research only (Tongyi Qianwen)",
        PHOTOS,
        "llava-interleave-0.5b",
    ),
    known(
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        (894, 1788),
        APACHE,
        PHOTOS,
        "llava-onevision-0.5b",
    ),
    known("mtgv/MobileVLM_V2-1.7B", (1674, 3349), APACHE, PHOTOS, "mobilevlm-v2-1.7b"),
    known("gordonhu/MQT-LLaVA-7b", (7060, 14_130), LLAMA, PHOTOS, "mqt-llava-7b"),
    known("llava-hf/llava-1.5-7b-hf", (7063, 14_127), LLAMA, PHOTOS, "llava-1.5-7b"),
];

const APACHE: &str = "Apache-2.0";
const LLAMA: &str = "Llama 2 community";
const PHOTOS: &str = "photographs, diagrams, text in pictures";
const PAGES: &str = "pages of documents, as DocTags";

const fn known(
    name: &'static str,
    (millions, download_mb): (u32, u32),
    licence: &'static str,
    knows: &'static str,
    shape: &'static str,
) -> Known {
    Known { name, millions, download_mb, licence, knows, shape }
}

impl Known {
    /// What it takes of a device in this format, with its default context.
    pub fn needs(&self, weights: WeightsChoice) -> Option<Needs> {
        let config = shapes::named(self.shape)?;
        let weights = weights.settle(&config);
        Some(Needs::of(&config, weights, Arithmetic::Fast, config.default_context()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::layout::layout;

    #[test]
    fn every_model_has_a_shape_of_its_size() {
        for known in &KNOWN {
            let config = shapes::named(known.shape).expect(known.shape);
            let values: u64 =
                layout(&config).iter().map(|entry| (entry.rows * entry.cols) as u64).sum();
            // A folded resampler, a tower without its last layer and a tied head have fewer.
            let (has, says) = (values as f64 / 1e6, f64::from(known.millions));
            assert!((0.85..1.05).contains(&(has / says)), "{}: {has}, not {says}", known.name);
            assert!(known.needs(WeightsChoice::Auto).is_some());
        }
    }
}
