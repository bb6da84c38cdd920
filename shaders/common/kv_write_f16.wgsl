// kv_write_f16: how kv_f16 units are made from pairs of dimensions; halves saturate instead of
//   overflowing
fn half2(v: vec2<f32>) -> u32 { return pack2x16float(clamp(v, vec2<f32>(-65504.0), vec2<f32>(65504.0))); }
fn key_from(token: u32, base: u32, d: u32) -> Key {
    return vec4<u32>(half2(pair(token, base, d)), half2(pair(token, base, d + 2u)), half2(pair(token, base, d + 4u)), half2(pair(token, base, d + 6u)));
}
fn value_from(v: vec2<f32>) -> Value { return half2(v); }
