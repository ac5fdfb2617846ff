//! A sign of life on a terminal while something takes long. Never where standard error is no terminal, nor where programs read.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::ProgressBar;

use super::args::Output;

/// How often the sign moves.
const TICK: Duration = Duration::from_millis(120);

/// A sign that is cleared when this goes away.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        if output == Output::Text && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(TICK);
            Self(bar)
        } else {
            Self(ProgressBar::hidden())
        }
    }

    /// Says what is being waited for.
    pub(super) fn say(&self, what: String) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
