// read: sums 16-byte words of a large buffer, 8 loads in flight per lane: the rate at which weights
//   can arrive
// words [n] vec4<u32> - out [lanes] u32
// grid: any number of groups of 64 lanes; a lane reads every (groups * 64)th word
struct Params { words: u32, groups: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let step = params.groups * 64u;
    var sum = vec4<u32>();
    for (var at = id.x; at + 7u * step < params.words; at += 8u * step) {
        let a = words[at];
        let b = words[at + step];
        let c = words[at + 2u * step];
        let d = words[at + 3u * step];
        let e = words[at + 4u * step];
        let f = words[at + 5u * step];
        let g = words[at + 6u * step];
        let h = words[at + 7u * step];
        sum ^= ((a ^ b) ^ (c ^ d)) ^ ((e ^ f) ^ (g ^ h));
    }
    out[id.x] = (sum.x ^ sum.y) ^ (sum.z ^ sum.w);
}
