// map_f32: the resampler's attention map as floats
fn map_value(at: u32) -> f32 { return bitcast<f32>(map[at]); }
