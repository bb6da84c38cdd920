// dot_plain: the product of two words of four signed bytes, where WGSL has no
//   packed_4x8_integer_dot_product
fn signed4(w: u32) -> vec4<i32> { return vec4<i32>(vec4<u32>(w << 24u, w << 16u, w << 8u, w)) >> vec4<u32>(24u); }
fn dot4(a: u32, b: u32) -> i32 { return dot(signed4(a), signed4(b)); }
