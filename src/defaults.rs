//! What holds where nobody says otherwise, the only place. The program's flags, the browser
//! package's settings and its TypeScript (`DEFAULTS` in `web/ts/generated.ts`) take it from here.
//!
//! Plain numbers only, since `cargo xtask types` reads this file. What depends on the model is a
//! function of its configuration: [`crate::Config::default_context`], [`crate::budget::Offer`].

/// Room for tokens of picture and conversation, where the model allows so many.
pub const CONTEXT: usize = 2048;

/// An answer is cut after this many tokens.
pub const MAX_NEW_TOKENS: usize = 512;

/// The same for models that write documents.
pub const DOCUMENT_TOKENS: usize = 4096;

/// Milliseconds to the first token that an automatic choice of image tokens aims for.
pub const TARGET_MS: f64 = 2000.0;

/// Numbers of image tokens worth comparing: the paper's evaluation points, and this project's
/// steps. A model gives those up to its M.
pub const LADDER: [usize; 8] = [2, 4, 8, 16, 36, 64, 144, 256];

/// Milliseconds that loading may take longer for measuring kernels.
pub const TUNING_MS: u64 = 150;

/// 0 always takes the likeliest token.
pub const TEMPERATURE: f32 = 0.0;

/// 1 keeps all tokens.
pub const TOP_P: f32 = 1.0;

/// How many of the likeliest tokens are kept. The reference's library has this whenever it samples;
/// it has no effect at temperature 0.
pub const TOP_K: usize = 50;

/// 1 changes nothing.
pub const REPETITION_PENALTY: f32 = 1.0;

/// The seed of what is drawn.
pub const SEED: u64 = 0;

/// Prompt lengths that `mqt bench` measures.
pub const BENCH_PREFILL: [usize; 5] = [16, 64, 128, 256, 512];

/// Contexts that it generates at.
pub const BENCH_CONTEXTS: [usize; 3] = [100, 512, 1500];

/// Seconds that it spends on one figure.
pub const BENCH_PATIENCE: f64 = 0.5;

/// Prompt lengths that the page's benchmark measures, which somebody waits for.
pub const QUICK_BENCH_PREFILL: [usize; 2] = [16, 64];

/// Contexts that it generates at.
pub const QUICK_BENCH_CONTEXTS: [usize; 1] = [100];

/// Seconds that it spends on one figure.
pub const QUICK_BENCH_PATIENCE: f64 = 0.2;
