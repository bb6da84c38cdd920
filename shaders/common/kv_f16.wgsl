// kv_f16: keys and values kept as halves. A key unit is 8 dimensions of one key, a value unit 2
//   dimensions of one value.
alias Key = vec4<u32>;
alias Value = u32;
const KEY_DIMS: u32 = 8u;
fn key_at(k: Key, half: u32) -> vec4<f32> {
    let pair = select(k.xy, k.zw, half == 1u);
    return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
fn value_of(v: Value) -> vec2<f32> { return unpack2x16float(v); }
