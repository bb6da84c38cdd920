// attention/solo: attention/step's formula without workgroup memory: a lane takes one head past all
//   positions, 8 at a time
// state: common/state.wgsl - qkv [sections] f32 - rope [positions, head_dim / 2] (cos, sin) - keys,
//   values: heads.wgsl's cache in halves
// out [heads * head_dim] f32
// grid: heads lanes in groups of WG; constant UNITS = dims / 8; preludes: common/state.wgsl,
//   common/newest.wgsl, which binds them all
struct Params { heads: u32, kv_heads: u32, head_dim: u32, k_at: u32, v_at: u32, capacity: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;

// Adds eight dimensions' share of a score.
fn score(w: vec4<u32>, low: vec4<f32>, high: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let k = unpack8(w);
    return fma(k.low, low, fma(k.high, high, sum));
}

fn total4(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(1.0) * mat4x4<f32>(a, b, c, d);
}

fn highest(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let head = id.x;
    if state.done != 0u || head >= params.heads { return; }
    let position = state.position;
    let kv = head * params.kv_heads / params.heads;
    let k_base = params.k_at + kv * params.head_dim;
    let v_base = params.v_at + kv * params.head_dim;
    let tiles = kv * (params.capacity / 32u);
    let rows = kv * params.capacity;
    // The first query head of its group stores the new key and value; nobody reads those places in
    //   this dispatch.
    let stores = head * params.kv_heads % params.heads == 0u;
    var query: array<vec4<f32>, 2u * UNITS>;
    var sum: array<vec4<f32>, 2u * UNITS>;
    var own = vec4<f32>();
    for (var u = 0u; u < UNITS; u++) {
        query[2u * u] = new_query(head * params.head_dim, u * 8u, position);
        query[2u * u + 1u] = new_query(head * params.head_dim, u * 8u + 4u, position);
        let key = new_key(k_base, u * 8u, position);
        own = score(key, query[2u * u], query[2u * u + 1u], own);
        if stores { keys[((tiles + position / 32u) * UNITS + u) * 32u + position % 32u] = key; }
    }
    // The new position comes first; its weight is 1 until a higher score comes.
    var top = total4(own, own, own, own).x;
    var total = 1.0;
    for (var u = 0u; u < UNITS; u++) {
        let value = new_value(v_base, u * 8u);
        let v = unpack8(value);
        sum[2u * u] = v.low;
        sum[2u * u + 1u] = v.high;
        if stores { values[(rows + position) * UNITS + u] = value; }
    }
    for (var first = 0u; first < position; first += 8u) {
        var s0 = vec4<f32>();
        var s1 = vec4<f32>();
        var s2 = vec4<f32>();
        var s3 = vec4<f32>();
        var s4 = vec4<f32>();
        var s5 = vec4<f32>();
        var s6 = vec4<f32>();
        var s7 = vec4<f32>();
        var at = (tiles + first / 32u) * UNITS * 32u + first % 32u;
        for (var u = 0u; u < UNITS; u++) {
            let low = query[2u * u];
            let high = query[2u * u + 1u];
            s0 = score(keys[at], low, high, s0);
            s1 = score(keys[at + 1u], low, high, s1);
            s2 = score(keys[at + 2u], low, high, s2);
            s3 = score(keys[at + 3u], low, high, s3);
            s4 = score(keys[at + 4u], low, high, s4);
            s5 = score(keys[at + 5u], low, high, s5);
            s6 = score(keys[at + 6u], low, high, s6);
            s7 = score(keys[at + 7u], low, high, s7);
            at += 32u;
        }
        let here = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
        // What is not older than the new position has no weight; a finite lowest value: some
        //   drivers fold comparisons with infinity.
        let a = select(vec4<f32>(-1e30), total4(s0, s1, s2, s3), here < vec4<u32>(position));
        let b = select(vec4<f32>(-1e30), total4(s4, s5, s6, s7), here + 4u < vec4<u32>(position));
        let most = max(top, max(highest(a), highest(b)));
        let fade = exp(top - most);
        let v = exp(a - most);
        let w = exp(b - most);
        top = most;
        total = total * fade + (((v.x + v.y) + (v.z + v.w)) + ((w.x + w.y) + (w.z + w.w)));
        // Where the last eight are not all there, the last one stands in with weight 0.
        let low = (rows + min(here, vec4<u32>(position - 1u))) * UNITS;
        let high = (rows + min(here + 4u, vec4<u32>(position - 1u))) * UNITS;
        for (var u = 0u; u < UNITS; u++) {
            let v0 = unpack8(values[low.x + u]);
            let v1 = unpack8(values[low.y + u]);
            let v2 = unpack8(values[low.z + u]);
            let v3 = unpack8(values[low.w + u]);
            let v4 = unpack8(values[high.x + u]);
            let v5 = unpack8(values[high.y + u]);
            let v6 = unpack8(values[high.z + u]);
            let v7 = unpack8(values[high.w + u]);
            sum[2u * u] = sum[2u * u] * fade + (mat4x4<f32>(v0.low, v1.low, v2.low, v3.low) * v + mat4x4<f32>(v4.low, v5.low, v6.low, v7.low) * w);
            sum[2u * u + 1u] =
                sum[2u * u + 1u] * fade + (mat4x4<f32>(v0.high, v1.high, v2.high, v3.high) * v + mat4x4<f32>(v4.high, v5.high, v6.high, v7.high) * w);
        }
    }
    for (var d = 0u; d < params.head_dim; d++) { out[head * params.head_dim + d] = sum[d / 4u][d % 4u] / total; }
}
