// attention/lanes: attention/groups.wgsl's formula without workgroup memory: a lane takes 4 queries
//   of one
//   head past all keys, 8 at a time
// q [tokens, heads, dims / 4] vec4, already scaled - keys, values: as heads.wgsl writes them - out
//   [tokens, heads * head_dim] f32
// grid: heads * (queries / 4 rounded up) lanes in groups of WG; constants CAUSAL (a query at
//   position p sees keys 0 to p), QUADS = dims / 4
// prelude: common/kv_*.wgsl. Keys go by in eights counted from key 0, and a masked key adds
//   nothing: a query's result does not
// depend on its neighbours.
struct Params { n_keys: u32, heads: u32, group: u32, head_dim: u32, queries: u32, out_stride: u32, capacity: u32, position: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<Key>;
@group(0) @binding(3) var<storage, read> values: array<Key>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const UNIT: u32 = KEY_DIMS / 4u; // quads of a unit
const UNITS: u32 = QUADS / UNIT;

// A column per key: its scores with the 4 queries.
struct Scores { low: mat4x4<f32>, high: mat4x4<f32> }

fn scores_of(q_at: vec4<u32>, first: u32) -> Scores {
    var s = Scores();
    var at = first;
    for (var u = 0u; u < UNITS; u++) {
        let k0 = keys[at];
        let k1 = keys[at + 1u];
        let k2 = keys[at + 2u];
        let k3 = keys[at + 3u];
        let k4 = keys[at + 4u];
        let k5 = keys[at + 5u];
        let k6 = keys[at + 6u];
        let k7 = keys[at + 7u];
        for (var h = 0u; h < UNIT; h++) {
            let i = u * UNIT + h;
            let four = mat4x4<f32>(q[q_at.x + i], q[q_at.y + i], q[q_at.z + i], q[q_at.w + i]);
            s.low += mat4x4<f32>(key_at(k0, h) * four, key_at(k1, h) * four, key_at(k2, h) * four, key_at(k3, h) * four);
            s.high += mat4x4<f32>(key_at(k4, h) * four, key_at(k5, h) * four, key_at(k6, h) * four, key_at(k7, h) * four);
        }
        at += 32u;
    }
    return s;
}

fn masked(s: vec4<f32>, key: u32, visible: vec4<u32>) -> vec4<f32> {
    // A finite lowest value: some drivers fold comparisons with infinity.
    return select(vec4<f32>(-1e30), s, vec4<u32>(key) < visible);
}

fn weighted(m: mat4x4<f32>, w: vec4<f32>, v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(vec4<f32>(w.x), v, m[0]), fma(vec4<f32>(w.y), v, m[1]),
        fma(vec4<f32>(w.z), v, m[2]), fma(vec4<f32>(w.w), v, m[3]),
    );
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // Neighbours differ in the head: they see equally many keys.
    let head = id.x % params.heads;
    let query = id.x / params.heads * 4u;
    if query >= params.queries { return; }
    let kv = head / params.group;
    // Queries past the end repeat the last one; their results are not stored.
    let mine = min(vec4<u32>(query, query + 1u, query + 2u, query + 3u), vec4<u32>(params.queries - 1u));
    let q_at = (mine * params.heads + head) * QUADS;
    var visible = vec4<u32>(params.n_keys);
    if CAUSAL == 1u { visible = min(visible, mine + params.position + 1u); }
    let tiles = kv * (params.capacity / 32u);
    let rows = kv * params.capacity;
    var top = vec4<f32>(-1e30);
    var total = vec4<f32>();
    // [quads of dimensions] of a column per query
    var sum: array<mat4x4<f32>, QUADS>;
    for (var first = 0u; first < visible.w; first += 8u) {
        let s = scores_of(q_at, (tiles + first / 32u) * UNITS * 32u + first % 32u);
        let s0 = masked(s.low[0], first, visible);
        let s1 = masked(s.low[1], first + 1u, visible);
        let s2 = masked(s.low[2], first + 2u, visible);
        let s3 = masked(s.low[3], first + 3u, visible);
        let s4 = masked(s.high[0], first + 4u, visible);
        let s5 = masked(s.high[1], first + 5u, visible);
        let s6 = masked(s.high[2], first + 6u, visible);
        let s7 = masked(s.high[3], first + 7u, visible);
        let highest = max(top, max(max(max(s0, s1), max(s2, s3)), max(max(s4, s5), max(s6, s7))));
        let fade = exp(top - highest);
        top = highest;
        let w0 = exp(s0 - top);
        let w1 = exp(s1 - top);
        let w2 = exp(s2 - top);
        let w3 = exp(s3 - top);
        let w4 = exp(s4 - top);
        let w5 = exp(s5 - top);
        let w6 = exp(s6 - top);
        let w7 = exp(s7 - top);
        total = total * fade + (((w0 + w1) + (w2 + w3)) + ((w4 + w5) + (w6 + w7)));
        // Where the last eight are not all there, the last key stands in with weight 0.
        let low = (rows + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(params.n_keys - 1u))) * UNITS;
        let high = (rows + min(vec4<u32>(first + 4u, first + 5u, first + 6u, first + 7u), vec4<u32>(params.n_keys - 1u))) * UNITS;
        for (var u = 0u; u < UNITS; u++) {
            let v0 = values[low.x + u];
            let v1 = values[low.y + u];
            let v2 = values[low.z + u];
            let v3 = values[low.w + u];
            let v4 = values[high.x + u];
            let v5 = values[high.y + u];
            let v6 = values[high.z + u];
            let v7 = values[high.w + u];
            for (var h = 0u; h < UNIT; h++) {
                var m = sum[u * UNIT + h];
                m = mat4x4<f32>(m[0] * fade.x, m[1] * fade.y, m[2] * fade.z, m[3] * fade.w);
                m = weighted(weighted(weighted(weighted(m, w0, key_at(v0, h)), w1, key_at(v1, h)), w2, key_at(v2, h)), w3, key_at(v3, h));
                m = weighted(weighted(weighted(weighted(m, w4, key_at(v4, h)), w5, key_at(v5, h)), w6, key_at(v6, h)), w7, key_at(v7, h));
                sum[u * UNIT + h] = m;
            }
        }
    }
    for (var t = 0u; t < min(4u, params.queries - query); t++) {
        let at = (query + t) * params.out_stride + head * params.head_dim;
        for (var d = 0u; d < params.head_dim; d++) { out[at + d] = sum[d / 4u][t][d % 4u] / total[t]; }
    }
}
