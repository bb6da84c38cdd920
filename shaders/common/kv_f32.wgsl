// kv_f32: keys and values kept as floats. A key unit is 4 dimensions of one key, a value unit 2
//   dimensions of one value.
alias Key = vec4<f32>;
alias Value = vec2<f32>;
const KEY_DIMS: u32 = 4u;
fn key_at(k: Key, half: u32) -> vec4<f32> { return k; }
fn value_of(v: Value) -> vec2<f32> { return v; }
