// mix: out[i, c] = sum over patches p of map[h, i, p] * values[p, c], h = c / head_dim: the
//   resampler's fixed spatial mixing
// map [heads, M, patches] f32 or f16 - values [patches, cols] f32 - out [tokens, cols] f32
// grid: (cols / 64, tokens) of 64 lanes; prelude: common/map_*.wgsl
struct Params { patches: u32, cols: u32, stride: u32, head_dim: u32, m_max: u32, map_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> map: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols { return; }
    let row = (id.x / params.head_dim * params.m_max + id.y) * params.map_stride;
    var sum = 0.0;
    for (var p = 0u; p < params.patches; p++) {
        sum = fma(map_value(row + p), values[p * params.stride + id.x], sum);
    }
    out[id.y * params.stride + id.x] = sum;
}
