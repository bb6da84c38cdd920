// weight_q5: as weight_q4, with a fifth bit for each code beside the scales: that of column 4g + i
//   of a chunk is bit 8i + g of its word. The mirror of src/quant.
const GROUPS: u32 = 8u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 2u;
const CHUNKS_PER_SCALE: u32 = 1u;
const ZEROS: bool = true; // as in weight_q4
const POSITION: vec4<f32> = vec4<f32>(1.0, 0.00390625, 0.0000152587890625, 0.000000059604644775390625);
const OFFSET: vec4<f32> = vec4<f32>(0.125, 0.125, 0.125, 0.125);
fn codes(w: vec4<u32>, fifth: u32, g: u32) -> vec4<f32> {
    let low = select(w[g & 3u], w[g & 3u] >> 4u, g >= 4u) & 0x0f0f0f0fu;
    let word = bitcast<i32>(low | (((fifth >> g) << 4u) & 0x10101010u));
    return vec4<f32>(vec4<i32>(word) & vec4<i32>(0x1f, 0x1f00, 0x1f0000, 0x1f000000));
}
// Exact in f32, fused or not: thirteen bits at most.
fn weights(w: vec4<u32>, fifth: u32, g: u32, s: f32, z: f32) -> vec4<f32> {
    return fma(codes(w, fifth, g), s * POSITION, -(s * z) * OFFSET);
}
fn scale_word(panel: u32, block: u32, lane: u32) -> u32 { return scales[(panel * params.blocks + block) * 96u + lane]; }
// Of the chunk of 32 columns at `at`.
fn fifth_bits(panel: u32, at: u32, lane: u32) -> u32 {
    return scales[(panel * params.blocks + at / 2u) * 96u + 32u + (at & 1u) * 32u + lane];
}
fn scales_of(words: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(((words << vec4<u32>(12u)) & vec4<u32>(0x0ff00000u)) + vec4<u32>(0x33000000u));
}
fn zeros_of(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(words & vec4<u32>(0xffu))); }
// Sixteen columns of a chunk, the part'th, as bytes.
fn bytes(w: vec4<u32>, fifth: u32, part: u32) -> vec4<u32> {
    let low = (w >> vec4<u32>(4u * part)) & vec4<u32>(0x0f0f0f0fu);
    let high = (vec4<u32>(fifth) >> (vec4<u32>(4u * part) + vec4<u32>(0u, 1u, 2u, 3u))) << vec4<u32>(4u);
    return low | (high & vec4<u32>(0x10101010u));
}
