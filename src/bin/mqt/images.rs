//! The pictures that a line of a file names: one, or a list.

use serde::{Deserialize, Serialize};

/// One name, or a list of names; written as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "image is neither a name nor a list of names")]
pub(crate) enum Images {
    One(String),
    Several(Vec<String>),
}

impl Images {
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Images::One(name) => std::slice::from_ref(name),
            Images::Several(names) => names,
        }
    }
}
