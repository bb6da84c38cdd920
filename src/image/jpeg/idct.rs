//! Coefficients → 8 × 8 samples, by libjpeg's accurate integer transform (`jidctint.c`), bit for
//! bit.
//!
//! Written for eight lanes of 16 bits, as libjpeg-turbo's SIMD version is: sums wrap, and the
//! values between the passes saturate, in the same places. Compilers turn the loops over lanes into
//! SIMD.

use super::scan::Block;

/// Bits of fraction of the constants.
const BITS: u32 = 13;
/// Bits of fraction kept between the two passes.
const PASS_BITS: u32 = 2;

const F_0_298: i32 = 2446;
const F_0_390: i32 = 3196;
const F_0_541: i32 = 4433;
const F_0_765: i32 = 6270;
const F_0_899: i32 = 7373;
const F_1_175: i32 = 9633;
const F_1_501: i32 = 12299;
const F_1_847: i32 = 15137;
const F_1_961: i32 = 16069;
const F_2_053: i32 = 16819;
const F_2_562: i32 = 20995;
const F_3_072: i32 = 25172;

/// Eight rows of eight.
type Square = [[i16; 8]; 8];

/// A block into `samples`, whose rows lie `stride` apart.
pub(super) fn idct(block: &Block, quant: &[u16; 64], samples: &mut [u8], stride: usize) {
    let mut square = [[0; 8]; 8];
    for (row, (block, quant)) in
        square.iter_mut().zip(block.chunks_exact(8).zip(quant.chunks_exact(8)))
    {
        for ((value, &coefficient), &step) in row.iter_mut().zip(block).zip(quant) {
            *value = coefficient.wrapping_mul(step as i16);
        }
    }
    let columns = transposed(&pass::<{ BITS - PASS_BITS }>(&square));
    let rows = transposed(&pass::<{ BITS + PASS_BITS + 3 }>(&columns));
    for (y, row) in rows.iter().enumerate() {
        let out = &mut samples[y * stride..][..8];
        for (sample, &value) in out.iter_mut().zip(row) {
            *sample = (value.clamp(-128, 127) + 128) as u8;
        }
    }
}

/// The same for a block with nothing but a DC value.
pub(super) fn idct_flat(dc: i16, quant: u16, samples: &mut [u8], stride: usize) {
    let value = i32::from(dc.wrapping_mul(quant as i16)) << PASS_BITS;
    let value = value.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
    let sample =
        (((value + (1 << (PASS_BITS + 2))) >> (PASS_BITS + 3)).clamp(-128, 127) + 128) as u8;
    for y in 0..8 {
        samples[y * stride..][..8].fill(sample);
    }
}

fn transposed(square: &Square) -> Square {
    std::array::from_fn(|y| std::array::from_fn(|x| square[x][y]))
}

/// Down each column; `SHIFT` bits are rounded off.
#[inline(always)]
fn pass<const SHIFT: u32>(c: &Square) -> Square {
    let mut out = [[0; 8]; 8];
    for i in 0..8 {
        let at = |k: usize| i32::from(c[k][i]);
        let sum = |a: usize, b: usize| i32::from(c[a][i].wrapping_add(c[b][i]));

        let even0 = sum(0, 4) << BITS;
        let even1 = i32::from(c[0][i].wrapping_sub(c[4][i])) << BITS;
        let even2 = at(2) * F_0_541 + at(6) * (F_0_541 - F_1_847);
        let even3 = at(2) * (F_0_541 + F_0_765) + at(6) * F_0_541;
        let even = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];

        let (z3, z4) = (sum(7, 3), sum(5, 1));
        let (y3, y4) =
            (z3 * (F_1_175 - F_1_961) + z4 * F_1_175, z3 * F_1_175 + z4 * (F_1_175 - F_0_390));
        let odd = [
            at(1) * (F_1_501 - F_0_899) - at(7) * F_0_899 + y4,
            at(3) * (F_3_072 - F_2_562) - at(5) * F_2_562 + y3,
            at(5) * (F_2_053 - F_2_562) - at(3) * F_2_562 + y4,
            at(7) * (F_0_298 - F_0_899) - at(1) * F_0_899 + y3,
        ];
        let narrow = |value: i32| {
            ((value + (1 << (SHIFT - 1))) >> SHIFT).clamp(i32::from(i16::MIN), i32::from(i16::MAX))
                as i16
        };
        for k in 0..4 {
            out[k][i] = narrow(even[k] + odd[k]);
            out[7 - k][i] = narrow(even[k] - odd[k]);
        }
    }
    out
}
