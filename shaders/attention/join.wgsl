// attention/join: out[h, d] = sum over splits s of e^(top_s - top) * part[h, s, d] / sum over s of
//   e^(top_s - top) * total_s
// state: common/state.wgsl - part [heads, SPLITS, dims + 2] as attention/step writes it - out
//   [heads * head_dim] f32
// grid: (heads * head_dim / 64) of 64 lanes; prelude: common/state.wgsl; constant SPLITS
struct Params { heads: u32, head_dim: u32, dims: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> state: State;
@group(0) @binding(2) var<storage, read> part: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if state.done != 0u || id.x >= params.heads * params.head_dim { return; }
    let first = id.x / params.head_dim * SPLITS * (params.dims + 2u);
    let d = id.x % params.head_dim;
    var top = -1e30;
    for (var s = 0u; s < SPLITS; s++) { top = max(top, part[first + s * (params.dims + 2u) + params.dims]); }
    var sum = 0.0;
    var total = 0.0;
    for (var s = 0u; s < SPLITS; s++) {
        let at = first + s * (params.dims + 2u);
        let weight = exp(part[at + params.dims] - top);
        sum = fma(weight, part[at + d], sum);
        total = fma(weight, part[at + params.dims + 1u], total);
    }
    out[id.x] = sum / total;
}
