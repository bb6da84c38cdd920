// attention/heads: cuts rows of [q | k | v] into heads; rotates q and k when ROPE = 1 (partners are
//   dimensions 2i, 2i + 1); scales q by 1/sqrt(head_dim)
// qkv [tokens, 3 sections] f32 - rope [positions, head_dim / 2] (cos, sin) - q [tokens, heads, dims
//   / 4] vec4 - keys, values: the cache
// grid: ((heads * dims / 4 + kv_heads * (dims / KEY_DIMS + dims / 2)) / 64, tokens) of 64 lanes;
//   preludes: common/kv_*.wgsl, common/kv_write_*.wgsl
// keys   [kv_heads][capacity / 32][dims / KEY_DIMS][32 keys] - values [kv_heads][capacity][dims /
//   2]; dims = head_dim padded to 8, zeros in the pad
struct Params { heads: u32, kv_heads: u32, head_dim: u32, dims: u32, stride: u32, k_at: u32, v_at: u32, position: u32, capacity: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<f32>;
@group(0) @binding(2) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> keys: array<Key>;
@group(0) @binding(5) var<storage, read_write> values: array<Value>;

// Dimensions d and d + 1 of the head at column `base`, as they are.
fn plain(token: u32, base: u32, d: u32) -> vec2<f32> {
    let at = token * params.stride + base + d;
    var v = vec2<f32>();
    if d < params.head_dim { v.x = qkv[at]; }
    if d + 1u < params.head_dim { v.y = qkv[at + 1u]; }
    return v;
}

// The same, rotated to the token's position.
fn pair(token: u32, base: u32, d: u32) -> vec2<f32> {
    let v = plain(token, base, d);
    if ROPE == 0u || d >= params.head_dim { return v; }
    let turn = rope[(params.position + token) * (params.head_dim / 2u) + d / 2u];
    return vec2<f32>(v.x * turn.x - v.y * turn.y, v.y * turn.x + v.x * turn.y);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let position = params.position + token;
    var unit = id.x;
    let q_units = params.dims / 4u;
    if unit < params.heads * q_units {
        let d = unit % q_units * 4u;
        let base = unit / q_units * params.head_dim;
        q[token * params.heads * q_units + unit] = vec4<f32>(pair(token, base, d), pair(token, base, d + 2u)) * params.scale;
        return;
    }
    unit -= params.heads * q_units;
    let k_units = params.dims / KEY_DIMS;
    if unit < params.kv_heads * k_units {
        let head = unit / k_units;
        let u = unit % k_units;
        let at = ((head * (params.capacity / 32u) + position / 32u) * k_units + u) * 32u + position % 32u;
        keys[at] = key_from(token, params.k_at + head * params.head_dim, u * KEY_DIMS);
        return;
    }
    unit -= params.kv_heads * k_units;
    let v_units = params.dims / 2u;
    if unit < params.kv_heads * v_units {
        let head = unit / v_units;
        let u = unit % v_units;
        let value = plain(token, params.v_at + head * params.head_dim, u * 2u);
        values[(head * params.capacity + position) * v_units + u] = value_from(value);
    }
}
