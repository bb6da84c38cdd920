// product/tiles: out[t, r] = act(sum over c of x[t, c] * w[r, c] + bias[r]), or the same added to
//   out[t, r]
//   when ADD = 1, for many tokens
// x [tokens, cols] f32 - w panels (data, scales) - bias [rows] f32 - out [tokens, rows] f32,
//   read-write because of ADD
// A workgroup computes PANELS * 32 rows of 64 tokens: it unpacks each weight once, into workgroup
//   memory, for all of them.
// grid: (panels / PANELS, tokens / 64) of WG = 256 lanes; constants PANELS (2 or 4), ADD, BIAS, ACT
// preludes: common/x_storage.wgsl (binding 1), common/data_*.wgsl (2), common/weight_*.wgsl,
//   common/product.wgsl
struct Params { n_tokens: u32, rows: u32, blocks: u32, x_stride: u32, out_stride: u32, first_row: u32, first_token: u32, to_token: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const TALL: u32 = PANELS * 32u; // rows of the tile
// groups of four columns in workgroup memory at once; 16 KiB hold no more
const QUADS: u32 = 16u / PANELS;
// Four columns of a row each; the rows of a group of columns side by side.
var<workgroup> w_tile: array<vec4<f32>, 512>;
// Four columns of a token each; token t of group q lies at t + q, round the corner: lanes that
//   store neighbouring groups of one
// token then meet no bank twice.
var<workgroup> x_tile: array<vec4<f32>, QUADS * 64u>;

fn x_at(token: u32, q: u32) -> u32 { return q * 64u + ((token + q) & 63u); }

// Each lane unpacks two groups of columns of one row.
fn load_weights(first: u32, panels: u32, local: u32) {
    let row = local % TALL;
    let lane = row & 31u;
    // The last panel stands in for those past the end, whose sums are not stored.
    let panel = min(panels + row / 32u, (params.rows - 1u) / 32u);
    let base = panel * (params.blocks * CHUNKS_PER_BLOCK * 32u) + lane;
    let q = local / TALL * 2u;
    let at = first + q;
    let part = at / GROUPS % CHUNKS_PER_BLOCK / CHUNKS_PER_SCALE;
    let raw = vec4<u32>(scale_word(panel, at / 16u, lane) >> (16u * part));
    let scale = scales_of(raw).x;
    let zero = zeros_of(raw).x;
    let words = chunk(base + at / GROUPS * 32u);
    let fifth = fifth_bits(panel, at / GROUPS, lane);
    w_tile[q * TALL + row] = weights(words, fifth, at % GROUPS, scale, zero);
    if GROUPS == 1u {
        w_tile[q * TALL + TALL + row] = weights(chunk(base + (at + 1u) * 32u), fifth, 0u, scale, zero);
    } else {
        w_tile[q * TALL + TALL + row] = weights(words, fifth, at % GROUPS + 1u, scale, zero);
    }
}

fn load_tokens(first: u32, token: u32, local: u32) {
    for (var i = local; i < QUADS * 64u; i += 256u) {
        let q = i % QUADS;
        let t = i / QUADS;
        x_tile[x_at(t, q)] = x[row_of(token + t) + first + q];
    }
}

// Rows a quarter of a tile's 64 apart, as columns: component k of column c is row k's column c.
fn four(at: u32) -> mat4x4<f32> { return transpose(mat4x4<f32>(w_tile[at], w_tile[at + 16u], w_tile[at + 32u], w_tile[at + 48u])); }

fn add(sum: vec4<f32>, w: mat4x4<f32>, v: vec4<f32>) -> vec4<f32> {
    return fma(w[3], v.wwww, fma(w[2], v.zzzz, fma(w[1], v.yyyy, fma(w[0], v.xxxx, sum))));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let panel = group.x * PANELS;
    let token = group.y * 64u;
    let row = local & 15u;
    let own = local / 16u;
    // Tokens own, own + 16, own + 32, own + 48: rows row, row + 16, ... of the first 64, then of
    //   the second.
    var a0 = vec4<f32>();
    var a1 = vec4<f32>();
    var a2 = vec4<f32>();
    var a3 = vec4<f32>();
    var b0 = vec4<f32>();
    var b1 = vec4<f32>();
    var b2 = vec4<f32>();
    var b3 = vec4<f32>();
    for (var first = 0u; first < params.blocks * 16u; first += QUADS) {
        load_weights(first, panel, local);
        load_tokens(first, token, local);
        workgroupBarrier();
        for (var q = 0u; q < QUADS; q++) {
            let v0 = x_tile[x_at(own, q)];
            let v1 = x_tile[x_at(own + 16u, q)];
            let v2 = x_tile[x_at(own + 32u, q)];
            let v3 = x_tile[x_at(own + 48u, q)];
            let low = four(q * TALL + row);
            a0 = add(a0, low, v0);
            a1 = add(a1, low, v1);
            a2 = add(a2, low, v2);
            a3 = add(a3, low, v3);
            if PANELS == 4u {
                let high = four(q * TALL + 64u + row);
                b0 = add(b0, high, v0);
                b1 = add(b1, high, v1);
                b2 = add(b2, high, v2);
                b3 = add(b3, high, v3);
            }
        }
        workgroupBarrier();
    }
    // One store in a loop: thirty-two in a row would take some drivers seconds to compile.
    var sums = array<vec4<f32>, 8>(a0, a1, a2, a3, b0, b1, b2, b3);
    for (var i = 0u; i < PANELS * 8u; i++) {
        store(token + own + i / 4u % 4u * 16u, panel * 32u + row + i / 16u * 64u + i % 4u * 16u, sums[i / 4u][i % 4u]);
    }
}
