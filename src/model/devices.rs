//! Where a model runs and why: which device answers its questions faster, from what was measured
//! with it before.

use super::{Arithmetic, LoadOptions, Model, Opened};
use crate::budget::Speed;
use crate::cpu;
use crate::gpu::{AdapterInfo, Choices, Gpu, Learned, Reason};

/// A typical answer: one picture, so many prompt tokens, so many generated tokens.
const TYPICAL: (usize, usize) = (64, 24);

/// The key for a model's speeds: they depend on the arithmetic, the model, the format, the number
/// of threads and the instruction set.
pub(super) fn speed_key(opened: &Opened, arithmetic: Arithmetic) -> String {
    let sha256 = &opened.sha256;
    // Random weights have a shape's name and no hash.
    let model = if sha256.is_empty() { &opened.name } else { &sha256[..12.min(sha256.len())] };
    let (threads, isa) = (cpu::threads(), cpu::Isa::chosen().name());
    format!("{arithmetic} {model} {} {threads} threads {isa}", opened.weights)
}

/// How many times as fast as the processor an adapter answers; `None` unless both were measured.
pub(super) fn times_as_fast(choices: &Choices, key: &str, adapter: &AdapterInfo) -> Option<f64> {
    let known = |info: &AdapterInfo| choices.get(&info.key())?.speeds.get(key)?.typical_ms();
    Some(known(&AdapterInfo::cpu())? / known(adapter)?)
}

impl Speed {
    /// Milliseconds of a typical answer: one picture, 64 prompt tokens, 24 generated ones; `None`
    /// before all of that was measured.
    pub fn typical_ms(&self) -> Option<f64> {
        let (prompt, generated) = TYPICAL;
        let decode = self.decode_ms_per_token? * generated as f64;
        Some(self.encode_ms? + self.first_token_ms(prompt)? + decode)
    }
}

impl Opened {
    /// How fast this model was on a device before, if [`LoadOptions::choices`] say so.
    pub fn measured(&self, options: &LoadOptions, device: &AdapterInfo) -> Option<Speed> {
        let key = speed_key(self, options.arithmetic);
        options.choices.get(&device.key())?.speeds.get(&key).cloned()
    }
}

impl Model {
    /// Why it runs where it runs.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Whether it runs on the processor because no adapter could be used.
    pub fn fell_back_to_cpu(&self) -> bool {
        self.reason == Reason::NoAdapter
    }

    /// How many kernels the device has compiled so far: work that ran while this number grew says
    /// nothing about the device's speed. 0 on the processor.
    pub fn compiled(&self) -> usize {
        self.gpu().map_or(0, Gpu::pipeline_count)
    }

    /// What was learned about this device so far: for [`super::LoadOptions::choices`] next time.
    pub fn learned(&self) -> Learned {
        self.gpu().map(Gpu::learned).unwrap_or_default()
    }

    /// These speeds as what was learned about the device in use: for
    /// [`super::LoadOptions::choices`] next time. Nothing, before a picture, a prompt and an answer
    /// have been measured.
    pub fn learned_speed(&self, speed: &Speed) -> Learned {
        let mut learned = Learned::default();
        if speed.typical_ms().is_some() {
            learned.speeds.insert(self.speed_key.clone(), speed.clone());
        }
        learned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(encode: f64, prefill: f64, decode: f64) -> Speed {
        Speed {
            encode_ms: Some(encode),
            prefill_ms_per_token: Some(prefill),
            prefill_ms: 0.0,
            decode_ms_per_token: Some(decode),
        }
    }

    #[test]
    fn devices_are_compared_by_a_typical_answer() {
        let adapter = AdapterInfo { name: "soft".into(), ..AdapterInfo::cpu() };
        let learned = |speed: Speed| Learned {
            speeds: [("model".to_owned(), speed)].into(),
            ..Learned::default()
        };
        let mut choices = Choices::new();
        choices.insert(AdapterInfo::cpu().key(), learned(speed(10.0, 1.0, 1.0)));
        assert_eq!(times_as_fast(&choices, "model", &adapter), None);
        choices.insert(adapter.key(), learned(Speed { encode_ms: None, ..speed(0.0, 1.0, 1.0) }));
        assert_eq!(times_as_fast(&choices, "model", &adapter), None);
        // (10 + 64 + 24) against (100 + 64 + 24 · 1.333…).
        choices.insert(adapter.key(), learned(speed(100.0, 1.0, 4.0 / 3.0)));
        assert_eq!(times_as_fast(&choices, "model", &adapter), Some(0.5));
        assert_eq!(times_as_fast(&choices, "another model", &adapter), None);
    }
}
