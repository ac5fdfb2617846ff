//! Whether a frontend's wall clock can be relied on: it is compared with those of all key stores that answer.
//!
//! Never puts a clock right, and never takes one key store's clock for the truth: most of those that answer must agree.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::following::{Following, Line, Reader};
use super::limits::{ASK_WAIT_MAX, CLOCKS_EVERY};
use super::wire;
use crate::clock::Clock;
use crate::ids::GroupId;

/// By how much two clocks may differ.
const DIFFERENCE_MAX: Duration = Duration::from_secs(30);

/// What the clocks of key stores say about the own one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// At least half of those that answered show the same time within half a minute.
    Agrees,
    /// They do not.
    Differs,
}

impl<R: Reader> Following<R> {
    /// Compares the own clock with the key stores' until the future is dropped. While none answers the last word stands.
    pub(super) async fn compare_clocks(&self) {
        loop {
            let differences = join_all(self.lines.iter().map(|line| self.difference(line))).await;
            if let Some(agreement) = judged(differences.into_iter().flatten()) {
                self.reader.judge_clock(agreement);
            }
            sleep(CLOCKS_EVERY).await;
        }
    }

    /// By how much a key store's clock surely differs: what its answer may have taken on the way is in its favour.
    async fn difference(&self, line: &Line) -> Option<Duration> {
        let clock: &Arc<dyn Clock> = &self.clock;
        let question = wire::TimeQuestion { header: Some(self.header(GroupId::SYSTEM)) };
        let mut questions = line.questions.clone();
        let before = clock.wall().0;
        let answer = timeout(ASK_WAIT_MAX, questions.time(question)).await.ok()?.ok()?;
        let (after, told) = (clock.wall().0, answer.into_inner().wall_millis);
        line.answered();
        Some(Duration::from_millis(before.saturating_sub(told).max(told.saturating_sub(after))))
    }
}

fn judged(differences: impl Iterator<Item = Duration>) -> Option<Agreement> {
    let (mut near, mut all) = (0_usize, 0_usize);
    for difference in differences {
        all += 1;
        near += usize::from(difference <= DIFFERENCE_MAX);
    }
    let agreement = if 2 * near >= all { Agreement::Agrees } else { Agreement::Differs };
    (all > 0).then_some(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_those_that_answer_must_agree() {
        let judged = |seconds: &[u64]| judged(seconds.iter().map(|seconds| Duration::from_secs(*seconds)));
        assert_eq!(judged(&[]), None);
        for agreeing in [&[0][..], &[30], &[0, 7200], &[30, 0, 31], &[1, 2, 7200, 7200]] {
            assert_eq!(judged(agreeing), Some(Agreement::Agrees), "{agreeing:?}");
        }
        for differing in [&[31][..], &[7200, 7200, 0], &[7200; 6]] {
            assert_eq!(judged(differing), Some(Agreement::Differs), "{differing:?}");
        }
    }
}
