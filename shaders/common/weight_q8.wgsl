// weight_q8: one 16-byte chunk of a panel row holds 16 signed bytes; word j has columns 4j to 4j +
//   3. The mirror of src/quant.rs.
const GROUPS: u32 = 4u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 4u;
// As in weight_q4. The highest byte brings its sign along, the others are 128 too high.
const POSITION: vec4<f32> = vec4<f32>(1.0, 0.00390625, 0.0000152587890625, 0.000000059604644775390625);
const OFFSET: vec4<f32> = vec4<f32>(128.0, 128.0, 128.0, 0.0);
fn codes(w: vec4<u32>, g: u32) -> vec4<f32> {
    let word = bitcast<i32>(w[g] ^ 0x808080u);
    return vec4<f32>(vec4<i32>(word) & vec4<i32>(0xff, 0xff00, 0xff0000, -0x1000000));
}
// byte * s is exact in f32, so scaling the weight rather than the sum costs no accuracy.
fn weights(w: vec4<u32>, g: u32, s: f32) -> vec4<f32> { return fma(codes(w, g), s * POSITION, -s * OFFSET); }
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 {
    let pair = unpack2x16float(scales[(panel * params.blocks + block) * 16u + lane / 2u]);
    return select(pair.x, pair.y, (lane & 1u) == 1u);
}
// A chunk's sixteen columns, its only part, as signed bytes.
fn bytes(w: vec4<u32>, part: u32) -> vec4<u32> { return w; }
