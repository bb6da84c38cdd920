// attention/groups: out[t, h] = sum over visible keys j of softmax_j(q[t, h] . keys[j, kv]) *
//   values[j,
//   kv], kv = h / group
// q [tokens, heads, dims / 4] vec4, already scaled - keys, values: as heads.wgsl writes them - out
//   [tokens, heads * head_dim] f32
// grid: (heads, tokens) workgroups of 64 lanes; constants CAUSAL (a query at position p sees keys 0
//   to p), SPANS = dims / 128 rounded up
// prelude: common/kv_*.wgsl. Keys go by in tiles of 64 counted from key 0, so a query's result does
//   not depend on its neighbours.
struct Params { n_keys: u32, heads: u32, group: u32, head_dim: u32, dims: u32, out_stride: u32, capacity: u32, position: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<Key>;
@group(0) @binding(3) var<storage, read> values: array<Value>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

var<workgroup> tile: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = group.x;
    let query = group.y;
    let kv = head / params.group;
    var visible = params.n_keys;
    if CAUSAL == 1u { visible = min(visible, params.position + query + 1u); }
    let q_units = params.dims / 4u;
    let q_at = (query * params.heads + head) * q_units;
    let k_units = params.dims / KEY_DIMS;
    let v_units = params.dims / 2u;
    // A finite lowest value: some drivers fold comparisons with infinity.
    var highest = -1e30;
    var total = 0.0;
    var sum: array<vec2<f32>, SPANS>;
    for (var first = 0u; first < visible; first += 64u) {
        let key = first + lane;
        var score = -1e30;
        if key < visible {
            var at = ((kv * (params.capacity / 32u) + key / 32u) * k_units) * 32u + key % 32u;
            var parts = vec4<f32>();
            for (var u = 0u; u < k_units; u++) {
                let k = keys[at];
                for (var h = 0u; h < KEY_DIMS / 4u; h++) {
                    parts = fma(key_at(k, h), q[q_at + u * (KEY_DIMS / 4u) + h], parts);
                }
                at += 32u;
            }
            score = (parts.x + parts.y) + (parts.z + parts.w);
        }
        tile[lane] = score;
        workgroupBarrier();
        var top = highest;
        for (var j = 0u; j < 64u; j++) { top = max(top, tile[j]); }
        let fade = exp(highest - top);
        highest = top;
        workgroupBarrier();
        tile[lane] = select(0.0, exp(score - top), key < visible);
        workgroupBarrier();
        total *= fade;
        for (var s = 0u; s < SPANS; s++) { sum[s] *= fade; }
        let n = min(64u, visible - first);
        for (var j = 0u; j < n; j++) {
            let weight = tile[j];
            total += weight;
            for (var s = 0u; s < SPANS; s++) {
                let unit = s * 64u + lane;
                if unit < v_units {
                    let v = value_of(values[(kv * params.capacity + first + j) * v_units + unit]);
                    sum[s] = fma(vec2<f32>(weight), v, sum[s]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var s = 0u; s < SPANS; s++) {
        let d = (s * 64u + lane) * 2u;
        let at = query * params.out_stride + head * params.head_dim + d;
        let v = sum[s] / total;
        if d < params.head_dim { out[at] = v.x; }
        if d + 1u < params.head_dim { out[at + 1u] = v.y; }
    }
}
