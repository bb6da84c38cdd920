//! Keeps what drivers print themselves off our stderr.

use std::env;

/// A path that is no folder, so that nobody can put a socket into it.
const NOWHERE: &str = "/dev/null";

/// Mesa's Vulkan layer looks for a Wayland session and prints an error, once for every instance,
/// where `XDG_RUNTIME_DIR` is unset or no absolute path. There is no session then, so the variable
/// is set to a place that has none.
///
/// To be called first in `main`: no other thread may run yet.
#[allow(unsafe_code, reason = "changing the environment is unsafe beside other threads")]
pub(crate) fn keep_quiet() {
    let is_path = |value: std::ffi::OsString| value.as_encoded_bytes().starts_with(b"/");
    if cfg!(unix) && !env::var_os("XDG_RUNTIME_DIR").is_some_and(is_path) {
        // SAFETY: `main` calls this before it starts anything, so there is one thread.
        unsafe { env::set_var("XDG_RUNTIME_DIR", NOWHERE) };
    }
}
