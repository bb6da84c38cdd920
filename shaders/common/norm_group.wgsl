// norm_group: 1 / RMS of the residual stream, its lanes' shares joined in workgroup memory
@group(0) @binding(5) var<storage, read> stream: array<vec4<f32>>;
var<workgroup> squares: array<f32, WG>;
fn inverse_rms(local: u32) -> f32 {
    var sum = vec4<f32>();
    // Columns beyond cols are zero.
    for (var i = local; i < params.blocks * 16u; i += WG) { sum = fma(stream[i], stream[i], sum); }
    squares[local] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < WG; i++) { total += squares[i]; }
    return inverseSqrt(total / f32(params.cols) + params.eps);
}
