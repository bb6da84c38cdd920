// gather: out[to_row + i, c] = sum over k of weight[i, k] * values[row[i, k], c]: a few rows of the
//   input make a row of the output (means of squares, bilinear resizing, a row taken over)
// taps [rows, TAPS] of (row, bits of an f32 weight) - values [any, cols] f32 - out [>= to_row +
//   rows, cols] f32
// grid: (cols / 64, rows) of 64 lanes
struct Params { taps: u32, cols: u32, stride: u32, to_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> taps: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols { return; }
    var sum = 0.0;
    for (var k = 0u; k < params.taps; k++) {
        let tap = taps[id.y * params.taps + k];
        sum = fma(bitcast<f32>(tap.y), values[tap.x * params.stride + id.x], sum);
    }
    out[(params.to_row + id.y) * params.stride + id.x] = sum;
}
