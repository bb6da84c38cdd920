// norm_lane: 1 / RMS of the residual stream, summed by every lane: without a barrier, and uniforms cost next to nothing where those do
@group(0) @binding(5) var<uniform> stream: array<vec4<f32>, QUADS>;
fn inverse_rms(local: u32) -> f32 {
    var a = vec4<f32>();
    var b = vec4<f32>();
    // Columns beyond cols are zero, their number is a multiple of 64.
    for (var i = 0u; i < QUADS; i += 2u) {
        a = fma(stream[i], stream[i], a);
        b = fma(stream[i + 1u], stream[i + 1u], b);
    }
    let sum = a + b;
    return inverseSqrt(((sum.x + sum.y) + (sum.z + sum.w)) / f32(params.cols) + params.eps);
}
