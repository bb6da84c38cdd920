// weight_q8: one 16-byte chunk of a panel row holds 16 signed bytes; word j has columns 4j to 4j + 3. The mirror of src/quant.rs.
const GROUPS: u32 = 4u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 4u;
// A byte times a half is exact in f32, so scaling the weight rather than the sum costs no accuracy.
fn weights(w: vec4<u32>, g: u32, s: f32) -> vec4<f32> {
    let bytes = vec4<i32>(vec4<u32>(w[g]) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
    return vec4<f32>(bytes) * s;
}
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 {
    let pair = unpack2x16float(scales[(panel * params.blocks + block) * 16u + lane / 2u]);
    return select(pair.x, pair.y, (lane & 1u) == 1u);
}
