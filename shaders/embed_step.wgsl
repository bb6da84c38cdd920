// embed_step: x[c] = table[token, c], next[c] = x[c] * gain[c], for the token that the state names
// state: common/state.wgsl - table panels (data, scales) - gain [cols] f32 - x [cols] f32 - next
//   [cols] f32
// grid: (cols / 4 / 64) of 64 lanes; a table in several parts runs once per part; preludes:
//   common/state.wgsl, common/data_*.wgsl (binding 2), common/weight_*.wgsl
struct Params { rows: u32, blocks: u32, first_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> state: State;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> next: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = state.token - params.first_row; // below first_row it wraps, and is past the end
    if state.done != 0u || id.x >= params.blocks * 16u || row >= params.rows { return; }
    let panel = row / 32u;
    let lane = row & 31u;
    let at = id.x / GROUPS;
    let part = at % CHUNKS_PER_BLOCK / CHUNKS_PER_SCALE;
    let words = vec4<u32>(scale_word(panel, id.x / 16u, lane) >> (16u * part));
    let word = chunk((panel * params.blocks * CHUNKS_PER_BLOCK + at) * 32u + lane);
    let value = weights(word, fifth_bits(panel, at, lane), id.x % GROUPS, scales_of(words).x, zeros_of(words).x);
    x[id.x] = value;
    next[id.x] = value * gain[id.x];
}
