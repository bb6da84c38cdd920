// tile: a lane's block of sums, and how weights are added to it; for product/lanes and product/step
// constants TOKENS (1, 2, 4, 8, 16) and ROWS (1, 2, 4, 8, 16: a lane owns the same row of so many
//   neighbouring panels), at most 16
// columns in all. With TOKENS <= 2 a column holds four rows of a token (first all rows of the
//   first), else four tokens of one row
// (column token / 4 * ROWS + row). Uses x, scales and params.{rows, blocks} of the kernel, and
//   preludes common/{data,weight}_*.wgsl.
// One token scales a sum instead of its weights, which several tokens would share. TOKENS =
//   2 has ROWS = 16.
struct Tile { a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32> }
struct Words {
    w0: vec4<u32>, w1: vec4<u32>, w2: vec4<u32>, w3: vec4<u32>, w4: vec4<u32>, w5: vec4<u32>, w6: vec4<u32>, w7: vec4<u32>,
    w8: vec4<u32>, w9: vec4<u32>, w10: vec4<u32>, w11: vec4<u32>, w12: vec4<u32>, w13: vec4<u32>, w14: vec4<u32>, w15: vec4<u32>,
    fifths: Rows,
}
// A word of each row.
struct Rows { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }
// One token's sums over the columns of a scale, of codes * x: a row each, columns 4i + k in
//   component k.
struct Sums {
    r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>, r4: vec4<f32>, r5: vec4<f32>, r6: vec4<f32>, r7: vec4<f32>,
    r8: vec4<f32>, r9: vec4<f32>, r10: vec4<f32>, r11: vec4<f32>, r12: vec4<f32>, r13: vec4<f32>, r14: vec4<f32>, r15: vec4<f32>,
    x: vec4<f32>,
}
// Scale and zero of each row.
struct Scales {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
    za: vec4<f32>, zb: vec4<f32>, zc: vec4<f32>, zd: vec4<f32>,
}
// Where the rows of x of each token start, in vec4s.
struct Bases { q0: vec4<u32>, q1: vec4<u32>, q2: vec4<u32>, q3: vec4<u32> }

// Four tokens: column i holds their features 4 * at + i.
fn tokens(base: vec4<u32>, at: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(x[base.x + at], x[base.y + at], x[base.z + at], x[base.w + at]));
}

// Group g of four rows' chunks, a row each.
fn four(w0: vec4<u32>, w1: vec4<u32>, w2: vec4<u32>, w3: vec4<u32>, fifth: vec4<u32>, s: vec4<f32>, z: vec4<f32>, g: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        weights(w0, fifth.x, g, s.x, z.x), weights(w1, fifth.y, g, s.y, z.y),
        weights(w2, fifth.z, g, s.z, z.z), weights(w3, fifth.w, g, s.w, z.w),
    );
}

// One token: adds group g (4 features) of a chunk.
fn add_codes(s: ptr<function, Sums>, w: ptr<function, Words>, v: vec4<f32>, g: u32) {
    (*s).x += v;
    (*s).r0 = fma(codes((*w).w0, (*w).fifths.a.x, g), v, (*s).r0);
    if ROWS >= 2u { (*s).r1 = fma(codes((*w).w1, (*w).fifths.a.y, g), v, (*s).r1); }
    if ROWS >= 4u {
        (*s).r2 = fma(codes((*w).w2, (*w).fifths.a.z, g), v, (*s).r2);
        (*s).r3 = fma(codes((*w).w3, (*w).fifths.a.w, g), v, (*s).r3);
    }
    if ROWS >= 8u {
        (*s).r4 = fma(codes((*w).w4, (*w).fifths.b.x, g), v, (*s).r4);
        (*s).r5 = fma(codes((*w).w5, (*w).fifths.b.y, g), v, (*s).r5);
        (*s).r6 = fma(codes((*w).w6, (*w).fifths.b.z, g), v, (*s).r6);
        (*s).r7 = fma(codes((*w).w7, (*w).fifths.b.w, g), v, (*s).r7);
    }
    if ROWS == 16u {
        (*s).r8 = fma(codes((*w).w8, (*w).fifths.c.x, g), v, (*s).r8);
        (*s).r9 = fma(codes((*w).w9, (*w).fifths.c.y, g), v, (*s).r9);
        (*s).r10 = fma(codes((*w).w10, (*w).fifths.c.z, g), v, (*s).r10);
        (*s).r11 = fma(codes((*w).w11, (*w).fifths.c.w, g), v, (*s).r11);
        (*s).r12 = fma(codes((*w).w12, (*w).fifths.d.x, g), v, (*s).r12);
        (*s).r13 = fma(codes((*w).w13, (*w).fifths.d.y, g), v, (*s).r13);
        (*s).r14 = fma(codes((*w).w14, (*w).fifths.d.z, g), v, (*s).r14);
        (*s).r15 = fma(codes((*w).w15, (*w).fifths.d.w, g), v, (*s).r15);
    }
}

