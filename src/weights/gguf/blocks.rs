//! How GGUF files store values: each type's name and block, and one function per type that decodes
//! a block into floats, bit for bit as the PyPI package `gguf` does. Upstream: ggml's
//! `ggml-common.h` for the layouts, `gguf-py/gguf/quants.py` for the order of operations.

use half::{bf16, f16};

/// A type whose values can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 32-bit floats.
    F32,
    /// Halves.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// 32 codes of 4 bits, scale.
    Q4_0,
    /// 32 codes of 4 bits, scale and least value.
    Q4_1,
    /// 32 codes of 5 bits, scale.
    Q5_0,
    /// 32 codes of 5 bits, scale and least value.
    Q5_1,
    /// 32 codes of 8 bits, scale.
    Q8_0,
    /// 256 codes of 4 bits; 8 scales and least values of 6 bits.
    Q4K,
    /// 256 codes of 5 bits; 8 scales and least values of 6 bits.
    Q5K,
    /// 256 codes of 6 bits; 16 scales of 8 bits.
    Q6K,
}

/// A type that GGUF knows, whether its values can be decoded here or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its number in the file.
    pub id: u32,
    /// Its name as llama.cpp writes it.
    pub name: &'static str,
    /// Values of a block.
    pub values: usize,
    /// Bytes of a block.
    pub bytes: usize,
    /// How to decode it; `None`: it is not read.
    pub decoded: Option<Type>,
}

const fn kind(
    id: u32,
    name: &'static str,
    values: usize,
    bytes: usize,
    decoded: Option<Type>,
) -> Kind {
    Kind { id, name, values, bytes, decoded }
}

/// Every type of GGUF.
const KINDS: [Kind; 34] = [
    kind(0, "F32", 1, 4, Some(Type::F32)),
    kind(1, "F16", 1, 2, Some(Type::F16)),
    kind(2, "Q4_0", 32, 18, Some(Type::Q4_0)),
    kind(3, "Q4_1", 32, 20, Some(Type::Q4_1)),
    kind(6, "Q5_0", 32, 22, Some(Type::Q5_0)),
    kind(7, "Q5_1", 32, 24, Some(Type::Q5_1)),
    kind(8, "Q8_0", 32, 34, Some(Type::Q8_0)),
    kind(9, "Q8_1", 32, 40, None),
    kind(10, "Q2_K", 256, 84, None),
    kind(11, "Q3_K", 256, 110, None),
    kind(12, "Q4_K", 256, 144, Some(Type::Q4K)),
    kind(13, "Q5_K", 256, 176, Some(Type::Q5K)),
    kind(14, "Q6_K", 256, 210, Some(Type::Q6K)),
    kind(15, "Q8_K", 256, 292, None),
    kind(16, "IQ2_XXS", 256, 66, None),
    kind(17, "IQ2_XS", 256, 74, None),
    kind(18, "IQ3_XXS", 256, 98, None),
    kind(19, "IQ1_S", 256, 50, None),
    kind(20, "IQ4_NL", 32, 18, None),
    kind(21, "IQ3_S", 256, 110, None),
    kind(22, "IQ2_S", 256, 82, None),
    kind(23, "IQ4_XS", 256, 136, None),
    kind(24, "I8", 1, 1, None),
    kind(25, "I16", 1, 2, None),
    kind(26, "I32", 1, 4, None),
    kind(27, "I64", 1, 8, None),
    kind(28, "F64", 1, 8, None),
    kind(29, "IQ1_M", 256, 56, None),
    kind(30, "BF16", 1, 2, Some(Type::Bf16)),
    kind(34, "TQ1_0", 256, 54, None),
    kind(35, "TQ2_0", 256, 66, None),
    kind(39, "MXFP4", 32, 17, None),
    kind(40, "NVFP4", 64, 36, None),
    kind(41, "Q1_0", 128, 18, None),
];

impl Kind {
    /// The type with this number.
    pub fn of(id: u32) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.id == id)
    }

    /// The names of all types that are read.
    pub fn read() -> String {
        let names: Vec<_> = KINDS.iter().filter(|k| k.decoded.is_some()).map(|k| k.name).collect();
        names.join(", ")
    }
}

impl Type {
    /// The type with this name.
    pub fn named(name: &str) -> Option<Type> {
        KINDS.iter().find(|kind| kind.name == name)?.decoded
    }

    /// Values and bytes of a block.
    fn block(self) -> (usize, usize) {
        KINDS
            .iter()
            .find(|kind| kind.decoded == Some(self))
            .map_or((1, 4), |kind| (kind.values, kind.bytes))
    }

    /// Bytes of `values` values, whole blocks of them.
    pub fn bytes(self, values: usize) -> usize {
        let (block, bytes) = self.block();
        values / block * bytes
    }

