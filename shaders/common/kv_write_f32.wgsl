// kv_write_f32: how kv_f32 units are made from pairs of dimensions
fn key_from(token: u32, base: u32, d: u32) -> Key {
    return vec4<f32>(pair(token, base, d), pair(token, base, d + 2u));
}
fn value_from(v: vec2<f32>) -> Value { return v; }