// One token: what the columns of a scale add to four rows.
fn scaled(r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>, x: vec4<f32>, words: vec4<u32>) -> vec4<f32> {
    let sums = POSITION * mat4x4<f32>(r0, r1, r2, r3);
    return scales_of(words) * fma(zeros_of(words), vec4<f32>(-dot(OFFSET, x)), sums);
}

fn add_sums(t: ptr<function, Tile>, r: ptr<function, Sums>, raw: ptr<function, Rows>) {
    (*t).a[0] += scaled((*r).r0, (*r).r1, (*r).r2, (*r).r3, (*r).x, (*raw).a);
    if ROWS >= 8u { (*t).a[1] += scaled((*r).r4, (*r).r5, (*r).r6, (*r).r7, (*r).x, (*raw).b); }
    if ROWS == 16u {
        (*t).a[2] += scaled((*r).r8, (*r).r9, (*r).r10, (*r).r11, (*r).x, (*raw).c);
        (*t).a[3] += scaled((*r).r12, (*r).r13, (*r).r14, (*r).r15, (*r).x, (*raw).d);
    }
}

// Several tokens: adds group g of a chunk.
fn add_group(t: ptr<function, Tile>, w: ptr<function, Words>, s: ptr<function, Scales>, base: ptr<function, Bases>, at: u32, g: u32) {
    if TOKENS == 2u {
        let v = x[(*base).q0.x + at + g];
        let u = x[(*base).q0.y + at + g];
        let first = four((*w).w0, (*w).w1, (*w).w2, (*w).w3, (*w).fifths.a, (*s).a, (*s).za, g);
        let second = four((*w).w4, (*w).w5, (*w).w6, (*w).w7, (*w).fifths.b, (*s).b, (*s).zb, g);
        let third = four((*w).w8, (*w).w9, (*w).w10, (*w).w11, (*w).fifths.c, (*s).c, (*s).zc, g);
        let fourth = four((*w).w12, (*w).w13, (*w).w14, (*w).w15, (*w).fifths.d, (*s).d, (*s).zd, g);
        (*t).a += mat4x4<f32>(v * first, v * second, v * third, v * fourth);
        (*t).b += mat4x4<f32>(u * first, u * second, u * third, u * fourth);
        return;
    }
    let q0 = tokens((*base).q0, at + g);
    if ROWS == 1u {
        let v = weights((*w).w0, (*w).fifths.a.x, g, (*s).a.x, (*s).za.x);
        (*t).a[0] += q0 * v;
        if TOKENS >= 8u { (*t).a[1] += tokens((*base).q1, at + g) * v; }
        if TOKENS == 16u {
            (*t).a[2] += tokens((*base).q2, at + g) * v;
            (*t).a[3] += tokens((*base).q3, at + g) * v;
        }
        return;
    }
    let low = four((*w).w0, (*w).w1, (*w).w2, (*w).w3, (*w).fifths.a, (*s).a, (*s).za, g);
    (*t).a += q0 * low;
    if ROWS == 4u && TOKENS >= 8u { (*t).b += tokens((*base).q1, at + g) * low; }
    if ROWS == 4u && TOKENS == 16u {
        (*t).c += tokens((*base).q2, at + g) * low;
        (*t).d += tokens((*base).q3, at + g) * low;
    }
    if ROWS >= 8u {
        let high = four((*w).w4, (*w).w5, (*w).w6, (*w).w7, (*w).fifths.b, (*s).b, (*s).zb, g);
        (*t).b += q0 * high;
        if TOKENS == 8u {
            let q1 = tokens((*base).q1, at + g);
            (*t).c += q1 * low;
            (*t).d += q1 * high;
        }
    }
    if ROWS == 16u {
        (*t).c += q0 * four((*w).w8, (*w).w9, (*w).w10, (*w).w11, (*w).fifths.c, (*s).c, (*s).zc, g);
        (*t).d += q0 * four((*w).w12, (*w).w13, (*w).w14, (*w).w15, (*w).fifths.d, (*s).d, (*s).zd, g);
    }
}

