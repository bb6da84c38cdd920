// product/lanes: out[t, r] = act(sum over c of x[t, c] * w[r, c] + bias[r]), or the same added to
//   out[t, r] when ADD = 1
// x [tokens, cols] f32 - w panels (data, scales) - bias [rows] f32 - out [tokens, rows] f32,
//   read-write because of ADD
// grid: (panels / ROWS / (WG / 32 / SLICES), tokens / TOKENS) of WG lanes; constants ADD, BIAS, ACT
//   of common/product.wgsl, SLICES (lanes that share a row's columns), TOKENS and ROWS of
//   common/tile.wgsl, COLUMNS of its tile in use
// preludes: common/x_*.wgsl (binding 1), common/data_*.wgsl (2), common/weight_*.wgsl,
//   common/product.wgsl, common/tile.wgsl
struct Params { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32, to_token: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const VALUES: u32 = select(4u, ROWS, TOKENS <= 2u && ROWS < 4u); // of a column that are in use
// columns of a token, where a column is four rows of one
const PER_TOKEN: u32 = max(1u, COLUMNS / TOKENS);
// The slices' sums, 4 columns per lane; without slices it shrinks to nothing much.
var<workgroup> partial: array<vec4<f32>, PARTIAL>;

// Stores value k of a column of the tile: the column is four rows of a token, or four tokens of a
//   row.
fn store_one(token: u32, row: u32, column: u32, k: u32, sum: f32) {
    if TOKENS <= 2u {
        store(token + column / PER_TOKEN, row + 128u * (column % PER_TOKEN) + 32u * k, sum);
    } else {
        store(token + column / ROWS * 4u + k, row + column % ROWS * 32u, sum);
    }
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
