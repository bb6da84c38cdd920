// fma: 8 independent chains of 4-wide fused multiply-adds per lane, nothing else: the arithmetic
//   ceiling
// out [lanes] f32
// grid: any number of groups of 64 lanes; 64 floating point operations per lane and turn
// prelude: `alias Real = f32;`, or with f16 what shader-f16 computes in
struct Params { turns: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = vec4<Real>(Real(params.factor));
    let k = vec4<Real>(Real(id.x & 7u) * 0.001);
    var a = k;
    var b = k + 1.0;
    var c = k + 2.0;
    var d = k + 3.0;
    var e = k + 4.0;
    var f = k + 5.0;
    var g = k + 6.0;
    var h = k + 7.0;
    for (var i = 0u; i < params.turns; i++) {
        a = fma(a, m, k);
        b = fma(b, m, k);
        c = fma(c, m, k);
        d = fma(d, m, k);
        e = fma(e, m, k);
        f = fma(f, m, k);
        g = fma(g, m, k);
        h = fma(h, m, k);
    }
    out[id.x] = f32(dot(((a + b) + (c + d)) + ((e + f) + (g + h)), m));
}
