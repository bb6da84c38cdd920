// weight_q4: one 16-byte chunk of a panel row holds 32 nibbles; word j has columns 4j to 4j + 3 in the low nibbles of its
// bytes and 16 + 4j to 16 + 4j + 3 in the high ones; a value is nibble - 8. The mirror of src/quant.rs.
const GROUPS: u32 = 8u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 2u;
struct Chunk {
    g0: vec4<f32>, g1: vec4<f32>, g2: vec4<f32>, g3: vec4<f32>,
    g4: vec4<f32>, g5: vec4<f32>, g6: vec4<f32>, g7: vec4<f32>,
}
fn low(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)) - 8.0; }
fn high(word: u32) -> vec4<f32> { return low(word >> 4u); }
// A nibble times a half is exact in f32, so scaling the weight rather than the sum costs no accuracy.
fn unpack(w: vec4<u32>, scale: f32) -> Chunk {
    return Chunk(
        low(w.x) * scale, low(w.y) * scale, low(w.z) * scale, low(w.w) * scale,
        high(w.x) * scale, high(w.y) * scale, high(w.z) * scale, high(w.w) * scale,
    );
}
fn dot_chunk(c: Chunk, at: u32, sum: vec4<f32>) -> vec4<f32> {
    let a = fma(c.g1, x[at + 1u], fma(c.g0, x[at], sum));
    let b = fma(c.g3, x[at + 3u], fma(c.g2, x[at + 2u], a));
    let d = fma(c.g5, x[at + 5u], fma(c.g4, x[at + 4u], b));
    return fma(c.g7, x[at + 7u], fma(c.g6, x[at + 6u], d));
}
fn weight_group(w: vec4<u32>, g: u32) -> vec4<f32> {
    let word = w[g & 3u];
    return low(select(word, word >> 4u, g >= 4u));
}
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 {
    let pair = unpack2x16float(scales[(panel * params.blocks + block) * 16u + lane / 2u]);
    return select(pair.x, pair.y, (lane & 1u) == 1u);
}
