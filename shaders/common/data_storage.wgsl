// data_storage: a matrix's data plane in a buffer
@group(0) @binding(2) var<storage, read> data: array<vec4<u32>>;
fn chunk(i: u32) -> vec4<u32> { return data[i]; }