// The panel `offset` beyond `panel`; the last one stands in for those past the end, whose sums are
//   not stored.
fn panel_at(panel: u32, offset: u32) -> u32 { return min(panel + offset, (params.rows - 1u) / 32u); }

// The words of scales of four rows.
fn scales4(panel: u32, offset: u32, block: u32, lane: u32) -> vec4<u32> {
    let low = scale_word(panel_at(panel, offset), block, lane);
    if ROWS == 1u { return vec4<u32>(low, 0u, 0u, 0u); }
    let next = scale_word(panel_at(panel, offset + 1u), block, lane);
    if ROWS == 2u { return vec4<u32>(low, next, 0u, 0u); }
    return vec4<u32>(low, next, scale_word(panel_at(panel, offset + 2u), block, lane), scale_word(panel_at(panel, offset + 3u), block, lane));
}

// The fifth bits of four rows.
fn fifths4(panel: u32, offset: u32, at: u32, lane: u32) -> vec4<u32> {
    let low = fifth_bits(panel_at(panel, offset), at, lane);
    if ROWS == 1u { return vec4<u32>(low, 0u, 0u, 0u); }
    let next = fifth_bits(panel_at(panel, offset + 1u), at, lane);
    if ROWS == 2u { return vec4<u32>(low, next, 0u, 0u); }
    return vec4<u32>(low, next, fifth_bits(panel_at(panel, offset + 2u), at, lane), fifth_bits(panel_at(panel, offset + 3u), at, lane));
}

// Several tokens: scales and zeros of all rows, for the columns of a scale.
fn scales_and_zeros(s: ptr<function, Scales>, raw: ptr<function, Rows>) {
    (*s).a = scales_of((*raw).a);
    (*s).za = zeros_of((*raw).a);
    if ROWS >= 8u {
        (*s).b = scales_of((*raw).b);
        (*s).zb = zeros_of((*raw).b);
    }
    if ROWS == 16u {
        (*s).c = scales_of((*raw).c);
        (*s).zc = zeros_of((*raw).c);
        (*s).d = scales_of((*raw).d);
        (*s).zd = zeros_of((*raw).d);
    }
}

// The words of scales of all rows, that of the part'th columns of a block in the low bits.
fn load_scales(raw: ptr<function, Rows>, panel: u32, block: u32, part: u32, lane: u32) {
    let shift = 16u * part;
    (*raw).a = scales4(panel, 0u, block, lane) >> vec4<u32>(shift);
    if ROWS >= 8u { (*raw).b = scales4(panel, 4u, block, lane) >> vec4<u32>(shift); }
    if ROWS == 16u {
        (*raw).c = scales4(panel, 8u, block, lane) >> vec4<u32>(shift);
        (*raw).d = scales4(panel, 12u, block, lane) >> vec4<u32>(shift);
    }
}

