// weight_f16: one 16-byte chunk of a panel row holds 8 halves; word j has columns 2j and 2j + 1.
//   The mirror of src/quant.
const GROUPS: u32 = 2u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 8u;
const CHUNKS_PER_SCALE: u32 = 8u;
const POSITION: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0);
const OFFSET: vec4<f32> = vec4<f32>();
fn codes(w: vec4<u32>, fifth: u32, g: u32) -> vec4<f32> {
    let pair = select(w.xy, w.zw, g == 1u);
    return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
fn weights(w: vec4<u32>, fifth: u32, g: u32, s: f32, z: f32) -> vec4<f32> { return codes(w, fifth, g); }
fn scale_word(panel: u32, block: u32, lane: u32) -> u32 { return 0u; }
fn fifth_bits(panel: u32, at: u32, lane: u32) -> u32 { return 0u; }
fn scales_of(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(1.0); }
fn zeros_of(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(); }
