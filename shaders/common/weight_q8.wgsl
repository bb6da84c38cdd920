// weight_q8: one 16-byte chunk of a panel row holds 16 signed bytes; word j has columns 4j to 4j +
//   3. The mirror of src/quant.
const GROUPS: u32 = 4u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 4u;
const CHUNKS_PER_SCALE: u32 = 4u;
const ZEROS: bool = false;
// As in weight_q4. The highest byte brings its sign along, the others are 128 too high.
const POSITION: vec4<f32> = vec4<f32>(1.0, 0.00390625, 0.0000152587890625, 0.000000059604644775390625);
const OFFSET: vec4<f32> = vec4<f32>(128.0, 128.0, 128.0, 0.0);
fn codes(w: vec4<u32>, fifth: u32, g: u32) -> vec4<f32> {
    let word = bitcast<i32>(w[g] ^ 0x808080u);
    return vec4<f32>(vec4<i32>(word) & vec4<i32>(0xff, 0xff00, 0xff0000, -0x1000000));
}
// byte * s is exact in f32, so scaling the weight rather than the sum costs no accuracy.
fn weights(w: vec4<u32>, fifth: u32, g: u32, s: f32, z: f32) -> vec4<f32> {
    return fma(codes(w, fifth, g), s * POSITION, -s * OFFSET);
}
// A row's scale for 64 columns, in the low half.
fn scale_word(panel: u32, block: u32, lane: u32) -> u32 {
    return scales[(panel * params.blocks + block) * 16u + lane / 2u] >> (16u * (lane & 1u));
}
fn fifth_bits(panel: u32, at: u32, lane: u32) -> u32 { return 0u; }
fn scales_of(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x).x, unpack2x16float(words.y).x, unpack2x16float(words.z).x, unpack2x16float(words.w).x);
}
fn zeros_of(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(1.0); }
// A chunk's sixteen columns, its only part, as signed bytes.
fn bytes(w: vec4<u32>, fifth: u32, part: u32) -> vec4<u32> { return w; }
