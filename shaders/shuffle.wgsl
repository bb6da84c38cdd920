// shuffle: out[R * G + C, (r * s + c) * d + ch] = x[first + (s * R + r) * g + s * C + c, ch]: the
//   s x s patches of a square side by side; G = g / s
// x [>= first + g * g, d] f32 - out [G * G, s * s * d] f32
// grid: (s * s * d / 64, G * G) of 64 lanes
struct Params { first_row: u32, grid: u32, scale: u32, width: u32, x_stride: u32, out_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let s = params.scale;
    if id.x >= s * s * params.width { return; }
    let place = id.x / params.width;
    let squares = params.grid / s;
    let row = id.y / squares * s + place / s;
    let column = id.y % squares * s + place % s;
    let patch_row = params.first_row + row * params.grid + column;
    out[id.y * params.out_stride + id.x] = x[patch_row * params.x_stride + id.x % params.width];
}
