// patchify: out[p, (ch * P + ky) * P + kx] = pixels[ch, py * P + ky, px * P + kx], patches
//   row-major
// pixels [3, size, size] f32 - out [patches, 3 * P * P] f32
// grid: (3 * P * P / 64, patches) of 64 lanes
struct Params { size: u32, side: u32, grid: u32, cols: u32, out_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols { return; }
    let area = params.side * params.side;
    let channel = id.x / area;
    let y = (id.y / params.grid) * params.side + (id.x % area) / params.side;
    let x = (id.y % params.grid) * params.side + id.x % params.side;
    out[id.y * params.out_stride + id.x] = pixels[(channel * params.size + y) * params.size + x];
}
