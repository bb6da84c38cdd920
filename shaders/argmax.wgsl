// argmax: out[0] = the index of the largest of x[0, 0..cols], the lowest index among equals
// x [1, cols] f32 - out [1] u32
// grid: one workgroup of 64 lanes
struct Params { cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

var<workgroup> best_value: array<f32, 64>;
var<workgroup> best_index: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var value = -3.4e38;
    var index = 0u;
    for (var i = lane; i < params.cols; i += 64u) {
        if x[i] > value {
            value = x[i];
            index = i;
        }
    }
    best_value[lane] = value;
    best_index[lane] = index;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if lane < half {
            let v = best_value[lane + half];
            let i = best_index[lane + half];
            if v > best_value[lane] || (v == best_value[lane] && i < best_index[lane]) {
                best_value[lane] = v;
                best_index[lane] = i;
            }
        }
        workgroupBarrier();
    }
    if lane == 0u { out[0] = best_index[0]; }
}
