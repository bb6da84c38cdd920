//! Futures that may move between threads in native builds, and stay on their thread in the browser.

use std::pin::Pin;

/// A boxed future: `Send` natively, so that a server can spawn what awaits it. In the browser
/// WebGPU's objects belong to one thread, and so do futures that hold them.
#[cfg(not(target_arch = "wasm32"))]
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed future: `Send` natively, so that a server can spawn what awaits it. In the browser
/// WebGPU's objects belong to one thread, and so do futures that hold them.
#[cfg(target_arch = "wasm32")]
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send` natively, anything in the browser; see [`Boxed`].
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` natively, anything in the browser; see [`Boxed`].
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` natively, anything in the browser; see [`Boxed`].
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}

/// `Sync` natively, anything in the browser; see [`Boxed`].
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// Told of each piece of something, as it happens; `Send` natively, see [`Boxed`].
#[cfg(not(target_arch = "wasm32"))]
pub type Callback<'a, T> = dyn FnMut(&T) + Send + 'a;

/// Told of each piece of something, as it happens; `Send` natively, see [`Boxed`].
#[cfg(target_arch = "wasm32")]
pub type Callback<'a, T> = dyn FnMut(&T) + 'a;
