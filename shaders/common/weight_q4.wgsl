// weight_q4: one 16-byte chunk of a panel row holds 32 nibbles; word j has columns 4j to 4j + 3 in
//   the low nibbles of its
// bytes and 16 + 4j to 16 + 4j + 3 in the high ones; a value is (nibble - 8) * scale. The mirror of
//   src/quant.rs.
const GROUPS: u32 = 8u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 2u;
// A nibble stays where it is in the word and becomes nibble * 256^i as a float, exactly; POSITION
//   undoes that. A shift per nibble
// instead would cost some drivers more than all the rest. OFFSET: what the codes of a group stand
//   too high, already undone.
const POSITION: vec4<f32> = vec4<f32>(1.0, 0.00390625, 0.0000152587890625, 0.000000059604644775390625);
const OFFSET: vec4<f32> = vec4<f32>(8.0, 8.0, 8.0, 8.0);
fn codes(w: vec4<u32>, g: u32) -> vec4<f32> {
    let word = bitcast<i32>(select(w[g & 3u], w[g & 3u] >> 4u, g >= 4u));
    return vec4<f32>(vec4<i32>(word) & vec4<i32>(0xf, 0xf00, 0xf0000, 0xf000000));
}
// nibble * s - 8 * s is exact in f32, fused or not.
fn weights(w: vec4<u32>, g: u32, s: f32) -> vec4<f32> { return fma(codes(w, g), s * POSITION, -s * OFFSET); }
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 {
    let pair = unpack2x16float(scales[(panel * params.blocks + block) * 16u + lane / 2u]);
    return select(pair.x, pair.y, (lane & 1u) == 1u);
}
// Sixteen columns of a chunk, the part'th, as signed bytes: nibble - 8 in each, without a borrow
//   from the next.
fn bytes(w: vec4<u32>, part: u32) -> vec4<u32> {
    let nibbles = (w >> vec4<u32>(4u * part)) & vec4<u32>(0x0f0f0f0fu);
    return ((nibbles | vec4<u32>(0x80808080u)) - vec4<u32>(0x08080808u)) ^ vec4<u32>(0x80808080u);
}
