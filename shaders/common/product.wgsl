// product: what the product kernels share: where a token's row of x begins, and what becomes of a
//   sum
// constants ADD, BIAS, ACT (0 none, 1 quick-GELU, 2 GELU, 3 GELU by tanh); uses params, bias and
//   out of the kernel
fn row_of(token: u32) -> u32 {
    // Tokens past the end repeat the last one; their sums are not stored.
    return (params.first_token + min(token, params.n_tokens - 1u)) * (params.x_stride / 4u);
}

fn erf(v: f32) -> f32 {
    // Abramowitz and Stegun 7.1.26: within 1.5e-7, below what f32 activations carry.
    let t = 1.0 / (1.0 + 0.3275911 * abs(v));
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(v) * (1.0 - poly * exp(-v * v));
}

fn activate(v: f32) -> f32 {
    if ACT == 1u { return v / (1.0 + exp(-1.702 * v)); }
    if ACT == 2u { return 0.5 * v * (1.0 + erf(v * 0.70710678)); }
    // (1 + tanh(u)) / 2 is the sigmoid of 2u, which does not overflow where drivers' tanh does.
    if ACT == 3u { return v / (1.0 + exp(-1.5957691 * (v + 0.044715 * v * v * v))); }
    return v;
}

fn store(token: u32, row: u32, sum: f32) {
    if token >= params.n_tokens || row >= params.rows { return; }
    var v = sum;
    if BIAS == 1u { v += bias[params.first_row + row]; }
    v = activate(v);
    let at = (params.to_token + token) * params.out_stride + params.first_row + row;
    if ADD == 1u { v += out[at]; }
    out[at] = v;
}
