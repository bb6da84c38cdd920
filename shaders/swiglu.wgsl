// swiglu: out[t, f] = silu(gate[t, f]) * up[t, f]; the input holds 32 gates, then their 32 ups, and
//   so on (a panel of each)
// x [tokens, 2 * padded ffn] f32 - out [tokens, ffn] f32
// grid: (ffn / 64, tokens) of 64 lanes
struct Params { cols: u32, x_stride: u32, out_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols { return; }
    let at = id.y * params.x_stride + id.x / 32u * 64u + id.x % 32u;
    let gate = x[at];
    out[id.y * params.out_stride + id.x] = gate / (1.0 + exp(-gate)) * x[at + 32u];
}
