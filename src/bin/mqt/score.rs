//! How many answers are right: exact match, for each m and kind of question.

use crate::eval::Question;
use crate::exact::Key;
use crate::ledger::{Answers, Ledger};
use mqt::internals::untrusted;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A table of exact matches in percent: a row per kind and one for all, a column per m.
pub(crate) fn table(questions: &[&Question], tokens: &[u64], answers: &Answers) -> String {
    let mut rows: BTreeMap<&str, Vec<&Question>> = BTreeMap::new();
    let keyed: Vec<&Question> =
        questions.iter().copied().filter(|question| question.answer.is_some()).collect();
    for question in &keyed {
        if let Some(kind) = &question.kind {
            rows.entry(kind).or_default().push(question);
        }
    }
    if keyed.is_empty() {
        return "no question has an answer to compare with".into();
    }
    let rows: Vec<_> = rows.into_iter().map(|(kind, questions)| (cell(kind), questions)).collect();
    let width = rows
        .iter()
        .map(|(kind, _)| kind.chars().count())
        .max()
        .unwrap_or(0)
        .max("exact match".len());
    let mut table = format!("{:<width$} {:>9}", "exact match", "questions");
    for m in tokens {
        // Where a picture gave fewer, the m asked for is a bound.
        let given = keyed.iter().filter_map(|question| answers.get(question, *m));
        let sign = if given.into_iter().all(|g| g.image_tokens == *m) { '=' } else { '≤' };
        let _ = write!(table, " {:>8}", format!("m {sign} {m}"));
    }
    for (kind, questions) in rows.into_iter().chain([("all".into(), keyed)]) {
        let _ = write!(table, "\n{kind:<width$} {:>9}", questions.len());
        for &m in tokens {
            let share = share(&questions, m, answers)
                .map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
            let _ = write!(table, " {share:>8}");
        }
    }
    table
}

/// A kind as it stands in the table: on one line, and short.
fn cell(kind: &str) -> String {
    untrusted::cut(&untrusted::one_line(kind), 40)
}

/// The share of right answers among those given.
#[expect(clippy::cast_precision_loss, reason = "counts of questions are far below 2^52")]
fn share(questions: &[&Question], m: u64, answers: &Answers) -> Option<f64> {
    let judge = |question: &&Question| {
        answers.get(question, m).map(|given| is_right(question.answer.as_ref(), &given.text))
    };
    let judged: Vec<bool> = questions.iter().filter_map(judge).collect();
    let right = judged.iter().filter(|&&right| right).count();
    if judged.is_empty() { None } else { Some(right as f64 / judged.len() as f64) }
}

fn is_right(want: Option<&Key>, got: &str) -> bool {
    want.is_some_and(|Key(text)| plain(text) == plain(got))
}

/// Case, white space around it and a final full stop do not count.
fn plain(text: &str) -> String {
    let text = text.trim();
    text.strip_suffix('.').unwrap_or(text).trim_end().to_lowercase()
}

/// `--summary`: the same in JSON, with times.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    schema: &'static str,
    model_id: String,
    questions: usize,
    /// Rising in m.
    pub(crate) budgets: Vec<Row>,
}

/// One m.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The m asked for.
    pub(crate) image_tokens: u64,
    /// Mean of the image tokens that were used: pictures may give fewer; null without an answer.
    mean_image_tokens: Option<f64>,
    answered: usize,
    /// Exact matches among the answered questions with a key; null without a key.
    pub(crate) accuracy: Option<f64>,
    accuracy_by_kind: BTreeMap<String, f64>,
    /// Mean milliseconds from the question to the answer's end; null where none was noted.
    pub(crate) milliseconds: Option<f64>,
}

impl Row {
    /// The m that was used, on average.
    #[expect(clippy::cast_precision_loss, reason = "m is far below 2^52")]
    pub(crate) fn m(&self) -> f64 {
        self.mean_image_tokens.unwrap_or(self.image_tokens as f64)
    }
}

