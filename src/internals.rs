//! What the program, the browser package, tests and tools use besides the public modules. Nothing
//! here is promised: it may change with any version.

/// Modules of which everything public is here.
macro_rules! all_of {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        $(#[$attribute])*
        pub mod $name {
            pub use crate::$name::*;
        }
    )*};
}

all_of! {
    attention
    bench
    camel
    catalogue
    cpu
    kernels
    plain
    quant
    sample
    select
    settings
    #[cfg(feature = "native")]
    synth
    untrusted
    weights
}

pub mod config {
    pub mod shapes {
        pub use crate::config::shapes::*;
    }
}

pub mod gpu {
    pub use crate::gpu::{
        bind::*, device::*, pace::*, pipeline::*, profile::*, readback::*, recorder::*, tensor::*,
    };
}

pub mod image {
    pub mod tiles {
        pub use crate::image::tiles::*;
    }
}

pub mod model {
    pub use crate::model::{cache::*, chosen::*, generate::*, look::*, slot::*};
}

pub mod session {
    pub mod loaded {
        pub use crate::session::loaded::*;
    }
}

pub mod text {
    pub use crate::text::{pieces::*, prompt::*, spans::*};
    pub mod chat {
        pub use crate::text::chat::*;
    }
}
