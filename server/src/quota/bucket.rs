//! One bucket: how much of a quota is used at a moment. Pure arithmetic on whole numbers, so nothing is lost by rounding.
//!
//! What is used is counted in billionths of a request: at `n` requests a second, exactly `n` of them drain in a nanosecond.
//! It must never hold more than the burst, which is why one that refuses has room for a request within a second.

use std::time::Duration;

use replication::clock::Moment;
use replication::ids::Revision;
use replication::machine::rows::Quota;

/// A bucket that refuses has room again after this long at the latest: it is full at most, and the least quota is one request
/// a second.
pub const ROOM_WITHIN: Duration = Duration::from_secs(1);

/// One request.
const REQUEST: u64 = 1_000_000_000;

/// How much of one level's quota is used.
#[derive(Debug)]
pub(super) struct Bucket {
    quota: Quota,
    /// The tenant's revision that the quota is taken from.
    revision: Revision,
    /// Billionths of requests: at most the burst's, which fits, since a burst is a `u32`.
    used: u64,
    at: Moment,
}

impl Bucket {
    /// One of which nothing is used.
    pub(super) fn new(quota: Quota, revision: Revision, now: Moment) -> Self {
        Self { quota, revision, used: 0, at: now }
    }

    /// Lets flow off what has flowed off, at the pace that held until now, and takes over the quota of a later revision: what was
    /// used stays used, up to the new burst. A request that was resolved before a change and comes here after it is judged by the
    /// later quota.
    pub(super) fn follow(&mut self, quota: Quota, revision: Revision, now: Moment) {
        self.drain(now);
        if revision > self.revision {
            self.revision = revision;
            self.quota = quota;
            self.used = self.used.min(self.full());
        }
    }

    /// What it goes by.
    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    /// Whether one more request fits, as of the last [`Self::follow`].
    pub(super) fn has_room(&self) -> bool {
        self.full() - self.used >= REQUEST
    }

    /// Counts one request, of which [`Self::has_room`] has said that it fits.
    pub(super) fn take(&mut self) {
        self.used += REQUEST;
    }

    /// Whether nothing of it is used: then it is worth no more than none.
    pub(super) fn is_drained(&mut self, now: Moment) -> bool {
        self.drain(now);
        self.used == 0
    }

