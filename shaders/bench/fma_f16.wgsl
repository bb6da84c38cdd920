// fma_f16: 8 independent chains of 4-wide fused multiply-adds per lane, in halves (shader-f16): the ceiling of f16 kernels
// out [lanes] f32
// grid: any number of groups of 64 lanes; 64 floating point operations per lane and turn
enable f16;
struct Params { turns: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = vec4<f16>(f16(params.factor));
    let k = vec4<f16>(f16(id.x & 7u) * 0.001h);
    var a = k;
    var b = k + 1.0h;
    var c = k + 2.0h;
    var d = k + 3.0h;
    var e = k + 4.0h;
    var f = k + 5.0h;
    var g = k + 6.0h;
    var h = k + 7.0h;
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
