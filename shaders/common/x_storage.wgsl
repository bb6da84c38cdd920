// x_storage: activations as any kernel binds them
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
