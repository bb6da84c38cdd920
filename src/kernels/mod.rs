//! The mathematics: one module per shader in `shaders/`, with its parameters, its recording, its
//! plain-Rust twin and its cases.
//!
//! A twin (`reference`) is the formula in loops over plain row-major slices. It is the oracle of
//! the kernel, and of the processor's kernels in [`crate::cpu`], in tests, in `mqt doctor` and in
//! the browser.

pub mod attention;
pub mod check;
pub mod depthwise;
pub mod embed;
pub mod embed_step;
pub mod gather;
pub mod layer_norm;
#[cfg(test)]
mod lint;
pub mod mix;
pub mod patchify;
pub mod pick;
pub mod product;
pub mod rms_norm;
pub mod shuffle;
pub mod state;
pub mod swiglu;
pub mod vision_embed;

use crate::gpu::Kernel;
use crate::quant::Format;

/// Lanes of a workgroup where no constant WG says otherwise; checked by the lint.
pub(crate) const LANES: usize = 64;

/// Declares a kernel's uniform: a `#[repr(C)]` struct with the fields of the shader's `Params`,
/// whose names the lint compares.
macro_rules! params {
    ($($field:ident: $type:ty),* $(,)?) => {
        #[repr(C)]
        #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        pub(super) struct Params { $($field: $type),* }
        impl Params {
            /// Field names in order.
            pub(super) const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
}
pub(crate) use params;

/// A kernel as its shader file declares it.
macro_rules! kernel {
    ($stem:literal, [$($access:ident),*]) => {
        crate::gpu::Kernel {
            name: $stem,
            source: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/shaders/",
                $stem,
                ".wgsl"
            )),
            bindings: &[$(crate::gpu::Access::$access),*],
            params: Params::FIELDS,
        }
    };
}
pub(crate) use kernel;

/// One variant of a kernel, as text goes to the compiler: for the lint, warm-up and documentation.
pub struct Variant {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Texts put in front.
    pub preludes: Vec<&'static str>,
    /// Constants put in front of those.
    pub constants: Vec<(&'static str, u32)>,
}

/// One kernel's row in the table.
struct Row {
    /// The kernel, as its shader is called, behind a slash.
    #[cfg(test)]
    path: &'static str,
    variants: fn() -> Vec<Variant>,
    cases: fn() -> Vec<check::Case>,
}

#[cfg(test)]
impl Row {
    /// The kernel's name: its shader below `shaders/`, without the ending.
    fn name(&self) -> &'static str {
        self.path.trim_start_matches('/')
    }
}

/// Names the module of each kernel once: its shader, its variants and its cases follow.
macro_rules! table {
    ($($($part:ident)/+),* $(,)?) => {
        &[$(Row {
            #[cfg(test)]
            path: concat!($("/", stringify!($part)),+),
            variants: $($part)::+::variants,
            cases: $($part)::+::cases,
        }),*]
    };
}

/// Every kernel of a network. The lint compares this with `shaders/`; a test asserts that the cases
/// run each of them.
static KERNELS: &[Row] = table![
    attention / groups,
    attention / heads,
    attention / join,
    attention / lanes,
    attention / solo,
    attention / step,
    attention / weights,
    depthwise,
    embed,
    embed_step,
    gather,
    layer_norm,
    mix,
    patchify,
    pick,
    product / bytes,
    product / lanes,
    product / step,
    product / tiles,
    rms_norm,
    shuffle,
    swiglu,
    vision_embed,
];

/// Every variant of every kernel.
pub fn variants() -> Vec<Variant> {
    KERNELS.iter().flat_map(|row| (row.variants)()).collect()
}

/// Every case of every kernel: what the tests, `mqt doctor` and the browser run.
pub fn cases() -> Vec<check::Case> {
    KERNELS.iter().flat_map(|row| (row.cases)()).collect()
}

/// One case of each kernel: a few seconds on any device.
pub fn samples() -> Vec<check::Case> {
    KERNELS.iter().filter_map(|row| (row.cases)().into_iter().next()).collect()
}

/// Workgroups of [`LANES`] lanes that cover `n` items.
pub(crate) fn groups(n: usize) -> u32 {
    n.div_ceil(LANES) as u32
}

/// The prelude that loads a matrix's chunks.
pub(crate) fn data_prelude(in_textures: bool) -> &'static str {
    if in_textures {
        include_str!("../../shaders/common/data_texture.wgsl")
    } else {
        include_str!("../../shaders/common/data_storage.wgsl")
    }
}

/// The prelude that unpacks weights of `format`.
pub(crate) fn weight_prelude(format: Format) -> &'static str {
    match format {
        Format::F32 => include_str!("../../shaders/common/weight_f32.wgsl"),
        Format::F16 => include_str!("../../shaders/common/weight_f16.wgsl"),
        Format::Q8 => include_str!("../../shaders/common/weight_q8.wgsl"),
        Format::Q5 => include_str!("../../shaders/common/weight_q5.wgsl"),
        Format::Q4 => include_str!("../../shaders/common/weight_q4.wgsl"),
    }
}

/// The prelude that sums over a workgroup.
pub(crate) const REDUCE: &str = include_str!("../../shaders/common/reduce.wgsl");
