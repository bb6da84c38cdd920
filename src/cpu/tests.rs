//! Every kernel of the processor beside its twin, on every instruction set that this processor has.

use super::*;
use crate::cancel::Cancel;
use crate::kernels;
use crate::kernels::attention::cache::HeadShape;
use crate::kernels::attention::{self, Mask, heads, weights};
use crate::kernels::check::{F32_LIMIT, compare, random};
use crate::kernels::product::{self, Act};
use crate::quant::{Format, Packed, padded_rows};

/// A byte of an activation is what a division gave; a value near a tie may become its neighbour.
const BYTES_LIMIT: f64 = 1e-3;

/// Tokens, rows, columns: what fits no panel, no block and no group of tokens, one of each, and
/// more than one stretch of columns.
const SHAPES: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (1, 64, 64),
    (2, 31, 63),
    (3, 33, 65),
    (4, 127, 128),
    (5, 700, 72),
    (9, 96, 588),
    (1, 96, 1100),
    (17, 96, 1100),
    (64, 128, 64),
    (70, 200, 136),
    (130, 65, 200),
];

fn isas() -> Vec<Isa> {
    let all: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_there()).collect();
    assert!(all.contains(&Isa::Plain) && all.contains(&Isa::best()));
    all
}

fn close(what: &str, got: &[f32], want: &[f32], limit: f64) {
    let check = compare(got, want, limit);
    assert!(check.ok, "{what}: {}", check.message);
}

fn run(product: Product, x: &[f32], store: Store, out: &mut [f32]) {
    product.run(x, store, out, &mut Scratch::default(), &Cancel::new());
}

/// A product of a case, its twin's result, and the matrix.
fn case(shape: (usize, usize, usize), format: Format) -> (Vec<f32>, Packed, Vec<f32>) {
    let (n, rows, cols) = shape;
    let packed = Packed::pack(format, &random(1, rows * cols), rows, cols);
    (random(2, n * cols), packed, random(3, rows))
}

#[test]
fn products_of_floats_equal_their_twin_in_every_format() {
    for (f, format) in Format::ALL.into_iter().enumerate() {
        for (i, shape) in SHAPES.into_iter().enumerate() {
            let (x, packed, bias) = case(shape, format);
            let w = Matrix::new(&packed, false);
            let (act, bias) =
                (Act::ALL[(f + i) % Act::ALL.len()], (i % 2 == 0).then_some(&bias[..]));
            let mut want = product::reference(&x, &packed, bias, act);
            let before = random(4, want.len());
            let store = if i % 4 < 2 { Store::Replace } else { Store::Add };
            if store == Store::Add {
                want.iter_mut().zip(&before).for_each(|(w, b)| *w += b);
            }
            for isa in isas() {
                let mut out = before.clone();
                run(Product { isa, w: &w, bias, act, rounds: true }, &x, store, &mut out);
                let what = format!("{} {shape:?} {}", format.name(), isa.name());
                close(&what, &out, &want, F32_LIMIT);
            }
        }
    }
}

#[test]
fn products_of_bytes_equal_their_twin() {
    for format in Format::SCALED {
        for shape in SHAPES {
            let (x, packed, bias) = case(shape, format);
            let w = Matrix::new(&packed, true);
            let want = product::bytes_reference(&x, &packed, Some(&bias), Act::None);
            for isa in isas() {
                let mut out = vec![f32::NAN; want.len()];
                let product =
                    Product { isa, w: &w, bias: Some(&bias), act: Act::None, rounds: true };
                run(product, &x, Store::Replace, &mut out);
                let what = format!("{} {shape:?} {}", format.name(), isa.name());
                close(&what, &out, &want, BYTES_LIMIT);
            }
        }
    }
}

/// Whether bytes are multiplied or floats.
#[test]
fn a_token_does_not_see_how_many_are_computed_with_it() {
    for format in Format::ALL {
        for rounds in [false, true] {
            let (n, rows, cols) = (27, 70, 1100);
            let (x, packed, bias) = case((n, rows, cols), format);
            let w = Matrix::new(&packed, true);
            for isa in isas() {
                let product =
                    Product { isa, w: &w, bias: Some(&bias), act: Act::QuickGelu, rounds };
                let mut all = vec![0.0; n * rows];
                run(product, &x, Store::Replace, &mut all);
                for m in 1..n {
                    let mut few = vec![0.0; m * rows];
                    run(product, &x[..m * cols], Store::Replace, &mut few);
                    assert!(few == all[..m * rows], "{} {} m = {m}", format.name(), isa.name());
                }
            }
        }
    }
}