    /// Decodes whole blocks: `out` is as long as `bytes` says.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Type::F32 => floats(bytes, out, f32::from_le_bytes),
            Type::F16 => floats(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            Type::Bf16 => floats(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            Type::Q4_0 => self.blocks(bytes, out, q4_0),
            Type::Q4_1 => self.blocks(bytes, out, q4_1),
            Type::Q5_0 => self.blocks(bytes, out, q5_0),
            Type::Q5_1 => self.blocks(bytes, out, q5_1),
            Type::Q8_0 => self.blocks(bytes, out, q8_0),
            Type::Q4K => self.blocks(bytes, out, q4_k),
            Type::Q5K => self.blocks(bytes, out, q5_k),
            Type::Q6K => self.blocks(bytes, out, q6_k),
        }
    }

    fn blocks(self, bytes: &[u8], out: &mut [f32], decode: impl Fn(&[u8], &mut [f32])) {
        let (values, size) = self.block();
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(values)) {
            decode(block, out);
        }
    }
}

/// Decodes values of `N` bytes each.
fn floats<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = decode(*bytes);
    }
}

/// The half at the beginning of `bytes`.
fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// The word at the beginning of `bytes`.
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// scale, 16 bytes: value i in the low half of byte i, value i + 16 in the high one.
fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    for (i, byte) in block[2..].iter().enumerate() {
        out[i] = scale * (f32::from(byte & 15) - 8.0);
        out[i + 16] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

/// scale, least value, 16 bytes as in [`q4_0`].
fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block), half(&block[2..]));
    for (i, byte) in block[4..].iter().enumerate() {
        out[i] = scale * f32::from(byte & 15) + least;
        out[i + 16] = scale * f32::from(byte >> 4) + least;
    }
}

/// The codes of 5 bits: `high` has the fifth bit of value i at i, the bytes are as in [`q4_0`].
fn five_bits(high: u32, low: &[u8], mut put: impl FnMut(usize, f32)) {
    for (i, byte) in low.iter().enumerate() {
        let fifth = |at: usize| ((high >> at & 1) << 4) as u8;
        put(i, f32::from(byte & 15 | fifth(i)));
        put(i + 16, f32::from(byte >> 4 | fifth(i + 16)));
    }
}

/// scale, fifth bits, 16 bytes.
fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    five_bits(word(&block[2..]), &block[6..], |i, code| out[i] = scale * (code - 16.0));
}

/// scale, least value, fifth bits, 16 bytes.
fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block), half(&block[2..]));
    five_bits(word(&block[4..]), &block[8..], |i, code| out[i] = scale * code + least);
}

/// scale, 32 signed bytes.
fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block);
    for (out, byte) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(byte.cast_signed()) * scale;
    }
}

/// Scale and least value of the eight parts of a block: 6 bits each in 12 bytes. The first four
/// scales lie in bytes 0 to 3, their least values in 4 to 7; the upper two bits of those bytes and
/// the two halves of bytes 8 to 11 are the other four.
fn scales(packed: &[u8], part: usize) -> (f32, f32) {
    let i = part % 4;
    let (low, high, rest) = (packed[i], packed[i + 4], packed[i + 8]);
    let (scale, least) = if part < 4 {
        (low & 63, high & 63)
    } else {
        (rest & 15 | low >> 2 & 48, rest >> 4 | high >> 2 & 48)
    };
    (f32::from(scale), f32::from(least))
}

/// Scale and least value of the scales, the scales, 128 bytes: each 32 of them hold two parts, one
/// in their low halves, one in their high ones.
fn q4_k(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block), half(&block[2..]));
    let (packed, codes) = (&block[4..16], &block[16..]);
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, l) = scales(packed, part);
        let (s, l) = (scale * s, least * l);
        for (out, byte) in out.iter_mut().zip(&codes[part / 2 * 32..]) {
            *out = s * f32::from(byte >> (part % 2 * 4) & 15) - l;
        }
    }
}

/// As [`q4_k`], with the fifth bits of part p in bit p of 32 bytes before the others.
fn q5_k(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block), half(&block[2..]));
    let (packed, fifth, codes) = (&block[4..16], &block[16..48], &block[48..]);
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, l) = scales(packed, part);
        let (s, l) = (scale * s, least * l);
        for ((out, byte), high) in out.iter_mut().zip(&codes[part / 2 * 32..]).zip(fifth) {
            let code = byte >> (part % 2 * 4) & 15 | (high >> part & 1) << 4;
            *out = s * f32::from(code) - l;
        }
    }
}

/// 128 bytes of low and 64 of high bits, 16 signed scales, scale of the scales. Each half of the
/// block has 64 of the low bytes, used twice, and 32 of the high ones, used four times.
fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half(&block[208..]);
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let (side, k) = (part / 4, part % 4);
        let (low, high) = (&low[side * 64 + k % 2 * 32..], &high[side * 32..]);
        for (i, out) in out.iter_mut().enumerate() {
            let code = low[i] >> (k / 2 * 4) & 15 | (high[i] >> (2 * k) & 3) << 4;
            let s = scale * f32::from(scales[part * 2 + i / 16].cast_signed());
            *out = s * (f32::from(code) - 32.0);
        }
    }
}
