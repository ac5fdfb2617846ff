//! How a run shows that it lives, on standard error: a bar on a terminal, a line now and then elsewhere. Never on standard output,
//! which is the report's.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::tally::{Tally, Worth};

/// Where there is no terminal, a line this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The display of one run.
pub enum Progress {
    /// A bar that is drawn over and over.
    Bar(ProgressBar),
    /// Lines; the time of the last.
    Lines { duration: Duration, last: Duration },
}

impl Progress {
    /// A display for a run of this length.
    pub fn new(duration: Duration) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { duration, last: Duration::ZERO };
        }
        let bar = ProgressBar::new(millis(duration));
        let style = ProgressStyle::with_template("{elapsed} {wide_bar} {msg}").expect("the template is a right one");
        bar.set_style(style);
        Self::Bar(bar)
    }

    /// Shows how far the run is.
    pub fn show(&mut self, elapsed: Duration, tally: &Tally) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(millis(elapsed));
                bar.set_message(words(tally));
            }
            Self::Lines { duration, last } if elapsed >= *last + LINE_EVERY => {
                *last = elapsed;
                let (elapsed, duration) = (elapsed.as_secs(), duration.as_secs());
                // a closed terminal leaves nobody to tell
                drop(writeln!(io::stderr(), "{elapsed} of {duration} s: {}", words(tally)));
            }
            Self::Lines { .. } => {}
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn words(tally: &Tally) -> String {
    let count = |worth: Worth| {
        tally.sum(|one| match worth {
            Worth::Right => one.right,
            Worth::Error => one.errors,
            Worth::Wrong => one.wrong,
        })
    };
    let late = Duration::from_micros(tally.lateness.value_at_quantile(0.99));
    format!(
        "{} right, {} errors, {} wrong, {} unsent, late by {:.1} ms at p99",
        count(Worth::Right),
        count(Worth::Error),
        count(Worth::Wrong),
        tally.unsent,
        late.as_secs_f64() * 1000.0
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_how_it_goes() {
        let tally = Tally::new(Duration::from_secs(1), Duration::from_millis(90));
        assert_eq!(words(&tally), "0 right, 0 errors, 0 wrong, 0 unsent, late by 0.0 ms at p99");
    }
}
