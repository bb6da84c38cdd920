//! Each family's layout, with few and narrow layers: what is written is read as the shape that was
//! asked for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::model::{LoadOptions, ModelSource, Opened};
use pollster::block_on;

/// The shape with its vocabulary, its grid and its kinds, and little else.
fn small(name: &str) -> Config {
    let mut config = shapes::named(name).unwrap();
    let (vision, language) = (&mut config.vision, &mut config.language);
    (vision.hidden, vision.mlp, vision.layers) = (vision.heads * 2, 8, 1);
    // Qwen2 does not say how wide its heads are.
    (language.hidden, language.ffn, language.layers) = (language.shape.heads * 4, 8, 2);
    language.shape.head_dim = 4;
    language.inv_freq = vec![1.0, (1.0 / theta(name)).sqrt()];
    config
}

fn theta(name: &str) -> f64 {
    match name {
        "smolvlm-256m" | "smolvlm-500m" | "granite-docling" => 1e5,
        "mobilevlm-v2-1.7b" => 1e4,
        _ => 1e6,
    }
}

#[test]
fn every_family_is_read_as_the_shape_it_was_made_of() {
    for name in [
        "smolvlm-256m",
        "smolvlm-500m",
        "granite-docling",
        "llava-interleave-0.5b",
        "llava-onevision-0.5b",
    ] {
        let (config, folder) = (small(name), tempfile::tempdir().unwrap());
        let synth = Synth::new(name);
        let layout = Layout::own(&config);
        synth.write_config(&config, layout, folder.path(), &Cancel::new(), &mut |_| {}).unwrap();
        let source = ModelSource::Path(folder.path().to_owned());
        let opened = block_on(Opened::at(&source, &LoadOptions::default()))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let read = opened.config();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
        let (got, want) = (&read.language.inv_freq, &config.language.inv_freq);
        assert!(got.iter().zip(want).all(|(a, b)| close(*a, *b)), "{name}: {got:?}, not {want:?}");
        let mut read = read.clone();
        read.language.inv_freq.clone_from(want);
        assert_eq!(read, config, "{name}");
    }
}

/// Every tensor of the published files is written, those included that never run.
#[test]
fn shapes_have_the_published_number_of_parameters() {
    for (name, parameters) in [
        ("smolvlm-256m", 256_484_928),
        ("smolvlm-500m", 507_482_304),
        ("mobilevlm-v2-1.7b", 1_674_121_216),
    ] {
        let config = shapes::named(name).unwrap();
        let tensors = Layout::own(&config).tensors(&config);
        assert_eq!(
            tensors.iter().map(layout::Tensor::elements).sum::<usize>(),
            parameters,
            "{name}"
        );
    }
    let config = shapes::named("mobilevlm-v2-1.7b").unwrap();
    assert_eq!(Layout::own(&config).tensors(&config).len(), 616);
}

#[test]
fn a_family_has_one_layout() {
    for (shape, layout) in [
        ("smolvlm-256m", Layout::LlavaHf),
        ("toybox", Layout::SmolVlm),
        ("llava-interleave-0.5b", Layout::Llava15),
        ("mobilevlm-v2-1.7b", Layout::MqtLlava),
        ("llava-1.5-7b", Layout::MqtLlava),
    ] {
        let synth = Synth { layout: Some(layout), ..Synth::new(shape) };
        let folder = tempfile::tempdir().unwrap();
        let written = synth.write(folder.path(), &Cancel::new(), &mut |_| {});
        assert!(matches!(written, Err(Error::InvalidSetting { .. })), "{shape} {layout:?}");
    }
}
