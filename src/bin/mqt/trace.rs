//! `mqt trace`: the stages of one prompt as a safetensors file, to compare with PyTorch.

use crate::args::{self, TraceArgs};
use crate::console::Console;
use crate::conversation::{context, decode, load_model};
use crate::failure::Result;
use crate::picture::Picture;
use crate::target::{self, Target};
use mqt::budget::{self, Budget};
use mqt::cancel::Cancel;
use mqt::image::Reading;
use mqt::model::Arithmetic;
use mqt::session::Session;
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};

pub(crate) fn run(args: TraceArgs, console: &Console) -> Result<()> {
    args::question(&args.question)?;
    let target = Target::open("-o", &args.output)?;
    let picture = Picture::find(&args.image)?;
    target::keep_from_inputs("-o", &args.output, &picture, &args.model)?;
    let model = load_model(&args.model, Arithmetic::Exact, console)?;
    let budget = Budget::Fixed(args.tokens);
    budget::fixed(args.tokens, &model.config().offer())?;
    let pixels = decode(&picture, &model, Reading::Reference)?;
    let cancel = Cancel::new();
    let context = context(&args.model, &model);
    let mut session = block_on(Session::new(model.clone(), context, &cancel))?;
    let trace = block_on(session.trace(&pixels, &args.question, &budget, &cancel))?;
    let m = trace.image_tokens;

    let config = model.config();
    let size = pixels.size;
    let spliced = trace.input_ids.len() - 1 + m;
    let files = [
        Tensor::f32("pixel_values", [3, size, size].into(), &pixels.data),
        Tensor::f32(
            "vision_features",
            [config.vision.patches(), config.vision.hidden].into(),
            &trace.vision_features,
        ),
        Tensor::f32("visual_tokens", [m, config.language.hidden].into(), &trace.visual_tokens),
        Tensor::i32("input_ids", &trace.input_ids),
        Tensor::f32("logits", [spliced, config.language.vocab].into(), &trace.logits),
    ];
    let views = files.iter().map(|tensor| (tensor.name, tensor.view()));
    let bytes = safetensors::serialize(views, None)
        .expect("five different names, sizes that follow from the shapes");
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
