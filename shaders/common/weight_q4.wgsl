// weight_q4: one 16-byte chunk of a panel row holds 32 codes of 4 bits; word j has columns 4j to
//   4j + 3 in the low nibbles of its bytes and 16 + 4j to 16 + 4j + 3 in the high ones; a value is
//   (code - zero) * scale. The mirror of src/quant.
const GROUPS: u32 = 8u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 2u;
const CHUNKS_PER_SCALE: u32 = 1u;
const ZEROS: bool = true; // bytes() are codes, which stand for more than they are by the zero
// A nibble stays where it is in the word and becomes nibble * 256^i as a float, exactly; POSITION
//   undoes that. A shift per nibble instead would cost some drivers more than all the rest.
const POSITION: vec4<f32> = vec4<f32>(1.0, 0.00390625, 0.0000152587890625, 0.000000059604644775390625);
// What one unit of a zero makes the codes of a group stand too high: a 256th of their span.
const OFFSET: vec4<f32> = vec4<f32>(0.0625, 0.0625, 0.0625, 0.0625);
fn codes(w: vec4<u32>, fifth: u32, g: u32) -> vec4<f32> {
    let word = bitcast<i32>(select(w[g & 3u], w[g & 3u] >> 4u, g >= 4u));
    return vec4<f32>(vec4<i32>(word) & vec4<i32>(0xf, 0xf00, 0xf0000, 0xf000000));
}
// Exact in f32, fused or not: twelve bits at most.
fn weights(w: vec4<u32>, fifth: u32, g: u32, s: f32, z: f32) -> vec4<f32> {
    return fma(codes(w, fifth, g), s * POSITION, -(s * z) * OFFSET);
}
// A row's scales and zeros for 64 columns: a half for 32, the zero in its low byte.
fn scale_word(panel: u32, block: u32, lane: u32) -> u32 { return scales[(panel * params.blocks + block) * 32u + lane]; }
fn fifth_bits(panel: u32, at: u32, lane: u32) -> u32 { return 0u; }
// Of four rows, for the 32 columns whose half is the low one. A scale's byte has five bits of
//   exponent and
//   three of mantissa; as the upper part of a float its exponent is 102 too low.
fn scales_of(words: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(((words << vec4<u32>(12u)) & vec4<u32>(0x0ff00000u)) + vec4<u32>(0x33000000u));
}
fn zeros_of(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(words & vec4<u32>(0xffu))); }
// Sixteen columns of a chunk, the part'th, as bytes.
fn bytes(w: vec4<u32>, fifth: u32, part: u32) -> vec4<u32> { return (w >> vec4<u32>(4u * part)) & vec4<u32>(0x0f0f0f0fu); }
