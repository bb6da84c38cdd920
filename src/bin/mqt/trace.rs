//! `mqt trace`: the stages of one prompt as a safetensors file, to compare with PyTorch.

use crate::args::{self, TraceArgs};
use crate::console::Console;
use crate::conversation::{load_model, open_session};
use crate::failure::Result;
use crate::known::decode;
use crate::picture::Picture;
use crate::target::{self, Target};
use mqt::budget::{self, Budget};
use mqt::cancel::Cancel;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use mqt::session::Request;
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};

pub(crate) fn run(args: TraceArgs, console: &Console) -> Result<()> {
    args::question(&args.question)?;
    let target = Target::open("-o", &args.output)?;
    let picture = Picture::find(&args.image)?;
    target::keep_from_inputs("-o", &args.output, &picture, &args.model)?;
    let model = load_model(&args.model, Arithmetic::Exact, console)?;
    let budget = Budget::Fixed(args.tokens);
    let config = model.config();
    budget::fixed(args.tokens, &config.offer_by(config.checked_select(args.select)?))?;
    let decoded = decode(&picture, &model, Reading::Reference)?;
    let cancel = Cancel::new();
    let mut session = open_session(&model, &args.model, &cancel)?;
    let mut request = Request::new(args.question);
    (request.budget, request.select) = (budget, args.select);
    let trace = block_on(session.trace(std::slice::from_ref(&decoded), &request, &cancel))?;
    let m = trace.image_tokens;

    let size = config.vision.image_size;
    let spliced = trace.logits.len() / config.language.vocab;
    // One square that could not have been several has no axis for them.
    let tiles: &[usize] = if config.is_tiled() { &[trace.tiles] } else { &[] };
    let with_tiles = |rest: &[usize]| [tiles, rest].concat();
    let mut files = vec![
        Tensor::f32("pixel_values", with_tiles(&[3, size, size]), &trace.pixel_values),
        Tensor::f32(
            "vision_features",
            with_tiles(&[config.vision.patches(), config.vision.hidden]),
            &trace.vision_features,
        ),
        Tensor::f32("visual_tokens", [m, config.language.hidden].into(), &trace.visual_tokens),
        Tensor::i32("input_ids", &trace.input_ids),
        Tensor::f32("logits", [spliced, config.language.vocab].into(), &trace.logits),
    ];
    if let Some(selected) = &trace.selected {
        let rows: Vec<i32> = selected.iter().map(|&row| row as i32).collect();
        files.push(Tensor::i32("selected", &rows));
    }
    let views = files.iter().map(|tensor| (tensor.name, tensor.view()));
    let bytes = safetensors::serialize(views, None)
        .expect("different names, sizes that follow from the shapes");
    target.write(&bytes)?;
    let adapter = &model.adapter().name;
    let (name, weights) = (model.name(), model.weights_name());
    let path = target::shown_path(&args.output);
    console.line(&format!("wrote to {path}: {name} ({weights}) on {adapter} · m {m} · {spliced} positions · {} arithmetic", model.arithmetic()));
    Ok(())
}

struct Tensor {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn f32(name: &'static str, shape: Vec<usize>, data: &[f32]) -> Tensor {
        Tensor {
            name,
            dtype: Dtype::F32,
            shape,
            bytes: data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    fn i32(name: &'static str, data: &[i32]) -> Tensor {
        Tensor {
            name,
            dtype: Dtype::I32,
            shape: vec![data.len()],
            bytes: data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    fn view(&self) -> TensorView<'_> {
        let Tensor { name, dtype, shape, bytes } = self;
        TensorView::new(*dtype, shape.clone(), bytes)
            .unwrap_or_else(|error| panic!("{name} {shape:?}: {} bytes: {error}", bytes.len()))
    }
}
