// weight_f32: one 16-byte chunk of a panel row holds 4 floats. The mirror of src/quant.rs.
const GROUPS: u32 = 1u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 16u;
fn weights(w: vec4<u32>, g: u32, s: f32) -> vec4<f32> { return bitcast<vec4<f32>>(w); }
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 { return 1.0; }
