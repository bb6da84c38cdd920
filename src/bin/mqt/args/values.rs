//! Values of flags, as they are typed.

use mqt::gpu::AdapterChoice;
use mqt::text::TemplateChoice;

/// `-m`: `auto` or a number; whether the model offers it is known once it is loaded.
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

pub(super) fn template(text: &str) -> std::result::Result<TemplateChoice, String> {
    text.parse()
}

fn number<T: std::str::FromStr + PartialOrd>(
    text: &str,
    good: impl Fn(&T) -> bool,
    want: &str,
) -> std::result::Result<T, String> {
    text.parse().ok().filter(good).ok_or_else(|| format!("give {want}"))
}

/// A wait in seconds: at most a day.
pub(super) fn seconds(text: &str) -> std::result::Result<f64, String> {
    number(text, |&n: &f64| n > 0.0 && n <= 86_400.0, "a number of seconds above 0, at most 86400")
}

/// A wait between two pictures, `5` or `5s`.
pub(super) fn every(text: &str) -> std::result::Result<f64, String> {
    seconds(text.strip_suffix('s').unwrap_or(text))
}

/// Frames of a clip: as many as a conversation may have pictures.
pub(super) fn frames(text: &str) -> std::result::Result<usize, String> {
    number(text, |n| (1..=256).contains(n), "a whole number, 1 to 256")
}

/// A wait in milliseconds: at most a day.
pub(super) fn milliseconds(text: &str) -> std::result::Result<f64, String> {
    number(
        text,
        |&n: &f64| n > 0.0 && n <= 86_400_000.0,
        "a number of milliseconds above 0, at most 86400000",
    )
}

/// A size in millions of bytes: at most a terabyte.
pub(super) fn megabytes(text: &str) -> std::result::Result<f64, String> {
    number(text, |&n: &f64| n > 0.0 && n <= 1e6, "a number of megabytes above 0, at most 1000000")
}

/// An address to listen on.
pub(super) fn address(text: &str) -> std::result::Result<std::net::IpAddr, String> {
    text.parse().map_err(|_| "give an address in numbers, such as 127.0.0.1 or ::1".into())
}

/// A port to listen on; 0 is any.
pub(super) fn port(text: &str) -> std::result::Result<u16, String> {
    number(text, |_| true, "a port's number, 0 to 65535")
}

/// How many requests may wait.
pub(super) fn waiting(text: &str) -> std::result::Result<usize, String> {
    number(text, |n| (1..=100_000).contains(n), "a whole number, 1 to 100000")
}

pub(super) fn temperature(text: &str) -> std::result::Result<f32, String> {
    number(text, |&n: &f32| (0.0..=100.0).contains(&n), "a number from 0 to 100")
}

pub(super) fn penalty(text: &str) -> std::result::Result<f32, String> {
    number(text, |&n: &f32| (0.01..=100.0).contains(&n), "a number from 0.01 to 100")
}

pub(super) fn probability(text: &str) -> std::result::Result<f32, String> {
    number(text, |&n: &f32| n > 0.0 && n <= 1.0, "a number above 0, at most 1")
}

/// A number of image tokens; whether the model offers it is known once it is loaded.
pub(super) fn image_tokens(text: &str) -> std::result::Result<u64, String> {
    number(text, |_| true, "a whole number, 1 to the model's M")
}

/// A whole number, as large as they come.
pub(super) fn whole(text: &str) -> std::result::Result<u64, String> {
    number(text, |_| true, "a whole number, 0 to 18446744073709551615")
}

/// A whole number above 0.
pub(super) fn positive(text: &str) -> std::result::Result<u32, String> {
    number(text, |&n: &u32| n > 0, "a whole number, 1 to 4294967295")
}

/// A whole number that may be 0.
pub(super) fn count(text: &str) -> std::result::Result<usize, String> {
    number(text, |&n: &usize| u32::try_from(n).is_ok(), "a whole number, 0 to 4294967295")
}
