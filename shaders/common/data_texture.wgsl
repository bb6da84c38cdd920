// data_texture: a matrix's data plane in a texture of 1024 chunks a row, for drivers that load
//   texels faster than storage
@group(0) @binding(2) var data: texture_2d<u32>;
fn chunk(i: u32) -> vec4<u32> { return textureLoad(data, vec2<u32>(i & 1023u, i >> 10u), 0); }
