// x_uniform: the activations of TOKENS tokens as a uniform of QUADS vec4s, from the dispatch's
//   first token on
@group(0) @binding(1) var<uniform> x: array<vec4<f32>, QUADS>;
