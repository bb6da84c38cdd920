// matmul: out[t, r] = act(sum over c of x[t, c] * w[r, c] + bias[r]), or the same added to out[t, r] when ADD = 1
// x [tokens, cols] f32 - w panels (data, scales) - bias [rows] f32 - out [tokens, rows] f32, read-write because of ADD
// grid: (panels / ROWS / (WG / 32 / SLICES), tokens / TOKENS) of WG lanes; constants ADD, BIAS, ACT (0 none, 1 quick-GELU,
// 2 GELU), SLICES (a row's columns are shared out among so many lanes), TOKENS and ROWS of common/tile.wgsl, COLUMNS of its tile in use
// preludes: common/x_*.wgsl (binding 1), common/data_*.wgsl (2), common/weight_*.wgsl, common/tile.wgsl
struct Params { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32, to_token: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const VALUES: u32 = select(4u, ROWS, TOKENS <= 2u && ROWS < 4u); // of a column that are in use
const PER_TOKEN: u32 = max(1u, COLUMNS / TOKENS); // columns of a token, where a column is four rows of one
// The slices' sums, 4 columns per lane; without slices it shrinks to nothing much.
var<workgroup> partial: array<vec4<f32>, PARTIAL>;

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

fn store(token: u32, row: u32, sum: f32) {
    if token >= params.n_tokens || row >= params.rows { return; }
    var v = sum;
    if BIAS == 1u { v += bias[params.first_row + row]; }
    v = activate(v);
    let at = (params.to_token + token) * params.out_stride + params.first_row + row;
    if ADD == 1u { v += out[at]; }
    out[at] = v;
}

// Stores value k of a column of the tile: the column is four rows of a token, or four tokens of a row.
fn store_one(token: u32, row: u32, column: u32, k: u32, sum: f32) {
    if TOKENS <= 2u {
        store(token + column / PER_TOKEN, row + 128u * (column % PER_TOKEN) + 32u * k, sum);
    } else {
        store(token + column / ROWS * 4u + k, row + column % ROWS * 32u, sum);
    }
}

fn row_of(token: u32) -> u32 {
    // Tokens past the end repeat the last one; their sums are not stored.
    return (params.first_token + min(token, params.n_tokens - 1u)) * (params.x_stride / 4u);
}

fn quad(token: u32) -> vec4<u32> {
    return vec4<u32>(row_of(token), row_of(token + 1u), row_of(token + 2u), row_of(token + 3u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let lane = local & 31u;
    let slice = local / 32u % SLICES;
    let panel = (group.x * (WG / 32u / SLICES) + local / (32u * SLICES)) * ROWS;
    let token = group.y * TOKENS;
    var t = accumulate(panel, lane, slice, SLICES, Bases(quad(token), quad(token + 4u), quad(token + 8u), quad(token + 12u)));
    if SLICES > 1u {
        let mine = local * 4u;
        partial[mine] = t.a[0];
        partial[mine + 1u] = t.a[1];
        partial[mine + 2u] = t.a[2];
        partial[mine + 3u] = t.a[3];
        workgroupBarrier();
        if slice > 0u { return; }
        for (var s = 1u; s < SLICES; s++) {
            let other = mine + s * 128u;
            t.a += mat4x4<f32>(partial[other], partial[other + 1u], partial[other + 2u], partial[other + 3u]);
        }
    }
    let row = panel * 32u + lane;
    // One store in a loop: sixteen in a row would take some drivers a second to compile.
    var sums = columns(t);
    for (var i = 0u; i < COLUMNS * VALUES; i++) { store_one(token, row, i / VALUES, i % VALUES, sums[i / VALUES][i % VALUES]); }
}
