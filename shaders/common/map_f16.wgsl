// map_f16: the resampler's attention map as halves, two in a word
fn map_value(at: u32) -> f32 {
    let pair = unpack2x16float(map[at / 2u]);
    return select(pair.x, pair.y, (at & 1u) == 1u);
}
