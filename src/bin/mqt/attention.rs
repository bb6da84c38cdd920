//! `mqt attention`: where the image tokens read from, drawn over what the model sees.

use crate::args::AttentionArgs;
use crate::console::Console;
use crate::conversation::{decode, load_model};
use crate::failure::Result;
use crate::picture::Picture;
use crate::target::{self, Target};
use mqt::image::{Reading, tiles};
use mqt::model::Arithmetic;
use mqt::{attention, budget};
use pollster::block_on;

/// The drawing is at least so wide.
const SIDE: usize = 448;
const OPACITY: f32 = 0.65;

pub(crate) fn run(args: AttentionArgs, console: &Console) -> Result<()> {
    let target = Target::open("-o", &args.output)?;
    let picture = Picture::find(&args.image)?;
    target::keep_from_inputs("-o", &args.output, &picture, &args.model)?;
    let model = load_model(&args.model, Arithmetic::Exact, console)?;
    let offer = model.config().mapped();
    let m = budget::fixed(args.tokens.unwrap_or(offer.max as u64), &offer)?.tokens;
    let decoded = decode(&picture, &model, Reading::People)?;
    let spec = model.image_spec();
    let level = spec.levels().first().copied().unwrap_or_default();
    let (_, squares) = tiles::squares(&decoded, spec, level)?;
    let pixels = &squares[0];
    let patches = model.config().vision.patches();
    let weights = attention::together(&block_on(model.resampler_map(m))?, patches, m);
    let scale = SIDE.div_ceil(pixels.size);
    let drawn = attention::overlay(&pixels.rgb, pixels.size, &weights, scale, OPACITY);
    let side = u32::try_from(pixels.size * scale).expect("a tower's square is small");
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .and_then(|mut file| file.write_image_data(&drawn))
        .expect("a whole picture in memory");
    target.write(&png)?;
    let (place, share) = attention::mostly(&weights);
    let tokens = if m == 1 {
        "the first image token reads".into()
    } else {
        format!("the first {m} image tokens read")
    };
    console.line(&format!(
        "wrote to {}: {tokens} mostly {place} ({:.0} %)",
        target::shown_path(&args.output),
        share * 100.0
    ));
    Ok(())
}
