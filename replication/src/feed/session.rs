//! One group followed at one key store, for as long as it answers and no better one is there.
//!
//! An answer counts from when its question was sent, with the key store's own age added, and once everything that it covers is in use.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::Status;

use super::denied;
use super::excerpt::{ExcerptError, Incoming, Mark};
use super::following::{Following, Line, Reader, Seen};
use super::limits::{ASK_WAIT_MAX, BEGIN_WAIT_MAX, FORMAT, OUT_OF_TOUCH_MAX, PREFER_EVERY, SILENCES_MAX};
use super::wire;
use super::wire::part::Part;
use super::{CONFIRM_EVERY, NEWS_WITHIN};
use crate::causes;
use crate::directory::View;
use crate::freshness::{Confirmation, FRESH_MAX, Finality};
use crate::ids::{GroupId, LogIndex, ShardId, TenantId};
use crate::machine::digest::Digest;
use crate::machine::state::{RowChange, State};

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Another key store is preferred, or is in touch where this one is not.
    BetterAt(usize),
    /// The key store is away, or what it sends cannot be used.
    Lost {
        /// Whether anything of it was used.
        was_read: bool,
        /// Why, for a person.
        why: String,
    },
}

/// Why a key store is left.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the key store does not answer")]
    Call(#[from] Status),
    #[error("the key store did not begin within {BEGIN_WAIT_MAX:?}")]
    Late,
    #[error("the key store gave no answer {SILENCES_MAX} times")]
    Silent,
    #[error("the key store ended the stream")]
    Over,
    #[error(
        "what the key store sends is not laid out as it must be; it may be of a newer release than format {FORMAT}"
    )]
    Malformed,
    #[error("what the key store sends is not used")]
    Excerpt(#[from] ExcerptError),
}

/// One group at one key store.
pub(super) struct Session<'a, R> {
    pub(super) following: &'a Following<R>,
    pub(super) group: GroupId,
    /// Which key store, by its place in the order of preference.
    pub(super) at: usize,
}

/// What the question that is asked next must know by then.
struct Asking {
    active: AtomicU64,
    /// A question is on its way.
    is_asking: AtomicBool,
}

impl Asking {
    fn of(seen: &Seen) -> Self {
        Self { active: AtomicU64::new(seen.follower.active().0), is_asking: AtomicBool::new(false) }
    }

    fn active(&self) -> LogIndex {
        LogIndex(self.active.load(Ordering::Relaxed))
    }
}

/// What the key store said, with when it was asked.
struct Answer {
    confirmation: Option<Confirmation>,
    is_in_touch: bool,
}

