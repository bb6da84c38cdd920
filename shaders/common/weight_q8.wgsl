// weight_q8: one 16-byte chunk of a panel row holds 16 signed bytes; word j has columns 4j to 4j + 3. The mirror of src/quant.rs.
const GROUPS: u32 = 4u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 4u;
struct Chunk { g0: vec4<f32>, g1: vec4<f32>, g2: vec4<f32>, g3: vec4<f32> }
fn bytes(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xI8(word)); }
// A byte times a half is exact in f32, so scaling the weight rather than the sum costs no accuracy.
fn unpack(w: vec4<u32>, scale: f32) -> Chunk {
    return Chunk(bytes(w.x) * scale, bytes(w.y) * scale, bytes(w.z) * scale, bytes(w.w) * scale);
}
fn dot_chunk(c: Chunk, at: u32, sum: vec4<f32>) -> vec4<f32> {
    let low = fma(c.g1, x[at + 1u], fma(c.g0, x[at], sum));
    return fma(c.g3, x[at + 3u], fma(c.g2, x[at + 2u], low));
}
fn weight_group(w: vec4<u32>, g: u32) -> vec4<f32> { return bytes(w[g]); }
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 {
    let pair = unpack2x16float(scales[(panel * params.blocks + block) * 16u + lane / 2u]);
    return select(pair.x, pair.y, (lane & 1u) == 1u);
}
