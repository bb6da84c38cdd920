//! `mqt attention`: where the image tokens read from, or what an answer looked at, drawn over the
//! picture.

use crate::args::{self, AttentionArgs};
use crate::console::Console;
use crate::conversation::{Conversation, load_model};
use crate::failure::{Failure, Result};
use crate::known::{Known, decode};
use crate::output::Output;
use crate::picture::Picture;
use crate::target::{self, Target};
use mqt::Select;
use mqt::budget;
use mqt::budget::Budget;
use mqt::image::{self, Reading};
use mqt::internals::{attention, image::tiles};
use mqt::model::Arithmetic;
use mqt::session::{LookedAt, Request};
use pollster::block_on;
use serde::Serialize;

/// The drawing of one picture is at least so wide or high.
const SIDE: usize = 448;
/// And at most so wide and high.
const MOST: usize = 1024;
/// Pixels between pictures.
const GAP: usize = 8;
const OPACITY: f32 = 0.65;

/// `mqt.attention/1`, whose fields and their order are a contract.
#[derive(Serialize)]
#[serde(tag = "schema", rename = "mqt.attention/1")]
struct Record<'a> {
    /// m: the image tokens of each picture, at most.
    image_tokens: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a str>,
    images: &'a [LookedAt],
}

pub(crate) fn run(args: AttentionArgs, console: &Console) -> Result<()> {
    if args.images.len() > 1 && !args.answer {
        return Err(Failure::usage("several pictures are for --answer; without it, name one"));
    }
    if args.images.iter().filter(|word| *word == "-").count() > 1 {
        return Err(Failure::usage("stdin (-) holds one picture; name it once"));
    }
    let output = args.output.as_deref();
    if args.json && output.is_some_and(target::is_stdout) {
        return Err(Failure::usage("--json writes to stdout; -o needs a file beside it"));
    }
    let target = output.map(|path| Target::open("-o", path)).transpose()?;
    let mut pictures = Vec::new();
    for word in &args.images {
        let picture = Picture::find(word)?;
        if let Some(output) = output {
            target::keep_from_inputs("-o", output, &picture, &args.model)?;
        }
        pictures.push(picture);
    }
    let (png, summary) = match &args.question {
        Some(question) => looked_at(&args, question, &pictures, console)?,
        None => read_from(&args, &pictures[0], console)?,
    };
    if let (Some(target), Some(output)) = (target, output) {
        target.write(&png)?;
        console.line(&format!("wrote to {}: {summary}", target::shown_path(output)));
    }
    Ok(())
}

/// Where the image tokens read from: the drawing, and it in words.
fn read_from(
    args: &AttentionArgs,
    picture: &Picture,
    console: &Console,
) -> Result<(Vec<u8>, String)> {
    let model = load_model(&args.model, Arithmetic::Exact, console)?;
    let offer = model.config().mapped();
    let m = budget::fixed(args.tokens.unwrap_or(offer.max as u64), &offer)?.tokens;
    let decoded = decode(picture, &model, Reading::People)?;
    let spec = model.image_spec();
    let level = spec.levels().first().copied().unwrap_or_default();
    let (_, squares) = tiles::squares(&decoded, spec, level)?;
    let pixels = &squares[0];
    let patches = model.config().vision.patches();
    let weights = attention::together(&block_on(model.resampler_map(m))?, patches, m);
    let scale = SIDE.div_ceil(pixels.size);
    let side = pixels.size * scale;
    let drawn = attention::overlay(&pixels.rgb, pixels.size, &weights, scale, OPACITY);
    let (place, share) = attention::mostly(&weights);
    if args.json {
        let area = spec.area(level, decoded.width, decoded.height);
        let image = LookedAt::of_square(Some(picture.name.clone()), weights, area);
        let record = Record { image_tokens: m, question: None, answer: None, images: &[image] };
        Output::new().json(&record)?;
    }
    let tokens = if m == 1 {
        "the first image token reads".into()
    } else {
        format!("the first {m} image tokens read")
    };
    let summary = format!("{tokens} mostly {place} ({:.0} %)", share * 100.0);
    Ok((png(&drawn, side, side), summary))
}

