//! Renewed certificates without a restart: looks at the files of every listener, takes what is whole and valid, and tells
//! what is not, and what is about to expire. It must never take half of a change, and never end a connection.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use replication::clock::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::tls::{Identity, ServerTls, TlsError};
use super::tls_files::Content;
use crate::metrics::{ListenerLabel, Metrics, ReloadResult};

/// How often the files are looked at, unless the settings say otherwise. A change is taken when it is met twice in the same
/// form, so within two of these.
pub const LOOK_EVERY_DEFAULT: Duration = Duration::from_secs(5);

/// A certificate this near its end should have been renewed: an ERROR is told. For one of a short life it is a quarter of that.
const SOON_MAX: Duration = Duration::from_hours(14 * 24);
const SOON_SHARE: u32 = 4;
/// The last ERROR before it ends. For one of a short life it is a sixteenth of that.
const CLOSE_MAX: Duration = Duration::from_hours(2 * 24);
const CLOSE_SHARE: u32 = 16;

/// Why the files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It is time. Whoever changes files may be half-way: what differs is taken when it has stood still.
    Routine,
    /// Somebody says that the change is made: it is taken at once.
    Asked,
}

/// What a look came to.
#[derive(Debug)]
enum Looked {
    /// The files hold what is in use.
    Unchanged,
    /// The files have just changed.
    Settling,
    /// Handshakes from now on use what the files hold.
    Taken,
    /// What the files hold cannot be used; what was in use still is.
    Refused(TlsError),
    /// The same as at the look before.
    StillRefused,
}

/// How near its end a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Far,
    Soon,
    Close,
    Past,
}

/// The files of one listener, and what was told about them.
pub struct Renewal {
    listener: ListenerLabel,
    tls: ServerTls,
    metrics: Arc<Metrics>,
    /// What differed from what is in use, when it was last looked at.
    seen: Option<Content>,
    refused: Option<(Content, String)>,
    told: End,
}

impl Renewal {
    /// Of a listener whose files have just been loaded.
    pub fn new(listener: ListenerLabel, tls: ServerTls, metrics: Arc<Metrics>) -> Self {
        Self { listener, tls, metrics, seen: None, refused: None, told: End::Far }
    }

    /// Looks once. Blocking: it reads files.
    fn look(&mut self, why: Look, now: Timestamp) -> Looked {
        let texts = self.tls.read();
        let content = texts.content();
        if content == self.tls.content() {
            (self.seen, self.refused) = (None, None);
            return Looked::Unchanged;
        }
        let stands_still = self.seen.replace(content) == Some(content);
        if why == Look::Routine && !stands_still {
            return Looked::Settling;
        }
        match self.tls.take(texts, now) {
            Ok(()) => {
                (self.seen, self.refused, self.told) = (None, None, End::Far);
                self.metrics.certificate_reload(self.listener, ReloadResult::Taken);
                Looked::Taken
            }
            // tried again at every look: what is not valid yet will be
            Err(error) => {
                let refused = Some((content, error.to_string()));
                if self.refused == refused {
                    return Looked::StillRefused;
                }
                self.refused = refused;
                self.metrics.certificate_reload(self.listener, ReloadResult::Refused);
                Looked::Refused(error)
            }
        }
    }

    /// Whether the end of what is in use has come nearer than was told.
    fn nearer(&mut self, now: Timestamp) -> Option<End> {
        let end = end_of(&self.tls.identity(), now);
        (std::mem::replace(&mut self.told, end) < end).then_some(end)
    }

    fn look_and_tell(&mut self, why: Look, now: Timestamp) {
        let listener = self.listener.text();
        match self.look(why, now) {
            Looked::Unchanged | Looked::Settling | Looked::StillRefused => {}
            Looked::Taken => {
                let days_left = self.tls.identity().left(now).as_secs() / 86_400;
                tracing::info!(listener, days_left, "a renewed certificate is in use from the next handshake on");
            }
            Looked::Refused(error) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(listener, %error, cause, "a changed certificate is not taken; the one before stays in use, and the files are looked at again");
            }
        }
        if let Some(end) = self.nearer(now) {
            let hours_left = self.tls.identity().left(now).as_secs() / 3600;
            let said = match end {
                End::Far | End::Soon | End::Close => "the certificate in use expires soon; renew its files",
                End::Past => "the certificate in use has expired: every client refuses it; renew its files",
            };
            tracing::error!(listener, hours_left, "{said}");
        }
    }
}

fn end_of(identity: &Identity, now: Timestamp) -> End {
    let (left, lifetime) = (identity.left(now), identity.lifetime());
    if left.is_zero() {
        End::Past
    } else if left <= CLOSE_MAX.min(lifetime / CLOSE_SHARE) {
        End::Close
    } else if left <= SOON_MAX.min(lifetime / SOON_SHARE) {
        End::Soon
    } else {
        End::Far
    }
}

/// Looks at the files of all listeners at once and then again and again, also when `asked`, until the future is dropped.
pub async fn keep(mut renewals: Vec<Renewal>, every: Duration, clock: Arc<dyn Clock>, asked: Arc<Notify>) {
    let mut why = Look::Routine;
    loop {
        let now = clock.wall();
        // a file may lie on a disk that does not answer
        let looking = tokio::task::spawn_blocking(move || {
            for renewal in &mut renewals {
                renewal.look_and_tell(why, now);
            }
            renewals
        });
        renewals = match looking.await {
            Ok(renewals) => renewals,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // the runtime ends
                Err(_) => return,
            },
        };
        why = tokio::select! {
            () = sleep(every) => Look::Routine,
            () = asked.notified() => Look::Asked,
        };
    }
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
