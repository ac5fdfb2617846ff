//! Whether a deny entry holds: it needs no quorum, so its end is a time that it names itself, or a lift in the log.
//!
//! Never certain near its end: two clocks need not agree about that.

use std::time::Duration;

use crate::clock::Timestamp;

/// By how much the clocks of machines that may refuse for good differ at most.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(30);

/// Whether an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Force {
    /// It does: what it names is refused, for good on a fresh machine.
    Holds,
    /// It may have ended: what it names is told to try again.
    Unclear,
    /// It has ended.
    Over,
}

/// Whether the log that this machine has applied lifts an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lift {
    /// It does not.
    None,
    /// It does.
    Lifted,
}

/// Whether an entry that ends at `expires` holds at `now`, by this machine's wall clock.
pub fn force(expires: Timestamp, lift: Lift, now: Timestamp) -> Force {
    match lift {
        Lift::Lifted => return Force::Over,
        Lift::None => {}
    }
    let apart = u64::try_from(CLOCKS_APART_MAX.as_millis()).unwrap_or(u64::MAX);
    if now.0.saturating_add(apart) < expires.0 {
        Force::Holds
    } else if now.0 > expires.0.saturating_add(apart) {
        Force::Over
    } else {
        Force::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_its_end_nobody_is_sure_of_an_entry() {
        let (minute, expires) = (60_000, Timestamp(600_000));
        let at = |millis| force(expires, Lift::None, Timestamp(millis));
        assert_eq!([at(0), at(569_999)], [Force::Holds; 2]);
        assert_eq!([at(570_000), at(600_000), at(630_000)], [Force::Unclear; 3]);
        assert_eq!([at(630_001), at(u64::MAX)], [Force::Over; 2]);
        assert_eq!(force(expires, Lift::Lifted, Timestamp(minute)), Force::Over);
    }
}
