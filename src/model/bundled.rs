//! The toybox pack inside the program, so that it answers from any folder.

#[cfg(feature = "native")]
use crate::weights::files::Embedded;

/// The bundled pack's files.
#[cfg(feature = "native")]
pub(super) fn files() -> Embedded {
    macro_rules! file {
        ($name:literal) => {
            ($name, include_bytes!(concat!("../../models/toybox/", $name)) as &[u8])
        };
    }
    static FILES: &[(&str, &[u8])] = &[
        file!("manifest.json"),
        file!("tokenizer.json"),
        file!("tokenizer_config.json"),
        file!("scenes.json"),
        file!("weights-00001.safetensors"),
    ];
    Embedded { name: "the bundled model", files: FILES }
}
