// bytes: activations as signed bytes; uses x, and dot4 of common/dot_*.wgsl
// A value that is no number becomes some byte: what is wrong before stays wrong, and may look like
//   a number.
// The largest magnitude among the sixteen columns that start at x[at].
fn peak_of(at: u32) -> f32 {
    let m = max(max(abs(x[at]), abs(x[at + 1u])), max(abs(x[at + 2u]), abs(x[at + 3u])));
    return max(max(m.x, m.y), max(m.z, m.w));
}

// What makes bytes of values up to `peak`: where all are next to nothing, zeros.
fn inverse_step(peak: f32) -> f32 { return select(0.0, 127.0 / peak, peak > 1e-30); }

fn word_of(v: vec4<f32>) -> u32 {
    let b = vec4<u32>(vec4<i32>(round(v))) & vec4<u32>(255u);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}

// Sixteen columns from x[at] on.
fn rounded(at: u32, inverse: f32) -> vec4<u32> {
    return vec4<u32>(word_of(x[at] * inverse), word_of(x[at + 1u] * inverse), word_of(x[at + 2u] * inverse), word_of(x[at + 3u] * inverse));
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 { return dot4(a.x, b.x) + dot4(a.y, b.y) + dot4(a.z, b.z) + dot4(a.w, b.w); }

// The sum of sixteen bytes.
fn total16(a: vec4<u32>) -> i32 { return dot16(a, vec4<u32>(0x01010101u)); }