#[test]
fn a_row_of_a_matrix_is_the_packed_one() {
    for format in Format::ALL {
        let (rows, cols) = (37, 135);
        let packed = Packed::pack(format, &random(7, rows * cols), rows, cols);
        let w = Matrix::new(&packed, false);
        for row in 0..rows {
            let mut got = vec![0.0; cols];
            w.row(row, &mut got);
            assert_eq!(got, packed.row(row), "{} row {row}", format.name());
        }
    }
}

#[test]
fn norms_and_swiglu_equal_their_twins() {
    for isa in isas() {
        for (n, cols) in [(1, 1), (2, 63), (3, 65), (5, 256), (2, 1021)] {
            // A mean far from zero shows a one-pass variance.
            let x: Vec<f32> = random(1, n * cols).iter().map(|v| v + 3.0).collect();
            let (weight, bias) = (random(2, cols), random(3, cols));
            let what = format!("{} {n}x{cols}", isa.name());
            let mut out = vec![0.0; n * cols];
            rms_norm(isa, &x, &weight, 1e-5, &mut out);
            close(&what, &out, &kernels::rms_norm::reference(&x, &weight, 1e-5), F32_LIMIT);
            for affine in [None, Some((&weight[..], &bias[..]))] {
                layer_norm(isa, &x, cols, affine, 1e-5, &mut out);
                let want = kernels::layer_norm::reference(&x, cols, affine, 1e-5);
                close(&what, &out, &want, F32_LIMIT);
            }
        }
        for (n, ffn) in [(1, 1), (2, 31), (3, 33), (2, 704)] {
            // Up to ±8: both tails of the sigmoid.
            let x: Vec<f32> = random(1, n * 2 * padded_rows(ffn)).iter().map(|v| v * 8.0).collect();
            let mut out = vec![0.0; n * ffn];
            swiglu(isa, &x, ffn, &mut out);
            close(isa.name(), &out, &kernels::swiglu::reference(&x, ffn), F32_LIMIT);
        }
    }
}

