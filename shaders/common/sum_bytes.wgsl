// sum_bytes: a lane's sums over its share of the columns, one token's activations rounded to bytes,
//   a step for 64 of them
// constants BLOCKS (of the matrix), ROWS (2 or 4); uses common/tile.wgsl, common/bytes.wgsl and WG,
//   SLICES of the kernel
var<workgroup> packed: array<vec4<u32>, BLOCKS * 4u>; // sixteen columns each
var<workgroup> peaks: array<f32, BLOCKS>;

// Every group rounds all of x: that is less work than its products, and no dispatch of its own.
fn round_all(local: u32) {
    for (var i = local; i < BLOCKS * 4u; i += WG) { packed[i].x = bitcast<u32>(peak_of(i * 4u)); }
    workgroupBarrier();
    for (var b = local; b < BLOCKS; b += WG) {
        let p = bitcast<vec4<f32>>(vec4<u32>(packed[b * 4u].x, packed[b * 4u + 1u].x, packed[b * 4u + 2u].x, packed[b * 4u + 3u].x));
        peaks[b] = max(max(p.x, p.y), max(p.z, p.w));
    }
    workgroupBarrier();
    for (var i = local; i < BLOCKS * 4u; i += WG) { packed[i] = rounded(i * 4u, inverse_step(peaks[i / 4u])); }
    workgroupBarrier();
}

fn lane_sums(panel: u32, lane: u32, slice: u32, local: u32) -> Tile {
    round_all(local);
    var t = Tile();
    let words = params.blocks * CHUNKS_PER_BLOCK * 32u;
    for (var block = slice; block < params.blocks; block += SLICES) {
        var sums = vec4<i32>();
        for (var c = 0u; c < CHUNKS_PER_BLOCK; c++) {
            let word = (block * CHUNKS_PER_BLOCK + c) * 32u + lane;
            let w0 = chunk(panel_at(panel, 0u) * words + word);
            let w1 = chunk(panel_at(panel, 1u) * words + word);
            var w2 = vec4<u32>();
            var w3 = vec4<u32>();
            if ROWS == 4u {
                w2 = chunk(panel_at(panel, 2u) * words + word);
                w3 = chunk(panel_at(panel, 3u) * words + word);
            }
            for (var part = 0u; part < GROUPS / 4u; part++) {
                let v = packed[block * 4u + c * (GROUPS / 4u) + part];
                sums.x += dot16(bytes(w0, part), v);
                sums.y += dot16(bytes(w1, part), v);
                if ROWS == 4u {
                    sums.z += dot16(bytes(w2, part), v);
                    sums.w += dot16(bytes(w3, part), v);
                }
            }
        }
        t.a[0] += vec4<f32>(sums) * scales4(panel, 0u, block, lane) * (peaks[block] / 127.0);
    }
    return t;
}
