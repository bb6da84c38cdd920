// sum_bytes: a lane's sums over its share of the columns, one token's activations rounded to bytes,
//   a step for 64 of them
// constants BLOCKS (of the matrix), ROWS (2 or 4); uses common/tile.wgsl, common/bytes.wgsl and WG,
//   SLICES of the kernel
var<workgroup> packed: array<vec4<u32>, BLOCKS * 4u>; // sixteen columns each
var<workgroup> peaks: array<f32, BLOCKS>;
// Sums of 32 columns, which a zero is multiplied with.
const TOTALS: u32 = select(1u, BLOCKS * 2u, ZEROS);
var<workgroup> totals: array<f32, TOTALS>;

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
    if ZEROS {
        for (var i = local; i < TOTALS; i += WG) { totals[i] = f32(total16(packed[i * 2u]) + total16(packed[i * 2u + 1u])); }
        workgroupBarrier();
    }
}

fn lane_sums(panel: u32, lane: u32, slice: u32, local: u32) -> Tile {
    round_all(local);
    var t = Tile();
    for (var block = slice; block < params.blocks; block += SLICES) {
        var raw = scales4(panel, 0u, block, lane);
        for (var part = 0u; part < CHUNKS_PER_BLOCK / CHUNKS_PER_SCALE; part++) {
            var sums = vec4<i32>();
            for (var c = part * CHUNKS_PER_SCALE; c < (part + 1u) * CHUNKS_PER_SCALE; c++) {
                var w = Words();
                load(&w, panel, block * CHUNKS_PER_BLOCK + c, lane);
                for (var sixteen = 0u; sixteen < GROUPS / 4u; sixteen++) {
                    let v = packed[block * 4u + c * (GROUPS / 4u) + sixteen];
                    sums.x += dot16(bytes(w.w0, w.fifths.a.x, sixteen), v);
                    sums.y += dot16(bytes(w.w1, w.fifths.a.y, sixteen), v);
                    if ROWS == 4u {
                        sums.z += dot16(bytes(w.w2, w.fifths.a.z, sixteen), v);
                        sums.w += dot16(bytes(w.w3, w.fifths.a.w, sixteen), v);
                    }
                }
            }
            var values = vec4<f32>(sums);
            if ZEROS { values = fma(zeros_of(raw), vec4<f32>(-OFFSET.x * totals[block * 2u + part]), values); }
            t.a[0] += values * scales_of(raw) * (peaks[block] / 127.0);
            raw = raw >> vec4<u32>(16u);
        }
    }
    return t;
}
