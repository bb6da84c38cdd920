//! Words that follow a number.

/// `1 answer`, `2 answers`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// `12 ms` or `1.25 s`.
pub(crate) fn time(ms: f64) -> String {
    if ms < 99.5 { format!("{ms:.0} ms") } else { format!("{:.2} s", ms / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_time_is_not_nothing() {
        assert_eq!(
            [0.0, 4.4, 99.4, 99.5, 1250.0].map(time),
            ["0 ms", "4 ms", "99 ms", "0.10 s", "1.25 s"]
        );
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!(
            [0, 1, 2].map(|count| counted(count, "answer")),
            ["0 answers", "1 answer", "2 answers"]
        );
    }
}
