//! The kernels of [`crate::cpu`] as the network calls them, and the memory they work in.

use crate::cancel::Cancel;
use crate::cpu::{self, Isa, Matrix, Memory, Product, Scratch, Store};
use crate::kernels::product::Act;
use crate::model::parts::{Linear, Norm};

/// Activations, kept from one run to the next.
#[derive(Default)]
pub(super) struct Memories {
    pub(super) products: Scratch,
    pub(super) attention: Memory,
    pub(super) x: Vec<f32>,
    pub(super) normed: Vec<f32>,
    pub(super) qkv: Vec<f32>,
    pub(super) q: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    pub(super) wide: Vec<f32>,
    pub(super) narrow: Vec<f32>,
}

/// A matrix, and its bias where it has one.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a>(pub(super) &'a Matrix, pub(super) Option<&'a [f32]>);

impl<'a> From<&'a Matrix> for Weights<'a> {
    fn from(matrix: &'a Matrix) -> Weights<'a> {
        Weights(matrix, None)
    }
}

impl<'a> From<&'a Linear<Matrix, Vec<f32>>> for Weights<'a> {
    fn from(linear: &'a Linear<Matrix, Vec<f32>>) -> Weights<'a> {
        Weights(&linear.weight, linear.bias.as_deref())
    }
}

/// How a run computes.
#[derive(Clone, Copy)]
pub(super) struct Kernels<'a> {
    pub(super) isa: Isa,
    pub(super) rounds: bool,
    pub(super) cancel: &'a Cancel,
}

impl Kernels<'_> {
    /// `out` becomes act(x · wᵀ + bias), whatever its length was.
    pub(super) fn linear<'a>(
        self,
        x: &[f32],
        w: impl Into<Weights<'a>>,
        act: Act,
        out: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) {
        let Weights(w, bias) = w.into();
        out.resize(x.len() / w.cols * w.rows, 0.0);
        let Kernels { isa, rounds, cancel } = self;
        Product { isa, w, bias, act, rounds }.run(x, Store::Replace, out, scratch, cancel);
    }

    /// out += x · wᵀ + bias.
    pub(super) fn linear_add<'a>(
        self,
        x: &[f32],
        w: impl Into<Weights<'a>>,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Weights(w, bias) = w.into();
        let Kernels { isa, rounds, cancel } = self;
        Product { isa, w, bias, act: Act::None, rounds }.run(x, Store::Add, out, scratch, cancel);
    }

    pub(super) fn layer_norm(self, x: &[f32], norm: &Norm<Vec<f32>>, eps: f32, out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        let affine = Some((&norm.weight[..], &norm.bias[..]));
        cpu::layer_norm(self.isa, x, norm.weight.len(), affine, eps, out);
    }

    pub(super) fn rms_norm(self, x: &[f32], weight: &[f32], eps: f32, out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        cpu::rms_norm(self.isa, x, weight, eps, out);
    }
}
