// tile: a lane's block of sums, and how weights are added to it; for matmul and matvec
// constants TOKENS (1, 2, 4, 8, 16) and ROWS (1, 2, 4, 8, 16: a lane owns the same row of so many neighbouring panels), at most 16
// columns in all. With TOKENS <= 2 a column holds four rows of a token (first all rows of the first), else four tokens of one row
// (column token / 4 * ROWS + row). Uses x, data, scales and params.{rows, blocks} of the kernel, and a prelude common/weight_*.wgsl.
struct Tile { a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32> }
struct Words {
    w0: vec4<u32>, w1: vec4<u32>, w2: vec4<u32>, w3: vec4<u32>, w4: vec4<u32>, w5: vec4<u32>, w6: vec4<u32>, w7: vec4<u32>,
    w8: vec4<u32>, w9: vec4<u32>, w10: vec4<u32>, w11: vec4<u32>, w12: vec4<u32>, w13: vec4<u32>, w14: vec4<u32>, w15: vec4<u32>,
}
struct Scales { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }
// Where the rows of x of each token start, in vec4s.
struct Bases { q0: vec4<u32>, q1: vec4<u32>, q2: vec4<u32>, q3: vec4<u32> }

// Four tokens: column i holds their features 4 * at + i.
fn tokens(base: vec4<u32>, at: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(x[base.x + at], x[base.y + at], x[base.z + at], x[base.w + at]));
}

fn four(w: vec4<u32>, v: vec4<u32>, y: vec4<u32>, z: vec4<u32>, s: vec4<f32>, g: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weights(w, g, s.x), weights(v, g, s.y), weights(y, g, s.z), weights(z, g, s.w));
}

// Adds group g (4 features) of a chunk.
fn add_group(t: ptr<function, Tile>, w: ptr<function, Words>, s: ptr<function, Scales>, base: ptr<function, Bases>, at: u32, g: u32) {
    if TOKENS <= 2u {
        let v = x[(*base).q0.x + at + g];
        if ROWS <= 2u { (*t).a[0].x += dot(v, weights((*w).w0, g, (*s).a.x)); }
        if ROWS == 2u { (*t).a[0].y += dot(v, weights((*w).w1, g, (*s).a.y)); }
        if ROWS < 4u { return; }
        let u = x[(*base).q0.y + at + g];
        let first = four((*w).w0, (*w).w1, (*w).w2, (*w).w3, (*s).a, g);
        (*t).a[0] += v * first;
        if ROWS >= 8u {
            let second = four((*w).w4, (*w).w5, (*w).w6, (*w).w7, (*s).b, g);
            (*t).a[1] += v * second;
            if TOKENS == 2u && ROWS == 8u {
                (*t).a[2] += u * first;
                (*t).a[3] += u * second;
            }
            if TOKENS == 2u && ROWS == 16u {
                (*t).b[0] += u * first;
                (*t).b[1] += u * second;
            }
        }
        if ROWS == 16u {
            let third = four((*w).w8, (*w).w9, (*w).w10, (*w).w11, (*s).c, g);
            let fourth = four((*w).w12, (*w).w13, (*w).w14, (*w).w15, (*s).d, g);
            (*t).a[2] += v * third;
            (*t).a[3] += v * fourth;
            if TOKENS == 2u {
                (*t).b[2] += u * third;
                (*t).b[3] += u * fourth;
            }
        }
        return;
    }
    let q0 = tokens((*base).q0, at + g);
    if ROWS == 1u {
        let v = weights((*w).w0, g, (*s).a.x);
        (*t).a[0] += q0 * v;
        if TOKENS >= 8u { (*t).a[1] += tokens((*base).q1, at + g) * v; }
        if TOKENS == 16u {
            (*t).a[2] += tokens((*base).q2, at + g) * v;
            (*t).a[3] += tokens((*base).q3, at + g) * v;
        }
        return;
    }
    let low = four((*w).w0, (*w).w1, (*w).w2, (*w).w3, (*s).a, g);
    (*t).a += q0 * low;
    if ROWS == 4u && TOKENS >= 8u { (*t).b += tokens((*base).q1, at + g) * low; }
    if ROWS == 4u && TOKENS == 16u {
        (*t).c += tokens((*base).q2, at + g) * low;
        (*t).d += tokens((*base).q3, at + g) * low;
    }
    if ROWS >= 8u {
        let high = four((*w).w4, (*w).w5, (*w).w6, (*w).w7, (*s).b, g);
        (*t).b += q0 * high;
        if TOKENS == 8u {
            let q1 = tokens((*base).q1, at + g);
            (*t).c += q1 * low;
            (*t).d += q1 * high;
        }
    }
    if ROWS == 16u {
        (*t).c += q0 * four((*w).w8, (*w).w9, (*w).w10, (*w).w11, (*s).c, g);
        (*t).d += q0 * four((*w).w12, (*w).w13, (*w).w14, (*w).w15, (*s).d, g);
    }
}

// The panel `offset` beyond `panel`; the last one stands in for those past the end, whose sums are not stored.
fn panel_at(panel: u32, offset: u32) -> u32 { return min(panel + offset, (params.rows - 1u) / 32u); }

