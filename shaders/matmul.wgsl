// matmul: out[t, r] = act(sum over c of x[t, c] * w[r, c] + bias[r]), or the same added to out[t, r] when ADD = 1
// x [tokens, cols] f32 - w panels (data, scales) - bias [rows] f32 - out [tokens, rows] f32, read-write because of ADD
// grid: (panels / 2 / ROWS, tokens / TOKENS) of 64 lanes; constants ADD, BIAS, ACT (0 none, 1 quick-GELU, 2 GELU),
// (TOKENS, ROWS) = (1, 1) or (4, 2): tokens and rows a lane computes
// prelude: common/weight_*.wgsl. Every row's sum runs in the same order whatever the number of tokens beside it.
struct Params { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

fn erf(v: f32) -> f32 {
    // Abramowitz and Stegun 7.1.26: within 1.5e-7, below what f32 activations carry.
    let t = 1.0 / (1.0 + 0.3275911 * abs(v));
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(v) * (1.0 - poly * exp(-v * v));
}

fn activate(v: f32) -> f32 {
    if ACT == 1u { return v / (1.0 + exp(-1.702 * v)); }
    if ACT == 2u { return 0.5 * v * (1.0 + erf(v * 0.70710678)); }
    return v;
}

fn store(token: u32, row: u32, sum: vec4<f32>) {
    if token >= params.n_tokens { return; }
    var v = (sum.x + sum.y) + (sum.z + sum.w);
    if BIAS == 1u { v += bias[params.first_row + row]; }
    v = activate(v);
    let at = token * params.out_stride + params.first_row + row;
    if ADD == 1u { v += out[at]; }
    out[at] = v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    // A lane owns the same row of ROWS neighbouring panels, so that it loads each x once for all of them.
    let lane = local & 31u;
    let panel_a = (group.x * 2u + local / 32u) * ROWS;
    let panel_b = panel_a + ROWS - 1u;
    let row_a = panel_a * 32u + lane;
    let row_b = panel_b * 32u + lane;
    if row_a >= params.rows { return; }
    let token = group.y * TOKENS;
    let last = params.n_tokens - 1u;
    let stride = params.x_stride / 4u;
    // Tokens past the end repeat the last one; their sums are not stored.
    var at0 = (params.first_token + token) * stride;
    var at1 = (params.first_token + min(token + 1u, last)) * stride;
    var at2 = (params.first_token + min(token + 2u, last)) * stride;
    var at3 = (params.first_token + min(token + 3u, last)) * stride;
    let panel_words = params.blocks * CHUNKS_PER_BLOCK * 32u;
    var word_a = panel_a * panel_words + lane;
    // A last panel without a neighbour reads itself again.
    let has_b = row_b < params.rows;
    var word_b = select(panel_a, panel_b, has_b) * panel_words + lane;
    var a0 = vec4<f32>();
    var a1 = vec4<f32>();
    var a2 = vec4<f32>();
    var a3 = vec4<f32>();
    var b0 = vec4<f32>();
    var b1 = vec4<f32>();
    var b2 = vec4<f32>();
    var b3 = vec4<f32>();
    for (var block = 0u; block < params.blocks; block++) {
        let scale_a = block_scale(panel_a, block, lane);
        let scale_b = block_scale(select(panel_a, panel_b, has_b), block, lane);
        for (var c = 0u; c < CHUNKS_PER_BLOCK; c++) {
            let chunk_a = unpack(data[word_a], scale_a);
            a0 = dot_chunk(chunk_a, at0, a0);
            if TOKENS > 1u {
                a1 = dot_chunk(chunk_a, at1, a1);
                a2 = dot_chunk(chunk_a, at2, a2);
                a3 = dot_chunk(chunk_a, at3, a3);
            }
            if ROWS > 1u {
                let chunk_b = unpack(data[word_b], scale_b);
                b0 = dot_chunk(chunk_b, at0, b0);
                b1 = dot_chunk(chunk_b, at1, b1);
                b2 = dot_chunk(chunk_b, at2, b2);
                b3 = dot_chunk(chunk_b, at3, b3);
            }
            at0 += GROUPS;
            at1 += GROUPS;
            at2 += GROUPS;
            at3 += GROUPS;
            word_a += 32u;
            word_b += 32u;
        }
    }
    store(token, row_a, a0);
    if TOKENS > 1u {
        store(token + 1u, row_a, a1);
        store(token + 2u, row_a, a2);
        store(token + 3u, row_a, a3);
    }
    if ROWS > 1u && has_b {
        store(token, row_b, b0);
        store(token + 1u, row_b, b1);
        store(token + 2u, row_b, b2);
        store(token + 3u, row_b, b3);
    }
}
