//! Rounds matrices as packs do, for `tests/formats`: `cargo run --example round -- q4 IN OUT`.
//!
//! IN and OUT are safetensors files of f32 matrices [rows, cols]. Where IN also has
//! `NAME.importance` [cols], errors in a column of `NAME` count that much.

use mqt::internals::quant::{Format, Packed};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};
use std::error::Error;

const SUFFIX: &str = ".importance";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [format, from, to] = &args[..] else { return Err("usage: round FORMAT IN OUT".into()) };
    let format = Format::ALL.into_iter().find(|f| f.name() == format);
    let format = format.ok_or("FORMAT is f32, f16, q8, q5 or q4")?;
    let bytes = std::fs::read(from)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let mut out = Vec::new();
    for (name, tensor) in file.tensors() {
        if name.ends_with(SUFFIX) {
            continue;
        }
        let &[rows, cols] = tensor.shape() else { return Err(format!("{name}: shape").into()) };
        let importance = file.tensor(&(name.clone() + SUFFIX)).ok().map(|t| floats(&t));
        let values = floats(&tensor);
        let packed = Packed::pack_weighed(format, &values, rows, cols, importance.as_deref());
        let rounded = (0..rows).flat_map(|row| packed.row(row));
        out.push((name, vec![rows, cols], rounded.flat_map(f32::to_le_bytes).collect::<Vec<_>>()));
    }
    let views = out.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view))
    });
    serialize_to_file(views.collect::<Result<Vec<_>, _>>()?, None, to.as_ref())?;
    Ok(())
}

fn floats(tensor: &TensorView) -> Vec<f32> {
    let four = tensor.data().as_chunks::<4>().0;
    four.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
