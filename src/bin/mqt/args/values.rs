//! Values of flags, as they are typed.

use mqt::gpu::AdapterChoice;

/// `-m`: `auto` or a number; whether the model has so many is known once it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    Auto,
    Fixed(u64),
}

/// Reads `auto` or a number.
pub(crate) fn tokens(text: &str) -> std::result::Result<Tokens, String> {
    match text {
        "auto" => Ok(Tokens::Auto),
        _ => text.parse().map(Tokens::Fixed).map_err(|_| "give `auto` or a whole number".into()),
    }
}

pub(super) fn adapter(text: &str) -> std::result::Result<AdapterChoice, std::convert::Infallible> {
    text.parse()
}

fn number<T: std::str::FromStr + PartialOrd>(text: &str, good: impl Fn(&T) -> bool, want: &str) -> std::result::Result<T, String> {
    text.parse().ok().filter(good).ok_or_else(|| format!("give {want}"))
}

pub(super) fn positive(text: &str) -> std::result::Result<f64, String> {
    number(text, |&n: &f64| n > 0.0 && n.is_finite(), "a number above 0")
}

/// A wait in seconds: at most a day.
pub(super) fn seconds(text: &str) -> std::result::Result<f64, String> {
    number(text, |&n: &f64| n > 0.0 && n <= 86_400.0, "a number of seconds above 0, at most 86400")
}

pub(super) fn positive_f32(text: &str) -> std::result::Result<f32, String> {
    number(text, |&n: &f32| n > 0.0 && n.is_finite(), "a number above 0")
}

pub(super) fn not_negative(text: &str) -> std::result::Result<f32, String> {
    number(text, |&n: &f32| n >= 0.0 && n.is_finite(), "0 or a number above it")
}

pub(super) fn probability(text: &str) -> std::result::Result<f32, String> {
    number(text, |&n: &f32| n > 0.0 && n <= 1.0, "a number above 0, at most 1")
}