    /// A moment before the last one, which a thread may bring that read the clock and was overtaken, drains nothing.
    fn drain(&mut self, now: Moment) {
        let nanoseconds = u64::try_from(now.since(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.used = self.used.saturating_sub(nanoseconds.saturating_mul(self.quota.per_second.get().into()));
        self.at = self.at.max(now);
    }

    fn full(&self) -> u64 {
        u64::from(self.quota.burst.get()) * REQUEST
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quota(per_second: u32, burst: u32) -> Quota {
        let number = |number: u32| number.try_into().expect("the tests' quotas are not zero");
        Quota { per_second: number(per_second), burst: number(burst) }
    }

    fn moment(nanoseconds: u64) -> Moment {
        Moment::since_origin(Duration::from_nanos(nanoseconds))
    }

    fn ask(bucket: &mut Bucket, quota: Quota, revision: u64, now: u64) -> bool {
        bucket.follow(quota, Revision(revision), moment(now));
        let fits = bucket.has_room();
        if fits {
            bucket.take();
        }
        fits
    }

    /// How many are let in of many that ask at once.
    fn at_once(bucket: &mut Bucket, quota: Quota, revision: u64, now: u64) -> u32 {
        (0..10_000).map(|_| u32::from(ask(bucket, quota, revision, now))).sum()
    }

    /// Whether one more at `now` would be too many for some stretch of time that ends then, by the definition: never more than
    /// the burst and what flows in during the stretch. `since` is when the quota began to hold, with this much used.
    fn is_too_many(let_in: &[u64], quota: Quota, now: u64, (since, used): (u64, u128)) -> bool {
        let burst = u128::from(quota.burst.get()) * u128::from(REQUEST);
        let flowed = |from: u64| u128::from(now - from) * u128::from(quota.per_second.get());
        let asked = |count: usize| (count as u128 + 1) * u128::from(REQUEST);
        let by_stretch =
            let_in.iter().enumerate().any(|(first, from)| asked(let_in.len() - first) > burst + flowed(*from));
        by_stretch || asked(let_in.len()) + used > burst + flowed(since)
    }

    fn gaps() -> impl Strategy<Value = Vec<u64>> {
        let gap = prop_oneof![3 => Just(0), 3 => 0..2_000_000_u64, 2 => 0..1_500_000_000_u64];
        prop::collection::vec(gap, 1..120)
    }

    proptest! {
        #[test]
        fn lets_in_all_that_the_definition_allows_and_not_one_more(
            per_second in 1..3000_u32, burst in 1..20_u32, gaps in gaps()
        ) {
            let quota = quota(per_second, burst);
            let mut bucket = Bucket::new(quota, Revision(1), moment(0));
            let (mut now, mut let_in) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                let expected = !is_too_many(&let_in, quota, now, (0, 0));
                prop_assert_eq!(ask(&mut bucket, quota, 1, now), expected, "at {} after {:?}", now, let_in);
                if expected {
                    let_in.push(now);
                }
            }
        }

        #[test]
        fn a_change_forgives_nothing_and_grants_no_fresh_burst(
            before in (1..3000_u32, 1..20_u32), after in (1..3000_u32, 1..20_u32), gaps in gaps(), later in gaps()
        ) {
            let (before, after) = (quota(before.0, before.1), quota(after.0, after.1));
            let mut bucket = Bucket::new(before, Revision(1), moment(0));
            let mut now = 0;
            for gap in gaps {
                now += gap;
                ask(&mut bucket, before, 1, now);
            }
            let used = u128::from(bucket.used.min(u64::from(after.burst.get()) * REQUEST));
            let changed = now;
            bucket.follow(after, Revision(2), moment(changed));
            let mut let_in = Vec::new();
            for gap in later {
                now += gap;
                let expected = !is_too_many(&let_in, after, now, (changed, used));
                // what an overtaken request brings back from before the change changes nothing
                bucket.follow(before, Revision(1), moment(now));
                prop_assert_eq!(ask(&mut bucket, after, 2, now), expected, "at {} after {:?}", now, let_in);
                if expected {
                    let_in.push(now);
                }
            }
        }

        #[test]
        fn one_that_refuses_has_room_within_a_second(
            before in (1..u32::MAX, 1..50_u32), after in (1..u32::MAX, 1..50_u32), gap in 0..2_000_000_000_u64
        ) {
            let (before, after) = (quota(before.0, before.1), quota(after.0, after.1));
            let mut bucket = Bucket::new(before, Revision(1), moment(0));
            while ask(&mut bucket, before, 1, 0) {}
            while ask(&mut bucket, after, 2, gap) {}
            let later = gap + u64::try_from(ROOM_WITHIN.as_nanos()).expect("a second is short");
            prop_assert!(ask(&mut bucket, after, 2, later));
        }
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_gives_nothing() {
        let quota = quota(1_000_000, 3);
        let mut bucket = Bucket::new(quota, Revision(1), moment(5_000));
        assert_eq!(at_once(&mut bucket, quota, 1, 5_000), 3);
        assert_eq!(at_once(&mut bucket, quota, 1, 5_000), 0, "it stands");
        assert_eq!(at_once(&mut bucket, quota, 1, 0), 0, "it goes back");
        assert_eq!(at_once(&mut bucket, quota, 1, 5_999), 0, "what went back is not counted twice");
        assert_eq!(at_once(&mut bucket, quota, 1, 6_000), 1);
        assert_eq!(at_once(&mut bucket, quota, 1, u64::MAX), 3, "never more than the burst");
    }

    #[test]
    fn the_largest_quota_overflows_nowhere() {
        let largest = quota(u32::MAX, u32::MAX);
        let mut bucket = Bucket::new(largest, Revision(1), moment(0));
        bucket.used = bucket.full() - REQUEST;
        assert!(ask(&mut bucket, largest, 1, 0));
        assert!(!ask(&mut bucket, largest, 1, 0));
        assert!(bucket.is_drained(moment(u64::MAX)));
        assert!(bucket.is_drained(Moment::since_origin(Duration::MAX)));
    }

    #[test]
    fn a_raised_quota_helps_at_once_and_a_lowered_one_binds_at_once() {
        let (slow, fast) = (quota(1, 60), quota(1000, 100));
        let mut bucket = Bucket::new(slow, Revision(1), moment(0));
        assert_eq!(at_once(&mut bucket, slow, 1, 0), 60);
        assert_eq!(at_once(&mut bucket, fast, 2, 0), 40, "the new burst, less what was used");
        assert_eq!(at_once(&mut bucket, fast, 2, 10_000_000), 10, "at the new pace");
        assert_eq!(at_once(&mut bucket, slow, 3, 10_000_000), 0);
        assert_eq!(
            at_once(&mut bucket, slow, 3, 3_010_000_000),
            3,
            "and nobody pays for ever for what was allowed before"
        );
    }
}
