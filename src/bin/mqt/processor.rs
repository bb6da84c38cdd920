//! What the program may use of the processor: `--threads`, and the variables MQT_THREADS and
//! MQT_CPU.

use crate::failure::{Failure, Result};
use clap::Args;
use mqt::internals::cpu::{self, Isa};
use mqt::internals::untrusted;

/// More would only wait for each other.
const MOST_THREADS: usize = 1024;

#[derive(Debug, Args)]
pub(crate) struct ProcessorArgs {
    /// Threads on the processor [default: MQT_THREADS, or one for each core]
    #[arg(long, global = true, value_name = "N", allow_hyphen_values = true, value_parser = number)]
    pub(crate) threads: Option<usize>,
}

impl ProcessorArgs {
    /// Makes the library use what was asked for, before anything is computed.
    pub(crate) fn apply(&self) -> Result<()> {
        let threads = match self.threads {
            Some(threads) => Some(threads),
            None => variable("MQT_THREADS", number)?,
        };
        if let Some(threads) = threads {
            cpu::use_threads(threads);
        }
        if let Some(isa) = variable("MQT_CPU", isa)?
            && !Isa::force(isa)
        {
            let there = named(Isa::ALL.into_iter().filter(|isa| isa.is_there()));
            let why = format!("MQT_CPU is {:?}, and this processor has {there}", isa.name());
            return Err(Failure::usage(why));
        }
        Ok(())
    }
}

/// A variable of the environment, unless it is empty or not there.
fn variable<T>(
    name: &str,
    read: impl Fn(&str) -> std::result::Result<T, String>,
) -> Result<Option<T>> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let value = value.to_string_lossy();
    read(&value).map(Some).map_err(|want| {
        let value = untrusted::cut(&value, 40);
        Failure::usage(format!("{name} is {value:?}, which is not {want}"))
    })
}

fn number(text: &str) -> std::result::Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=MOST_THREADS).contains(n));
    number.ok_or_else(|| format!("a whole number, 1 to {MOST_THREADS}"))
}

fn isa(text: &str) -> std::result::Result<Isa, String> {
    let is_it = |isa: &Isa| isa.name() == text;
    Isa::ALL.into_iter().find(is_it).ok_or_else(|| format!("one of {}", named(Isa::ALL)))
}

/// The names of these, with commas.
fn named(sets: impl IntoIterator<Item = Isa>) -> String {
    sets.into_iter().map(Isa::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_threads_have_bounds() {
        assert_eq!(number("8"), Ok(8));
        for text in ["0", "-1", "1025", "all", ""] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instruction_sets_have_names() {
        assert_eq!(isa("avx2"), Ok(Isa::Avx2));
        assert_eq!(
            isa("AVX-512"),
            Err("one of plain, simd128, neon, dotprod, avx2, avx512".into())
        );
        let elsewhere = Isa::ALL.into_iter().filter(|isa| !isa.is_there());
        assert!(elsewhere.into_iter().all(|isa| !Isa::force(isa)));
    }
}
