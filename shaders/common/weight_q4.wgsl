// weight_q4: one 16-byte chunk of a panel row holds 32 nibbles; word j has columns 4j to 4j + 3 in the low nibbles of its
// bytes and 16 + 4j to 16 + 4j + 3 in the high ones; a value is (nibble - 8) * scale. The mirror of src/quant.rs.
const GROUPS: u32 = 8u; // groups of 4 columns in a chunk
const CHUNKS_PER_BLOCK: u32 = 2u;
// Shifts, not bit-field extraction, which some drivers emulate. nibble * s - 8 * s is exact in f32, fused or not.
fn weights(w: vec4<u32>, g: u32, s: f32) -> vec4<f32> {
    let shifts = select(vec4<u32>(0u, 8u, 16u, 24u), vec4<u32>(4u, 12u, 20u, 28u), g >= 4u);
    let nibbles = (vec4<u32>(w[g & 3u]) >> shifts) & vec4<u32>(15u);
    return fma(vec4<f32>(nibbles), vec4<f32>(s), vec4<f32>(-8.0 * s));
}
fn block_scale(panel: u32, block: u32, lane: u32) -> f32 {
    let pair = unpack2x16float(scales[(panel * params.blocks + block) * 16u + lane / 2u]);
    return select(pair.x, pair.y, (lane & 1u) == 1u);
}