/// What an answer looked at: the drawing, and it in words.
fn looked_at(
    args: &AttentionArgs,
    question: &str,
    pictures: &[Picture],
    console: &Console,
) -> Result<(Vec<u8>, String)> {
    args::question(question)?;
    if args.select == Some(Select::Question) {
        return Err(Failure::usage(
            "--select question chooses image tokens layer by layer; --answer shows those chosen in another way",
        ));
    }
    let fixed: Vec<u64> = args.tokens.into_iter().collect();
    let known = Known { fixed: &fixed, select: args.select, ..Known::default() };
    let mut conversation = Conversation::start(&args.model, Arithmetic::Exact, known, console)?;
    let mut shown = Vec::new();
    for picture in pictures {
        let decoded = decode(picture, conversation.model(), Reading::People)?;
        shown.push(Shown::new(&decoded, if pictures.len() > 1 { SIDE } else { MOST }));
        conversation.look_also(picture, Reading::People)?;
    }
    let all = conversation.model().config().square_tokens() as u64;
    let mut request = Request::new(question);
    request.budget = Budget::Fixed(args.tokens.unwrap_or(all));
    request.select = args.select;
    request.max_new_tokens = conversation.model().config().default_new_tokens();
    let answer = conversation.ask(request, &mut |_| {})?;
    crate::answer::unless_cancelled(&answer)?;
    let looked = conversation.looked_at()?;
    let mut output = Output::new();
    if args.json {
        let (question, text) = (Some(question), Some(&*answer.text));
        let image_tokens = answer.image_tokens;
        output.json(&Record { image_tokens, question, answer: text, images: &looked })?;
    } else {
        output.line(answer.text.trim())?;
    }
    let words: Vec<String> =
        looked.iter().zip(&shown).map(|(looked, shown)| in_words(looked, shown)).collect();
    Ok((side_by_side(&shown, &looked), format!("the answer looked {}", words.join("; "))))
}

/// A picture as it is drawn, and its own width and height.
struct Shown {
    size: (usize, usize),
    fitted: image::Picture,
}

impl Shown {
    fn new(picture: &image::Picture, most: usize) -> Shown {
        Shown { size: (picture.width, picture.height), fitted: picture.fitted(SIDE, most) }
    }
}

fn in_words(looked: &LookedAt, shown: &Shown) -> String {
    let (place, share) = looked.mostly(shown.size);
    let image = looked.image.as_deref().unwrap_or_default();
    let image = mqt::internals::untrusted::one_line(image);
    format!(
        "mostly at {place} of {image} ({:.0} % of what it gave to this picture, which was {:.0} % of all)",
        share * 100.0,
        looked.share * 100.0
    )
}

/// The pictures with their maps over them, from left to right.
fn side_by_side(pictures: &[Shown], looked: &[LookedAt]) -> Vec<u8> {
    let drawn: Vec<image::Picture> = pictures
        .iter()
        .zip(looked)
        .map(|(picture, looked)| looked.over(picture.size, &picture.fitted, OPACITY))
        .collect();
    let width = drawn.iter().map(|drawn| drawn.width + GAP).sum::<usize>() - GAP;
    let height = drawn.iter().map(|drawn| drawn.height).max().unwrap_or(1);
    let mut all = vec![0; width * height * 3];
    let mut left = 0;
    for drawn in &drawn {
        for (y, row) in drawn.rgb.chunks_exact(drawn.width * 3).enumerate() {
            all[(y * width + left) * 3..][..row.len()].copy_from_slice(row);
        }
        left += drawn.width + GAP;
    }
    png(&all, width, height)
}

/// The file of a drawing, [height, width, 3].
fn png(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let side = |length: usize| u32::try_from(length).expect("a drawing is small");
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, side(width), side(height));
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .and_then(|mut file| file.write_image_data(rgb))
        .expect("a whole picture in memory");
    png
}