/// Queries after `position` others, in the parts that `cuts` says.
fn attended(isa: Isa, qkv: &[f32], shape: HeadShape, mask: Mask, cuts: &[usize]) -> Vec<f32> {
    let total = shape.sections().2;
    let rope = matches!(mask, Mask::Causal(_)).then(|| table(shape, qkv.len() / total));
    let mut kv = KvRows::new(shape);
    let (mut q, mut out, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 0;
    for &cut in cuts {
        let rows = &qkv[at * total..(at + cut) * total];
        kv.add(rows, rope.as_ref().map(|rope| &rope[at * shape.head_dim..]), &mut q);
        let mask = if rope.is_some() { Mask::Causal(at) } else { mask };
        attend(isa, &q, &kv, mask, &mut Memory::default(), &mut out, &Cancel::new());
        all.extend_from_slice(&out);
        at += cut;
    }
    all
}

fn table(shape: HeadShape, positions: usize) -> Vec<f32> {
    let half = shape.head_dim / 2;
    let freq: Vec<f64> =
        (0..half).map(|j| 10_000f64.powf(-2.0 * j as f64 / shape.head_dim as f64)).collect();
    heads::rope_table(&freq, positions)
}

const HEADS: [(usize, usize, usize); 6] =
    [(1, 1, 2), (4, 4, 64), (6, 3, 12), (5, 1, 24), (2, 1, 14), (3, 3, 128)];

#[test]
fn attention_equals_its_twin_and_does_not_see_the_parts_of_a_prompt() {
    for (i, (heads_n, kv_heads, head_dim)) in HEADS.into_iter().enumerate() {
        let shape = HeadShape { heads: heads_n, kv_heads, head_dim };
        let n = [1, 31, 33, 70, 300, 65][i];
        let qkv: Vec<f32> = random(9, n * shape.sections().2).iter().map(|v| v * 3.0).collect();
        for mask in [Mask::All(n), Mask::Causal(0)] {
            let rope = (mask == Mask::Causal(0)).then(|| table(shape, n));
            let (q, k, v) = heads::reference(&qkv, shape, rope.as_deref(), 0);
            let want = attention::reference(&q, &k, &v, shape, mask);
            for isa in isas() {
                let got = attended(isa, &qkv, shape, mask, &[n]);
                close(&format!("{} {shape:?} {mask:?}", isa.name()), &got, &want, F32_LIMIT);
                if mask == Mask::Causal(0) {
                    let parts: Vec<usize> =
                        std::iter::once(n / 2).chain(vec![1; n - n / 2]).collect();
                    let parts: Vec<usize> = parts.into_iter().filter(|n| *n > 0).collect();
                    assert!(attended(isa, &qkv, shape, mask, &parts) == got, "{shape:?} in parts");
                }
            }
        }
    }
}

/// The first queries look at nothing before them, later ones in parts of any size.
#[test]
fn weights_of_attention_equal_their_twin() {
    for (i, (heads_n, kv_heads, head_dim)) in HEADS.into_iter().enumerate() {
        let shape = HeadShape { heads: heads_n, kv_heads, head_dim };
        let (n, total) = ([1, 31, 33, 70, 300, 65][i], shape.sections().2);
        let qkv: Vec<f32> = random(9, n * total).iter().map(|v| v * 3.0).collect();
        let rope = table(shape, n);
        let (q, k, _) = heads::reference(&qkv, shape, Some(&rope), 0);
        let mut kv = KvRows::new(shape);
        for (from, to) in [(0, n / 2), (n / 2, n)] {
            let mut turned = Vec::new();
            kv.add(&qkv[from * total..to * total], Some(&rope[from * head_dim..]), &mut turned);
            let width = heads_n * head_dim;
            let want = weights::reference(&q[from * width..to * width], &k, shape, from);
            let mut got = random(3, want.len());
            let added: Vec<f32> = got.iter().zip(&want).map(|(a, b)| a + b * 0.5).collect();
            attention_weights(&turned, &kv, from, 0.5, &mut got);
            close(&format!("{shape:?} from {from}"), &got, &added, F32_LIMIT);
        }
    }
}

#[test]
fn forgotten_positions_leave_nothing_behind() {
    let shape = HeadShape { heads: 2, kv_heads: 2, head_dim: 8 };
    let (qkv, total) = (random(3, 40 * shape.sections().2), shape.sections().2);
    let (mut kv, mut q) = (KvRows::new(shape), Vec::new());
    let run = |kv: &KvRows, q: &[f32]| {
        let mut out = Vec::new();
        let memory = &mut Memory::default();
        attend(Isa::best(), q, kv, Mask::Causal(10), memory, &mut out, &Cancel::new());
        out
    };
    kv.add(&qkv[..10 * total], None, &mut q);
    kv.add(&qkv[10 * total..12 * total], None, &mut q);
    let want = run(&kv, &q);
    kv.add(&qkv[12 * total..], None, &mut q);
    kv.truncate(10);
    kv.add(&qkv[10 * total..12 * total], None, &mut q);
    assert!(run(&kv, &q) == want);
}

#[test]
fn mixing_equals_its_twin_for_any_number_of_tokens() {
    for (heads, head_dim, m_max, patches) in [(1, 1, 1, 1), (2, 33, 9, 35), (4, 48, 64, 300)] {
        let cols = heads * head_dim;
        let (map, values) = (random(1, heads * m_max * patches), random(2, patches * cols));
        for isa in isas() {
            let all = mix(isa, (&map, heads, m_max), &values, cols, m_max);
            let want = kernels::mix::reference(&map, heads, m_max, &values, cols, m_max);
            close(isa.name(), &all, &want, F32_LIMIT);
            for n in 1..m_max {
                let few = mix(isa, (&map, heads, m_max), &values, cols, n);
                assert!(few == all[..n * cols], "{} n = {n}", isa.name());
            }
        }
    }
}

#[test]
fn a_cancelled_product_computes_nothing_more() {
    let (x, packed, _) = case((3, 700, 64), Format::Q4);
    let w = Matrix::new(&packed, true);
    let cancel = Cancel::new();
    cancel.cancel();
    for rounds in [false, true] {
        let product = Product { isa: Isa::best(), w: &w, bias: None, act: Act::None, rounds };
        let mut out = vec![1.0; 3 * 700];
        product.run(&x, Store::Replace, &mut out, &mut Scratch::default(), &cancel);
        assert!(
            out.iter().all(|v| *v == 0.0),
            "sums that were not computed are the memory's zeros"
        );
    }
}
