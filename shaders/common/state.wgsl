// state: what decoding keeps on the device from step to step; its Rust twin is State in
//   src/kernels/state.rs, and the lint compares them
struct State {
    token: u32,                    // picked last: the one that the next step reads
    position: u32,                 // of that token
    // 1 once the generation has ended: the steps that follow do nothing
    done: u32,
    count: u32,                    // tokens picked since the start
    seed_low: u32,
    seed_high: u32,
    top_k: u32,                    // 0: all
    temperature: f32,              // 0: greedy
    top_p: f32,
    repetition_penalty: f32,
    limit: u32,                    // tokens to pick at most
    end_tokens: array<u32, 8>,     // left over room holds 0xffffffff, which is no token
    recent: array<u32, 64>,        // a ring: token i of the generation is at i % 64
    probabilities: array<f32, 64>, // of those tokens
}
