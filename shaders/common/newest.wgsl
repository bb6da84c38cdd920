// newest: what attention in decoding binds, and the step's own query, key and value; uses
//   params.{head_dim, scale} of the kernel and common/state.wgsl
@group(0) @binding(1) var<storage, read> state: State;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

struct Eight { low: vec4<f32>, high: vec4<f32> }

fn unpack8(w: vec4<u32>) -> Eight {
    let a = unpack2x16float(w.x);
    let b = unpack2x16float(w.y);
    let c = unpack2x16float(w.z);
    let d = unpack2x16float(w.w);
    return Eight(vec4<f32>(a, b), vec4<f32>(c, d));
}

// Halves saturate instead of overflowing, as in kv_write_f16.
fn half2(v: vec2<f32>) -> u32 { return pack2x16float(clamp(v, vec2<f32>(-65504.0), vec2<f32>(65504.0))); }

fn plain(base: u32, d: u32) -> vec2<f32> {
    var v = vec2<f32>();
    if d < params.head_dim { v.x = qkv[base + d]; }
    if d + 1u < params.head_dim { v.y = qkv[base + d + 1u]; }
    return v;
}

fn turned(base: u32, d: u32, position: u32) -> vec2<f32> {
    let v = plain(base, d);
    if d >= params.head_dim { return v; }
    let turn = rope[position * (params.head_dim / 2u) + d / 2u];
    return vec2<f32>(v.x * turn.x - v.y * turn.y, v.y * turn.x + v.x * turn.y);
}

// Dimensions d to d + 3 of the query, scaled.
fn new_query(base: u32, d: u32, position: u32) -> vec4<f32> {
    return vec4<f32>(turned(base, d, position), turned(base, d + 2u, position)) * params.scale;
}

fn new_key(base: u32, d: u32, position: u32) -> vec4<u32> {
    return vec4<u32>(
        half2(turned(base, d, position)), half2(turned(base, d + 2u, position)),
        half2(turned(base, d + 4u, position)), half2(turned(base, d + 6u, position)),
    );
}

fn new_value(base: u32, d: u32) -> vec4<u32> {
    return vec4<u32>(half2(plain(base, d)), half2(plain(base, d + 2u)), half2(plain(base, d + 4u)), half2(plain(base, d + 6u)));
}
