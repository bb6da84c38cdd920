// depthwise: out[y * side + x, c] = z[y * side + x, c] + bias[c] + sum over ky, kx of w[c, ky * 3 +
//   kx] * z[(y + ky - 1) * side + x + kx - 1, c], zeros outside the grid
// z [side * side, cols] f32 - w [cols, 9] f32 - bias [1, cols] f32 - out [side * side, cols] f32
// grid: (cols / 64, side * side) of 64 lanes
struct Params { side: u32, cols: u32, stride: u32, w_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols { return; }
    let row = id.y / params.side;
    let column = id.y % params.side;
    let at = id.y * params.stride + id.x;
    var sum = z[at] + bias[id.x];
    for (var k = 0u; k < 9u; k++) {
        // One more than the neighbour's place, so that nothing is negative.
        let y = row + k / 3u;
        let x = column + k % 3u;
        if y >= 1u && y <= params.side && x >= 1u && x <= params.side {
            let neighbour = ((y - 1u) * params.side + x - 1u) * params.stride + id.x;
            sum = fma(w[id.x * params.w_stride + k], z[neighbour], sum);
        }
    }
    out[at] = sum;
}
