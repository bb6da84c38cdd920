// attention/step: one new token in decoding: rotates its q and k, stores its k and v, and attends
//   over all positions up to its own
// state: common/state.wgsl - qkv [sections] f32 - rope [positions, head_dim / 2] (cos, sin) - keys,
//   values: heads.wgsl's cache in halves
// out [heads * head_dim] f32, or with SPLITS > 1 [heads, SPLITS, dims + 2]: unscaled sums, their
//   largest score, their total
// grid: (heads, SPLITS) workgroups of WG lanes; a split takes SPAN positions (2048 at most). UNITS:
//   dims / 8 rounded up to a power of two, at most 32
// preludes: common/state.wgsl, common/newest.wgsl, which binds them all
struct Params { heads: u32, kv_heads: u32, head_dim: u32, dims: u32, k_at: u32, v_at: u32, capacity: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;

// Scores of the span; then sums of the lanes, 8 floats each.
var<workgroup> scores: array<f32, max(SPAN, 8u * WG)>;
var<workgroup> query: array<vec4<f32>, 64>;
var<workgroup> own_key: array<vec4<u32>, 32>;
var<workgroup> own_value: array<vec4<u32>, 32>;
var<workgroup> lanes: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    if state.done != 0u { return; }
    let position = state.position;
    let head = group.x;
    let kv = head * params.kv_heads / params.heads;
    let units = params.dims / 8u;
    let k_base = params.k_at + kv * params.head_dim;
    let v_base = params.v_at + kv * params.head_dim;
    let first = group.y * SPAN;
    // one past the last key of this split that is in the cache
    let last = min(first + SPAN, position);
    let here = position >= first && position < first + SPAN;
    for (var i = local; i < params.dims / 4u; i += WG) {
        query[i] = new_query(head * params.head_dim, i * 4u, position);
    }
    if here {
        for (var u = local; u < units; u += WG) {
            let key = new_key(k_base, u * 8u, position);
            let value = new_value(v_base, u * 8u);
            own_key[u] = key;
            own_value[u] = value;
            if head * params.kv_heads % params.heads == 0u {
                // The first query head of its group stores; nobody reads these places in this
                //   dispatch.
                keys[((kv * (params.capacity / 32u) + position / 32u) * units + u) * 32u + position % 32u] = key;
                values[(kv * params.capacity + position) * units + u] = value;
            }
        }
    }
    workgroupBarrier();
    var top = -1e30;
    for (var key = first + local; key < last; key += WG) {
        var parts = vec4<f32>();
        for (var u = 0u; u < units; u++) {
            let k = unpack8(keys[((kv * (params.capacity / 32u) + key / 32u) * units + u) * 32u + key % 32u]);
            parts = fma(k.low, query[2u * u], fma(k.high, query[2u * u + 1u], parts));
        }
        let score = (parts.x + parts.y) + (parts.z + parts.w);
        scores[key - first] = score;
        top = max(top, score);
    }
    if here && local == 0u {
        var parts = vec4<f32>();
        for (var u = 0u; u < units; u++) {
            let k = unpack8(own_key[u]);
            parts = fma(k.low, query[2u * u], fma(k.high, query[2u * u + 1u], parts));
        }
        let score = (parts.x + parts.y) + (parts.z + parts.w);
        scores[position - first] = score;
        top = max(top, score);
    }
    lanes[local] = top;
    workgroupBarrier();
    for (var i = 0u; i < WG; i++) { top = max(top, lanes[i]); }
    // Each lane sums one unit of 8 dimensions over every (WG / UNITS)th key.
    let unit = local % UNITS;
    let slices = WG / UNITS;
    var low = vec4<f32>();
    var high = vec4<f32>();
    var total = 0.0;
    if unit < units {
        for (var key = first + local / UNITS; key < last; key += slices) {
            let weight = exp(scores[key - first] - top);
            let v = unpack8(values[(kv * params.capacity + key) * units + unit]);
            low = fma(vec4<f32>(weight), v.low, low);
            high = fma(vec4<f32>(weight), v.high, high);
            total += weight;
        }
        if here && local < UNITS {
            let weight = exp(scores[position - first] - top);
            let v = unpack8(own_value[unit]);
            low = fma(vec4<f32>(weight), v.low, low);
            high = fma(vec4<f32>(weight), v.high, high);
            total += weight;
        }
    }
    workgroupBarrier();
    lanes[local] = total;
    let mine = local * 8u;
    scores[mine] = low.x;
    scores[mine + 1u] = low.y;
    scores[mine + 2u] = low.z;
    scores[mine + 3u] = low.w;
    scores[mine + 4u] = high.x;
    scores[mine + 5u] = high.y;
    scores[mine + 6u] = high.z;
    scores[mine + 7u] = high.w;
    workgroupBarrier();
    var all = 0.0;
    for (var s = 0u; s < slices; s++) { all += lanes[s * UNITS]; }
    for (var d = local; d < params.dims; d += WG) {
        var sum = 0.0;
        for (var s = 0u; s < slices; s++) { sum += scores[(s * UNITS + d / 8u) * 8u + d % 8u]; }
        if SPLITS > 1u {
            out[(head * SPLITS + group.y) * (params.dims + 2u) + d] = sum;
        } else if d < params.head_dim {
            out[head * params.head_dim + d] = sum / all;
        }
    }
    if SPLITS > 1u && local == 0u {
        let at = (head * SPLITS + group.y) * (params.dims + 2u) + params.dims;
        out[at] = top;
        out[at + 1u] = all;
    }
}
