// layer_norm: out[t, d] = (x[t, d] - mean) / sqrt(variance + eps) * weight[d] + bias[d]; without
//   the last two when AFFINE = 0
// x [tokens, cols] f32 - weight [cols] f32 - bias [cols] f32 - out [tokens, cols] f32
// grid: one workgroup of 64 lanes per token; prelude: common/reduce.wgsl; constant AFFINE
struct Params { cols: u32, stride: u32, eps: f32, first_token: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.first_token + group.x) * params.stride;
    let to = group.x * params.stride;
    var sum = 0.0;
    for (var d = lane; d < params.cols; d += 64u) { sum += x[row + d]; }
    let mean = workgroup_sum(sum, lane) / f32(params.cols);
    var squares = 0.0;
    for (var d = lane; d < params.cols; d += 64u) {
        let v = x[row + d] - mean;
        squares += v * v;
    }
    let scale = 1.0 / sqrt(workgroup_sum(squares, lane) / f32(params.cols) + params.eps);
    for (var d = lane; d < params.cols; d += 64u) {
        let v = (x[row + d] - mean) * scale;
        if AFFINE == 1u { out[to + d] = v * weight[d] + bias[d]; } else { out[to + d] = v; }
    }
}