impl<R: Reader> Session<'_, R> {
    pub(super) async fn run(&self, seen: &mut Seen, publish: &mut impl FnMut(&View)) -> Ended {
        let before = seen.mark;
        match self.follow(seen, publish).await {
            Ok(better) => Ended::BetterAt(better),
            Err(trouble) => {
                let (replica, group) = (self.line().replica, self.group);
                let why = causes::in_one_line(&trouble);
                tracing::debug!(%replica, %group, why, "a key store is left for the next one");
                Ended::Lost { was_read: seen.mark != before, why }
            }
        }
    }

    fn line(&self) -> &Line {
        &self.following.lines[self.at]
    }

    async fn follow(&self, seen: &mut Seen, publish: &mut impl FnMut(&View)) -> Result<usize, Trouble> {
        let start = wire::Start {
            header: Some(self.following.header(self.group)),
            have: seen.mark.map(|mark| wire::Mark { index: mark.index.0, digest: mark.digest.as_bytes().to_vec() }),
            key: self.following.public_key.to_vec(),
        };
        let mut rows = self.line().rows.clone();
        let begun = timeout(BEGIN_WAIT_MAX, rows.follow(start)).await.map_err(|_| Trouble::Late)?;
        let mut parts = begun?.into_inner();
        self.line().answered();
        let (mut incoming, mut silences) = (None, 0);
        let now = Asking::of(seen);
        let mut asking = pin!(self.ask_after(Duration::ZERO, &now));
        let mut looking = pin!(self.look_elsewhere(PREFER_EVERY, &now, self.at));
        let mut has_news = false;
        let mut in_touch = self.following.clock.now();
        loop {
            tokio::select! {
                part = parts.message() => {
                    let part = part?.and_then(|part| part.part).ok_or(Trouble::Over)?;
                    if self.take(part, &mut incoming, seen)? {
                        if let Some(view) = seen.view() {
                            publish(&view);
                        }
                        now.active.store(seen.follower.active().0, Ordering::Relaxed);
                        // a question that is under way is let come to its end
                        has_news = now.is_asking.load(Ordering::Relaxed);
                        if !has_news {
                            asking.set(self.ask_after(NEWS_WITHIN, &now));
                        }
                    }
                }
                answer = &mut asking => {
                    let heard = self.following.clock.now();
                    match answer {
                        Ok(answer) => {
                            silences = 0;
                            if answer.is_in_touch {
                                in_touch = heard;
                            }
                            if let Some(confirmation) = answer.confirmation {
                                seen.follower.answered(confirmation);
                            }
                            if let Some(view) = seen.view() {
                                publish(&view);
                            }
                        }
                        Err(_) if silences + 1 < SILENCES_MAX => silences += 1,
                        Err(_) => return Err(Trouble::Silent),
                    }
                    if heard.since(in_touch) > OUT_OF_TOUCH_MAX {
                        in_touch = heard;
                        looking.set(self.look_elsewhere(Duration::ZERO, &now, self.following.lines.len()));
                    }
                    let pause = if std::mem::take(&mut has_news) { NEWS_WITHIN } else { CONFIRM_EVERY };
                    asking.set(self.ask_after(pause, &now));
                }
                better = &mut looking => {
                    if let Some(better) = better {
                        return Ok(better);
                    }
                    looking.set(self.look_elsewhere(PREFER_EVERY, &now, self.at));
                }
            }
        }
    }

    /// Takes a part over; gives whether something new is in use.
    fn take(&self, part: Part, incoming: &mut Option<Incoming>, seen: &mut Seen) -> Result<bool, Trouble> {
        match part {
            Part::Begin(wire::Begin { anew, index }) => {
                let nothing = State::empty();
                let base = if anew { &nothing } else { &seen.state };
                *incoming = Some(Incoming::begin(base, LogIndex(index), seen.mark)?);
            }
            Part::Keys(wire::Keys { keys }) => {
                let shard = ShardId::of(self.group).ok_or(Trouble::Malformed)?;
                let read = |key: wire::TenantKey| Some((key.tenant.parse::<TenantId>().ok()?, key.sealed));
                let keys: Option<Vec<_>> = keys.into_iter().map(read).collect();
                self.following.reader.take_keys(shard, keys.ok_or(Trouble::Malformed)?);
            }
            Part::DenyEntries(wire::DenyEntries { entries }) => {
                if self.group != GroupId::SYSTEM {
                    return Err(Trouble::Malformed);
                }
                let entries: Option<Vec<_>> = entries.into_iter().map(denied::from_wire).collect();
                self.following.reader.take_deny_entries(entries.ok_or(Trouble::Malformed)?);
            }
            Part::Rows(wire::Rows { rows }) => {
                let changes = rows.into_iter().map(|wire::Row { key, value }| RowChange { key, value });
                incoming.as_mut().ok_or(Trouble::Malformed)?.take(changes.collect())?;
            }
            Part::End(wire::End { mark, rows }) => {
                let mark = mark.ok_or(Trouble::Malformed)?;
                let digest = mark.digest.try_into().map_err(|_| Trouble::Malformed)?;
                let mark = Mark { index: LogIndex(mark.index), digest: Digest::from_bytes(digest) };
                let incoming = incoming.take().ok_or(Trouble::Malformed)?;
                seen.state = incoming.end(rows, mark, (self.following.own.lineage, self.group))?;
                seen.mark = Some(mark);
                seen.follower.reached(mark.index);
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn ask_after(&self, pause: Duration, now: &Asking) -> Result<Answer, Status> {
        now.is_asking.store(false, Ordering::Relaxed);
        sleep(pause).await;
        now.is_asking.store(true, Ordering::Relaxed);
        self.ask(self.line(), now.active()).await
    }

    /// Asks a key store how fresh it is, having come as far as `active`.
    async fn ask(&self, line: &Line, active: LogIndex) -> Result<Answer, Status> {
        let question = wire::Question { header: Some(self.following.header(self.group)), active: active.0 };
        let asked = self.following.clock.now();
        let mut questions = line.questions.clone();
        let answer = timeout(ASK_WAIT_MAX, questions.ask(question)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??.into_inner();
        line.answered();
        let age = answer.age_millis.map(Duration::from_millis);
        let confirmation = age.map(|age| {
            let index = LogIndex(answer.index);
            Confirmation { asked, age, index, finality: Finality::Whole }
        });
        Ok(Answer { confirmation, is_in_touch: age.is_some_and(|age| age <= FRESH_MAX) })
    }

    /// Whether a key store before `end` in the order of preference is in touch.
    async fn look_elsewhere(&self, pause: Duration, now: &Asking, end: usize) -> Option<usize> {
        sleep(pause).await;
        for (place, line) in self.following.lines[..end].iter().enumerate() {
            if place != self.at && self.ask(line, now.active()).await.is_ok_and(|answer| answer.is_in_touch) {
                return Some(place);
            }
        }
        None
    }
}
