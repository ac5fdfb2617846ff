//! What a diagnosis has noted so far: findings, each once, and what was looked at. Decides nothing.

use super::{Finding, Severity};

/// What one diagnosis has noted.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) findings: Vec<Finding>,
    pub(super) looked_at: Vec<String>,
    pub(super) not_looked_at: Vec<String>,
}

impl Notes {
    pub(super) fn broken(&mut self, what: impl Into<String>, hurts: &str, todo: impl Into<String>) {
        self.add(Severity::Broken, what, hurts, todo);
    }

    pub(super) fn warning(&mut self, what: impl Into<String>, hurts: &str, todo: impl Into<String>) {
        self.add(Severity::Warning, what, hurts, todo);
    }

    fn add(&mut self, severity: Severity, what: impl Into<String>, hurts: &str, todo: impl Into<String>) {
        let (what, todo) = (what.into(), todo.into());
        if self.findings.iter().all(|known| known.what != what) {
            self.findings.push(Finding { severity, what, hurts: hurts.to_owned(), todo });
        }
    }

    /// Whether another source told of it already.
    pub(super) fn told(&self, beginning: &str) -> bool {
        self.findings.iter().any(|known| known.what.starts_with(beginning))
    }

    pub(super) fn looked(&mut self, at: &str) {
        self.looked_at.push(at.to_owned());
    }
}
