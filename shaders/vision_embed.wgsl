// vision_embed: out[0] = class + position[0]; out[CLASS + p] = patches[p] + position[CLASS + p]
// patches [patches, hidden] f32 - class [1, hidden] f32 - position [tokens, hidden] f32 - out
//   [tokens, hidden] f32; tokens = patches + CLASS
// grid: (hidden / 64, tokens) of 64 lanes; constant CLASS (1 with a class token, else 0)
struct Params { cols: u32, stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> patches: array<f32>;
@group(0) @binding(2) var<storage, read> class_token: array<f32>;
@group(0) @binding(3) var<storage, read> position: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols { return; }
    let at = id.y * params.stride + id.x;
    if CLASS == 1u && id.y == 0u {
        out[at] = class_token[id.x] + position[at];
    } else {
        out[at] = patches[at - CLASS * params.stride] + position[at];
    }
}