// The chunk at `at` of every row.
fn load(w: ptr<function, Words>, panel: u32, at: u32, lane: u32) {
    let words = params.blocks * CHUNKS_PER_BLOCK * 32u;
    let word = at * 32u + lane;
    (*w).fifths.a = fifths4(panel, 0u, at, lane);
    (*w).w0 = chunk(panel_at(panel, 0u) * words + word);
    if ROWS >= 2u { (*w).w1 = chunk(panel_at(panel, 1u) * words + word); }
    if ROWS >= 4u {
        (*w).w2 = chunk(panel_at(panel, 2u) * words + word);
        (*w).w3 = chunk(panel_at(panel, 3u) * words + word);
    }
    if ROWS >= 8u {
        (*w).fifths.b = fifths4(panel, 4u, at, lane);
        (*w).w4 = chunk(panel_at(panel, 4u) * words + word);
        (*w).w5 = chunk(panel_at(panel, 5u) * words + word);
        (*w).w6 = chunk(panel_at(panel, 6u) * words + word);
        (*w).w7 = chunk(panel_at(panel, 7u) * words + word);
    }
    if ROWS == 16u {
        (*w).fifths.c = fifths4(panel, 8u, at, lane);
        (*w).fifths.d = fifths4(panel, 12u, at, lane);
        (*w).w8 = chunk(panel_at(panel, 8u) * words + word);
        (*w).w9 = chunk(panel_at(panel, 9u) * words + word);
        (*w).w10 = chunk(panel_at(panel, 10u) * words + word);
        (*w).w11 = chunk(panel_at(panel, 11u) * words + word);
        (*w).w12 = chunk(panel_at(panel, 12u) * words + word);
        (*w).w13 = chunk(panel_at(panel, 13u) * words + word);
        (*w).w14 = chunk(panel_at(panel, 14u) * words + word);
        (*w).w15 = chunk(panel_at(panel, 15u) * words + word);
    }
}

fn add(
    t: ptr<function, Tile>, r: ptr<function, Sums>, w: ptr<function, Words>, s: ptr<function, Scales>,
    base: ptr<function, Bases>, at: u32, g: u32,
) {
    if TOKENS == 1u { add_codes(r, w, x[(*base).q0.x + at + g], g); } else { add_group(t, w, s, base, at, g); }
}

// Sums the blocks first, first + step, ... of this lane's rows, in that order.
// One loop over the columns that share a scale, and words of scales loaded where they are used:
//   what lives across an inner loop some drivers keep in memory, at half the speed.
fn accumulate(panel: u32, lane: u32, first: u32, step: u32, bases: Bases) -> Tile {
    const PARTS = CHUNKS_PER_BLOCK / CHUNKS_PER_SCALE;
    var t = Tile();
    var base = bases;
    for (var i = 0u; ; i++) {
        let block = first + i / PARTS * step;
        if block >= params.blocks { break; }
        let part = i % PARTS;
        let at = block * CHUNKS_PER_BLOCK + part * CHUNKS_PER_SCALE;
        var raw = Rows();
        var s = Scales();
        var r = Sums();
        if TOKENS > 1u {
            load_scales(&raw, panel, block, part, lane);
            scales_and_zeros(&s, &raw);
        }
        if CHUNKS_PER_SCALE == 1u {
            add_chunk(&t, &r, &s, &base, panel, at, lane);
        } else {
            for (var c = 0u; c < CHUNKS_PER_SCALE; c++) { add_chunk(&t, &r, &s, &base, panel, at + c, lane); }
        }
        if TOKENS == 1u {
            load_scales(&raw, panel, block, part, lane);
            add_sums(&t, &r, &raw);
        }
    }
    return t;
}

// Adds the chunk at `at` of every row.
fn add_chunk(t: ptr<function, Tile>, r: ptr<function, Sums>, s: ptr<function, Scales>, base: ptr<function, Bases>, panel: u32, at: u32, lane: u32) {
    var w = Words();
    load(&w, panel, at, lane);
    let first = at * GROUPS;
    // Unrolled, many rows of one token run a third faster on some drivers; the code of larger
    //   tiles would leave the cache.
    if TOKENS > 1u || ROWS <= 4u {
        for (var g = 0u; g < GROUPS; g++) { add(t, r, &w, s, base, first, g); }
        return;
    }
    add(t, r, &w, s, base, first, 0u);
    if GROUPS >= 2u { add(t, r, &w, s, base, first, 1u); }
    if GROUPS >= 4u {
        add(t, r, &w, s, base, first, 2u);
        add(t, r, &w, s, base, first, 3u);
    }
    if GROUPS == 8u {
        add(t, r, &w, s, base, first, 4u);
        add(t, r, &w, s, base, first, 5u);
        add(t, r, &w, s, base, first, 6u);
        add(t, r, &w, s, base, first, 7u);
    }
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
