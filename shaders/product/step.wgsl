// product/step: one token's v[r] = sum over c of x[c] * w[r, c], as a step of decoding: scaled
//   before
//   (NORM) and finished after (END)
// state: common/state.wgsl - x [cols] f32, gain already multiplied in - stream [cols] f32: whose
//   RMS scales v when NORM = 1
// w panels (data, scales) - extra [rows] f32: the bias (END 0, BIAS 1) or the next norm's gain (END
//   1) - out f32 - next [rows] f32
// END 0: out[r] = v + bias; 1: out[r] += v, next[r] = out[r] * extra[r]; 2: out[f] = silu(v of gate
//   f) * (v of up f)
// grid: (panels / ROWS / (WG / 32 / SLICES)) of WG lanes; constants NORM, END, BIAS, WG, SLICES,
//   ROWS (even for END 2), TOKENS = 1
// preludes: common/state.wgsl, common/x_*.wgsl (binding 1), common/data_*.wgsl (2),
//   common/weight_*.wgsl, common/tile.wgsl, common/sum_*.wgsl
struct Params { rows: u32, blocks: u32, first_row: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> state: State;
@group(0) @binding(5) var<storage, read> stream: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> extra: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read_write> next: array<f32>;

const STEP: u32 = select(1u, 2u, END == 2u); // rows finished together
var<workgroup> squares: array<f32, WG>;
var<workgroup> partial: array<vec4<f32>, PARTIAL>;

// 1 / RMS of the residual stream: every group computes it, which costs less than a dispatch of its
//   own.
fn inverse_rms(local: u32) -> f32 {
    if NORM == 0u { return 1.0; }
    var sum = vec4<f32>();
    // Columns beyond cols are zero.
    for (var i = local; i < params.blocks * 16u; i += WG) { sum = fma(stream[i], stream[i], sum); }
    squares[local] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < WG; i++) { total += squares[i]; }
    return inverseSqrt(total / f32(params.cols) + params.eps);
}

fn finish(row: u32, v: f32) {
    if row >= params.rows { return; }
    let r = params.first_row + row;
    if END == 0u {
        if BIAS == 1u { out[r] = v + extra[r]; } else { out[r] = v; }
    } else {
        let sum = out[r] + v;
        out[r] = sum;
        next[r] = sum * extra[r];
    }
}

// Panels alternate: gates of 32 features, then their ups.
fn gated(row: u32, gate: f32, up: f32) {
    if row >= params.rows { return; }
    let r = params.first_row + row;
    out[r / 64u * 32u + r % 32u] = gate / (1.0 + exp(-gate)) * up;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    if state.done != 0u { return; }
    let lane = local & 31u;
    let slice = local / 32u % SLICES;
    let panel = (group.x * (WG / 32u / SLICES) + local / (32u * SLICES)) * ROWS;
    let scale = inverse_rms(local);
    var t = lane_sums(panel, lane, slice, local);
    if SLICES > 1u {
        // With slices a lane has at most four rows.
        partial[local] = t.a[0];
        workgroupBarrier();
        if slice > 0u { return; }
        for (var s = 1u; s < SLICES; s++) { t.a[0] += partial[local + s * 32u]; }
    }
    let row = panel * 32u + lane;
    var sums = columns(t);
    for (var i = 0u; i < ROWS; i += STEP) {
        let v = sums[i / 4u][i % 4u] * scale;
        if END == 2u { gated(row + 32u * i, v, sums[i / 4u][i % 4u + 1u] * scale); } else { finish(row + 32u * i, v); }
    }
}