impl Summary {
    /// Of these questions, as far as they are answered.
    #[expect(clippy::cast_precision_loss, reason = "m is far below 2^52")]
    pub(crate) fn new(ledger: &Ledger, questions: &[&Question], tokens: &[u64]) -> Summary {
        let keyed: Vec<&Question> =
            questions.iter().copied().filter(|q| q.answer.is_some()).collect();
        let mut kinds: BTreeMap<&str, Vec<&Question>> = BTreeMap::new();
        for question in &keyed {
            if let Some(kind) = &question.kind {
                kinds.entry(kind).or_default().push(question);
            }
        }
        let row = |&m: &u64| {
            let given: Vec<_> =
                questions.iter().filter_map(|question| ledger.answers.get(question, m)).collect();
            let used: Vec<f64> = given.iter().map(|given| given.image_tokens as f64).collect();
            let times: Vec<f64> = given.iter().filter_map(|given| given.milliseconds).collect();
            Row {
                image_tokens: m,
                mean_image_tokens: mean(&used),
                answered: given.len(),
                accuracy: share(&keyed, m, &ledger.answers),
                accuracy_by_kind: kinds
                    .iter()
                    .filter_map(|(kind, q)| {
                        Some(((*kind).to_owned(), share(q, m, &ledger.answers)?))
                    })
                    .collect(),
                milliseconds: mean(&times),
            }
        };
        Summary {
            schema: "mqt.eval/1",
            model_id: ledger.model_id.clone().unwrap_or_default(),
            questions: questions.len(),
            budgets: tokens.iter().map(row).collect(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of questions are far below 2^52")]
fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Given;
    use serde_json::json;

    #[test]
    fn what_counts_as_right() {
        let right = |want: &str, got| is_right(Some(&Key(want.into())), got);
        assert!(right("a red circle", " A red circle.\n"));
        assert!(right("3.", "3"));
        assert!(right("3", "3."));
        assert!(!right("a red circle", "red circle"));
        assert!(!right("no", ""));
        assert!(!is_right(None, ""));
    }

    #[test]
    fn the_table() {
        let question = |id: u64, answer: Option<&str>, kind: Option<&str>| {
            serde_json::from_value::<Question>(json!({"question_id": id, "image": "a.png", "text": "?", "answer": answer, "kind": kind})).unwrap()
        };
        let questions = [
            question(1, Some("yes"), Some("exists")),
            question(2, Some("2"), Some("count")),
            question(3, Some("3"), Some("count")),
        ];
        let questions: Vec<&Question> = questions.iter().collect();
        let mut answers = Answers::default();
        for (id, m, text) in [(1, 2, "no"), (1, 4, "Yes."), (2, 2, "2"), (2, 4, "2"), (3, 2, "4")] {
            answers.insert(
                questions[id - 1],
                m,
                Given { text: text.to_owned(), image_tokens: m, milliseconds: None },
            );
        }
        let want = "exact match questions    m = 2    m = 4\n\
                    count               2   50.0 %  100.0 %\n\
                    exists              1    0.0 %  100.0 %\n\
                    all                 3   33.3 %  100.0 %";
        assert_eq!(table(&questions, &[2, 4], &answers), want);
        let fewer = Given { text: "2".into(), image_tokens: 3, milliseconds: None };
        answers.insert(questions[2], 4, fewer);
        assert!(table(&questions, &[2, 4], &answers).contains("    m = 2    m ≤ 4\n"));
        let hostile = question(4, Some("4"), Some("a\nall 100 %\x1b[2J"));
        assert!(
            table(&[&hostile], &[2], &answers)
                .contains("\na all 100 %\\x1b[2J         1        -\n")
        );
        assert_eq!(
            table(&[&question(1, None, None)], &[2], &answers),
            "no question has an answer to compare with"
        );
    }
}