fn scales4(panel: u32, offset: u32, block: u32, lane: u32) -> vec4<f32> {
    let low = block_scale(panel_at(panel, offset), block, lane);
    if ROWS == 1u { return vec4<f32>(low, 0.0, 0.0, 0.0); }
    let next = block_scale(panel_at(panel, offset + 1u), block, lane);
    if ROWS == 2u { return vec4<f32>(low, next, 0.0, 0.0); }
    return vec4<f32>(low, next, block_scale(panel_at(panel, offset + 2u), block, lane), block_scale(panel_at(panel, offset + 3u), block, lane));
}

// Sums the blocks first, first + step, ... of this lane's rows, in that order.
fn accumulate(panel: u32, lane: u32, first: u32, step: u32, bases: Bases) -> Tile {
    var t = Tile();
    var base = bases;
    let words = params.blocks * CHUNKS_PER_BLOCK * 32u;
    for (var block = first; block < params.blocks; block += step) {
        var s = Scales();
        s.a = scales4(panel, 0u, block, lane);
        if ROWS >= 8u { s.b = scales4(panel, 4u, block, lane); }
        if ROWS == 16u {
            s.c = scales4(panel, 8u, block, lane);
            s.d = scales4(panel, 12u, block, lane);
        }
        for (var c = 0u; c < CHUNKS_PER_BLOCK; c++) {
            let word = (block * CHUNKS_PER_BLOCK + c) * 32u + lane;
            let at = (block * CHUNKS_PER_BLOCK + c) * GROUPS;
            var w = Words();
            w.w0 = data[panel_at(panel, 0u) * words + word];
            if ROWS >= 2u { w.w1 = data[panel_at(panel, 1u) * words + word]; }
            if ROWS >= 4u {
                w.w2 = data[panel_at(panel, 2u) * words + word];
                w.w3 = data[panel_at(panel, 3u) * words + word];
            }
            if ROWS >= 8u {
                w.w4 = data[panel_at(panel, 4u) * words + word];
                w.w5 = data[panel_at(panel, 5u) * words + word];
                w.w6 = data[panel_at(panel, 6u) * words + word];
                w.w7 = data[panel_at(panel, 7u) * words + word];
            }
            if ROWS == 16u {
                w.w8 = data[panel_at(panel, 8u) * words + word];
                w.w9 = data[panel_at(panel, 9u) * words + word];
                w.w10 = data[panel_at(panel, 10u) * words + word];
                w.w11 = data[panel_at(panel, 11u) * words + word];
                w.w12 = data[panel_at(panel, 12u) * words + word];
                w.w13 = data[panel_at(panel, 13u) * words + word];
                w.w14 = data[panel_at(panel, 14u) * words + word];
                w.w15 = data[panel_at(panel, 15u) * words + word];
            }
            // Large tiles are for large matrices: there, unrolling pays for the longer compilation.
            if ROWS <= 4u {
                for (var g = 0u; g < GROUPS; g++) { add_group(&t, &w, &s, &base, at, g); }
                continue;
            }
            add_group(&t, &w, &s, &base, at, 0u);
            if GROUPS >= 2u { add_group(&t, &w, &s, &base, at, 1u); }
            if GROUPS >= 4u {
                add_group(&t, &w, &s, &base, at, 2u);
                add_group(&t, &w, &s, &base, at, 3u);
            }
            if GROUPS == 8u {
                add_group(&t, &w, &s, &base, at, 4u);
                add_group(&t, &w, &s, &base, at, 5u);
                add_group(&t, &w, &s, &base, at, 6u);
                add_group(&t, &w, &s, &base, at, 7u);
            }
        }
    }
    return t;
}

// The columns as an array, for loops over them.
fn columns(t: Tile) -> array<vec4<f32>, COLUMNS> {
    var all: array<vec4<f32>, COLUMNS>;
    all[0] = t.a[0];
    if COLUMNS >= 2u { all[min(1u, COLUMNS - 1u)] = t.a[1]; }
    if COLUMNS >= 4u {
        all[min(2u, COLUMNS - 1u)] = t.a[2];
        all[min(3u, COLUMNS - 1u)] = t.a[3];
    }
    if COLUMNS >= 8u {
        all[min(4u, COLUMNS - 1u)] = t.b[0];
        all[min(5u, COLUMNS - 1u)] = t.b[1];
        all[min(6u, COLUMNS - 1u)] = t.b[2];
        all[min(7u, COLUMNS - 1u)] = t.b[3];
    }
    if COLUMNS == 16u {
        all[min(8u, COLUMNS - 1u)] = t.c[0];
        all[min(9u, COLUMNS - 1u)] = t.c[1];
        all[min(10u, COLUMNS - 1u)] = t.c[2];
        all[min(11u, COLUMNS - 1u)] = t.c[3];
        all[min(12u, COLUMNS - 1u)] = t.d[0];
        all[min(13u, COLUMNS - 1u)] = t.d[1];
        all[min(14u, COLUMNS - 1u)] = t.d[2];
        all[min(15u, COLUMNS - 1u)] = t.d[3];
    }
    return all;
}
