// sum_floats: a lane's sums over its share of the columns, activations as they are; uses
//   common/tile.wgsl
fn lane_sums(panel: u32, lane: u32, slice: u32, local: u32) -> Tile { return accumulate(panel, lane, slice, SLICES, Bases()); }
