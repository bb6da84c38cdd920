// dot4: 8 independent chains of packed 8-bit dot products per lane, nothing else: the ceiling of
//   int8 kernels
// out [lanes] i32
// grid: any number of groups of 64 lanes; 64 operations (4 products, 4 sums each) per lane and turn
struct Params { turns: u32, word: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = params.word;
    let w = id.x | 1u;
    var a = 1;
    var b = 2;
    var c = 3;
    var d = 4;
    var e = 5;
    var f = 6;
    var g = 7;
    var h = 8;
    for (var i = 0u; i < params.turns; i++) {
        a += dot4I8Packed(w ^ u32(a), m);
        b += dot4I8Packed(w ^ u32(b), m);
        c += dot4I8Packed(w ^ u32(c), m);
        d += dot4I8Packed(w ^ u32(d), m);
        e += dot4I8Packed(w ^ u32(e), m);
        f += dot4I8Packed(w ^ u32(f), m);
        g += dot4I8Packed(w ^ u32(g), m);
        h += dot4I8Packed(w ^ u32(h), m);
    }
    out[id.x] = ((a + b) + (c + d)) + ((e + f) + (g + h));
}
