// empty: out[0] = out[0] + 1: a dispatch that depends on the one before and does nothing, to time
//   the gap between dispatches
// out [1] u32
// grid: one workgroup of one lane
struct Params { unused: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(1)
fn main() {
    out[0] += 1u + params.unused;
}
