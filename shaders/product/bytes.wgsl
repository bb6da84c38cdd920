// product/bytes: as product/lanes, with activations rounded to bytes: 64 columns of a token share a
//   step, their largest magnitude / 127
// x [tokens, cols] f32 - w panels (data, scales) of q8, q5 or q4 - bias [rows] f32 - out [tokens,
//   rows] f32, read-write because of ADD
// A workgroup rounds a block of TOKENS tokens into workgroup memory, or SLICES blocks at once. A
//   lane owns ROWS rows (the same one of neighbouring panels) and every SLICESth of their blocks; a
//   block's sum is one of integers, exact.
// grid: (panels / ROWS / (WG / 32 / SLICES), tokens / TOKENS) of WG lanes; constants TOKENS (4, 8,
//   16), ROWS (1, 2), SLICES, PARTIAL, ADD, BIAS, ACT
// preludes: common/x_storage.wgsl (binding 1), common/data_*.wgsl (2), common/weight_q*.wgsl,
//   common/product.wgsl, common/bytes.wgsl, common/dot_*.wgsl
struct Params { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32, to_token: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// a unit is a block of a token; units of a slice lie side by side
const UNITS: u32 = TOKENS * SLICES;
const QUADS: u32 = TOKENS / 4u;
var<workgroup> packed: array<vec4<u32>, UNITS * 4u>; // sixteen columns each
var<workgroup> peaks: array<f32, UNITS * 4u>;
var<workgroup> steps: array<f32, UNITS>;
// Sums of 32 columns of four tokens, first halves of a slice's block, then second ones: what a
//   zero is multiplied with.
const TOTALS: u32 = select(1u, UNITS / 2u, ZEROS);
var<workgroup> totals: array<vec4<f32>, TOTALS>;
// The slices' sums, a token quad of a row each; without slices it shrinks to nothing much.
var<workgroup> partial: array<vec4<f32>, PARTIAL>;

// Sums over a block; column q holds tokens 4q to 4q + 3.
struct Dots { a: vec4<i32>, b: vec4<i32>, c: vec4<i32>, d: vec4<i32> }

// Where sixteen columns of a unit start in x; a block past the end stands for the last one.
fn place(i: u32, first: u32, token: u32) -> u32 {
    let unit = i / 4u;
    let block = min(first + unit / TOKENS, params.blocks - 1u);
    return row_of(token + unit % TOKENS) + block * 16u + (i & 3u) * 4u;
}

fn round_units(first: u32, token: u32, local: u32) {
    for (var i = local; i < UNITS * 4u; i += WG) { peaks[i] = peak_of(place(i, first, token)); }
    workgroupBarrier();
    for (var i = local; i < UNITS * 4u; i += WG) {
        let at = i & ~3u;
        let peak = max(max(peaks[at], peaks[at + 1u]), max(peaks[at + 2u], peaks[at + 3u]));
        let exists = first + i / 4u / TOKENS < params.blocks;
        packed[i] = rounded(place(i, first, token), select(0.0, inverse_step(peak), exists));
        if (i & 3u) == 0u { steps[i / 4u] = peak / 127.0; }
    }
    workgroupBarrier();
    if ZEROS {
        for (var i = local; i < TOTALS; i += WG) {
            let unit = i / (2u * QUADS) * TOKENS + i % QUADS * 4u;
            totals[i] = vec4<f32>(total4(unit * 4u + i / QUADS % 2u * 2u));
        }
        workgroupBarrier();
    }
}

fn total4(at: u32) -> vec4<i32> { return vec4<i32>(total32(at), total32(at + 4u), total32(at + 8u), total32(at + 12u)); }

fn total32(at: u32) -> i32 { return total16(packed[at]) + total16(packed[at + 1u]); }

fn quad(w: vec4<u32>, at: u32) -> vec4<i32> {
    return vec4<i32>(dot16(w, packed[at]), dot16(w, packed[at + 4u]), dot16(w, packed[at + 8u]), dot16(w, packed[at + 12u]));
}

// Adds sixteen columns of a row; `at`: those of the first token.
fn add(d: ptr<function, Dots>, w: vec4<u32>, at: u32) {
    (*d).a += quad(w, at);
    if TOKENS >= 8u { (*d).b += quad(w, at + 16u); }
    if TOKENS == 16u {
        (*d).c += quad(w, at + 32u);
        (*d).d += quad(w, at + 48u);
    }
}

fn steps4(unit: u32) -> vec4<f32> { return vec4<f32>(steps[unit], steps[unit + 1u], steps[unit + 2u], steps[unit + 3u]); }

// Four tokens' sums without what their codes stand too high.
fn floats(sums: vec4<i32>, zero: f32, at: u32) -> vec4<f32> {
    if !ZEROS { return vec4<f32>(sums); }
    return fma(vec4<f32>(-zero), totals[at], vec4<f32>(sums));
}

// The sums of a slice's block, or of one half of it, as they count; `raw`: the row's word of
//   scales.
fn scaled(d: Dots, slice: u32, part: u32, raw: u32) -> mat4x4<f32> {
    let unit = slice * TOKENS;
    let words = vec4<u32>(raw >> (16u * part));
    let scale = scales_of(words).x;
    let zero = zeros_of(words).x * OFFSET.x;
    let at = (slice * 2u + part) * QUADS;
    var t = mat4x4<f32>();
    t[0] = floats(d.a, zero, at) * steps4(unit) * scale;
    if TOKENS >= 8u { t[1] = floats(d.b, zero, at + 1u) * steps4(unit + 4u) * scale; }
    if TOKENS == 16u {
        t[2] = floats(d.c, zero, at + 2u) * steps4(unit + 8u) * scale;
        t[3] = floats(d.d, zero, at + 3u) * steps4(unit + 12u) * scale;
    }
    return t;
}

// The panel `offset` beyond `panel`; the last one stands in for those past the end, whose sums are
//   not stored.
fn panel_at(panel: u32, offset: u32) -> u32 { return min(panel + offset, (params.rows - 1u) / 32u); }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let lane = local & 31u;
    let slice = local / 32u % SLICES;
    let panel = (group.x * (WG / 32u / SLICES) + local / (32u * SLICES)) * ROWS;
    let token = group.y * TOKENS;
    let words = params.blocks * CHUNKS_PER_BLOCK * 32u;
    var low = mat4x4<f32>();
    var high = mat4x4<f32>();
    for (var first = 0u; first < params.blocks; first += SLICES) {
        round_units(first, token, local);
        let block = min(first + slice, params.blocks - 1u);
        let raw = scale_word(panel_at(panel, 0u), block, lane);
        let other = scale_word(panel_at(panel, 1u), block, lane);
        for (var part = 0u; part < CHUNKS_PER_BLOCK / CHUNKS_PER_SCALE; part++) {
            var a = Dots();
            var b = Dots();
            for (var c = part * CHUNKS_PER_SCALE; c < (part + 1u) * CHUNKS_PER_SCALE; c++) {
                let at = block * CHUNKS_PER_BLOCK + c;
                let word = at * 32u + lane;
                let w = chunk(panel_at(panel, 0u) * words + word);
                let fifth = fifth_bits(panel_at(panel, 0u), at, lane);
                var v = w;
                var other_fifth = fifth;
                if ROWS == 2u {
                    v = chunk(panel_at(panel, 1u) * words + word);
                    other_fifth = fifth_bits(panel_at(panel, 1u), at, lane);
                }
                for (var sixteen = 0u; sixteen < GROUPS / 4u; sixteen++) {
                    let x_at = slice * TOKENS * 4u + c * (GROUPS / 4u) + sixteen;
                    add(&a, bytes(w, fifth, sixteen), x_at);
                    if ROWS == 2u { add(&b, bytes(v, other_fifth, sixteen), x_at); }
                }
            }
            low += scaled(a, slice, part, raw);
            if ROWS == 2u { high += scaled(b, slice, part, other); }
        }
        // The next round's first barrier stands between these reads and its writes.
    }
    if SLICES > 1u {
        let mine = local * QUADS;
        for (var q = 0u; q < QUADS; q++) { partial[mine + q] = low[q]; }
        workgroupBarrier();
        if slice > 0u { return; }
        for (var s = 1u; s < SLICES; s++) {
            for (var q = 0u; q < QUADS; q++) { low[q] += partial[mine + s * 32u * QUADS + q]; }
        }
    }
    // One store in a loop: thirty-two in a row would take some drivers seconds to compile.
    for (var i = 0u; i < ROWS * TOKENS; i++) {
        let t = i % TOKENS;
        let sum = select(low[t / 4u][t & 3u], high[t / 4u][t & 3u], i >= TOKENS);
        store(token + t, (panel + i / TOKENS) * 32u + lane, sum);
    }
}
