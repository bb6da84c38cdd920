// attention/weights: out[t, j] (+)= share * sum over heads h of softmax_j(q[t, h] . keys[j, kv]),
//   kv = h / group
// q [tokens, heads, dims / 4] vec4, already scaled - keys: as heads.wgsl writes them - out [tokens,
//   stride] f32, of which the first n_keys columns are written: 0 where a query does not look
// grid: one workgroup of 64 lanes per token, which sees keys 0 to position + t; constant ADD: 1
//   adds to what is there, 0 replaces it
// preludes: common/reduce.wgsl, common/kv_*.wgsl
struct Params { n_keys: u32, heads: u32, group: u32, dims: u32, stride: u32, capacity: u32, position: u32, share: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<Key>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> tops: array<f32, 64>;

fn score(q_at: u32, kv: u32, key: u32) -> f32 {
    let units = params.dims / KEY_DIMS;
    var at = ((kv * (params.capacity / 32u) + key / 32u) * units) * 32u + key % 32u;
    var parts = vec4<f32>();
    for (var u = 0u; u < units; u++) {
        let k = keys[at];
        for (var h = 0u; h < KEY_DIMS / 4u; h++) {
            parts = fma(key_at(k, h), q[q_at + u * (KEY_DIMS / 4u) + h], parts);
        }
        at += 32u;
    }
    return (parts.x + parts.y) + (parts.z + parts.w);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let query = group.x;
    let visible = min(params.n_keys, params.position + query + 1u);
    let to = query * params.stride;
    // A lane's keys are its own, so that nobody waits for what is written.
    if ADD == 0u {
        for (var key = lane; key < params.n_keys; key += 64u) { out[to + key] = 0.0; }
    }
    for (var head = 0u; head < params.heads; head++) {
        let q_at = (query * params.heads + head) * (params.dims / 4u);
        let kv = head / params.group;
        // A finite lowest value: some drivers fold comparisons with infinity.
        var top = -1e30;
        var total = 0.0;
        for (var key = lane; key < visible; key += 64u) {
            let s = score(q_at, kv, key);
            let higher = max(top, s);
            total = total * exp(top - higher) + exp(s - higher);
            top = higher;
        }
        tops[lane] = top;
        workgroupBarrier();
        var highest = top;
        for (var j = 0u; j < 64u; j++) { highest = max(highest, tops[j]); }
        // Its barriers also keep the next head from writing `tops` too early.
        let sum = workgroup_sum(total * exp(top - highest), lane);
        for (var key = lane; key < visible; key += 64u) {
            out[to + key] += exp(score(q_at, kv, key) - highest) * (params.share / sum);
        }
    }
}
