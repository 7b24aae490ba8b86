//! The line that tells of a case: what was counted and measured, and whether that is right.
//!
//! What is counted (lost, twice, stuck) is judged on any machine; lateness, time, CPU and memory only where the
//! machine is known to do nothing else.

use serde_json::{Value, json};
use std::fmt;

/// What a verdict depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// What is counted: on a machine that is shared.
    Counts,
    /// Also what is measured.
    Everything,
}

/// What became of one case. Its text is a line of JSON.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    scenario: &'static str,
    case: String,
    scale: f64,
    judged: Judged,
    /// In the order in which they were found.
    facts: Vec<(String, Value)>,
    /// Counts that are wrong.
    wrong: Vec<String>,
    /// Measurements that miss what they must reach.
    missed: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(scenario: &'static str, case: &str, scale: f64, judged: Judged) -> Self {
        Self {
            scenario,
            case: case.to_owned(),
            scale,
            judged,
            facts: Vec::new(),
            wrong: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// Something counted or measured.
    pub(crate) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Number(number) if number.is_f64() => {
                // Three digits are enough for any reader.
                let rounded = (number.as_f64().unwrap_or_default() * 1000.0).round() / 1000.0;
                json!(rounded)
            }
            other => other,
        };
        self.facts.push((name.to_owned(), value));
    }

    /// A count that must be right wherever this runs.
    pub(crate) fn count(&mut self, right: bool, otherwise: impl Into<String>) {
        if !right {
            self.wrong.push(otherwise.into());
        }
    }

    /// A count that must be exactly this.
    pub(crate) fn equal(&mut self, name: &str, found: usize, wanted: usize) {
        self.fact(name, found);
        self.count(found == wanted, format!("{name} is {found}, not {wanted}"));
    }

    /// A measurement that must be at most this.
    pub(crate) fn at_most(&mut self, name: &str, found: f64, bound: f64) {
        self.fact(name, found);
        if found.is_nan() || found > bound {
            self.missed
                .push(format!("{name} is {found:.3}, above {bound}"));
        }
    }

    /// A measurement that must be at least this.
    pub(crate) fn at_least(&mut self, name: &str, found: f64, bound: f64) {
        self.fact(name, found);
        if found.is_nan() || found < bound {
            self.missed
                .push(format!("{name} is {found:.3}, below {bound:.3}"));
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.wrong.is_empty() && (self.judged == Judged::Counts || self.missed.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "pass" } else { "fail" };
        write!(
            f,
            "{{\"scenario\":{},\"case\":{},\"verdict\":{}",
            json!(self.scenario),
            json!(self.case),
            json!(verdict)
        )?;
        for (name, list) in [("wrong", &self.wrong), ("missed", &self.missed)] {
            if !list.is_empty() {
                write!(f, ",\"{name}\":{}", json!(list))?;
            }
        }
        write!(f, ",\"scale\":{}", self.scale)?;
        for (name, value) in &self.facts {
            write!(f, ",{}:{value}", json!(name))?;
        }
        write!(f, "}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(judged: Judged) -> Verdict {
        Verdict::new("sleep", "light", 1.0, judged)
    }

    #[test]
    fn a_wrong_count_fails_everywhere_and_a_missed_figure_only_where_figures_are_judged() {
        for judged in [Judged::Counts, Judged::Everything] {
            let mut lost = verdict(judged);
            lost.equal("seen", 9, 10);
            assert!(!lost.passed());
            let mut late = verdict(judged);
            late.at_most("late_ms", 21.0, 20.0);
            assert_eq!(late.passed(), judged == Judged::Counts);
        }
    }

    #[test]
    fn a_figure_that_could_not_be_measured_is_missed() {
        let mut verdict = verdict(Judged::Everything);
        verdict.at_least("runs_s", f64::NAN, 1.0);
        assert!(!verdict.passed());
    }

    #[test]
    fn a_line_is_one_line_of_json() {
        let mut verdict = verdict(Judged::Everything);
        verdict.fact("note", "two\nlines");
        let line = verdict.to_string();
        assert_eq!(line.lines().count(), 1);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["verdict"], "pass");
    }
}
