//! What is asked when: every arrival of a run, decided before the run by its seed and its settings. Pure: the same plan twice
//! gives the same arrivals, and no answer changes what is asked next.

use std::time::Duration;

use super::habits::{HABITS, Habit};
use super::weighted::{Choice, Size, Weighted};

/// What an arrival asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Wraps a fresh plaintext.
    Wrap,
    /// Unwraps a blob that this run wrapped, and expects its plaintext.
    Unwrap,
    /// Unwraps such a blob under other associated data, and expects a refusal.
    OtherData,
    /// Sends no token, and expects a refusal.
    NoToken,
}

impl Operation {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Wrap, Self::Unwrap, Self::OtherData, Self::NoToken];

    /// Its name in a mix and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::OtherData => "other-aad",
            Self::NoToken => "no-token",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

impl Choice for Operation {
    const ALLOWED: &'static str = "wrap, unwrap, other-aad, no-token";

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == text)
    }
}

/// How arrivals are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Spread {
    /// At random, as from many callers that know nothing of each other.
    Poisson,
    /// All the same distance apart.
    Even,
}

/// Everything that decides the arrivals.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// Arrivals a second.
    pub rate: f64,
    pub duration: Duration,
    pub spread: Spread,
    pub mix: Weighted<Operation>,
    /// Of plaintexts.
    pub sizes: Weighted<Size>,
    /// Of associated data.
    pub associated_sizes: Weighted<Size>,
    /// How many keys there are; the first is the hot one.
    pub keys: usize,
    /// The share of arrivals that the hot key gets, 0 to 1; the others share the rest evenly.
    pub hot_share: f64,
    pub habits: Weighted<&'static Habit>,
}

/// One call that will be made.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// From the start of the run: the intended start of the call, which its latency counts from.
    pub at: Duration,
    pub operation: Operation,
    pub key: usize,
    pub habit: &'static Habit,
    /// Of the plaintext, in bytes.
    pub size: Size,
    /// Of the associated data, in bytes.
    pub associated_size: Size,
    /// For everything that is chosen later: bytes, blob, caller, reason.
    pub choice: u64,
}

impl Plan {
    /// How the habits are weighted if all are wanted.
    pub fn all_habits() -> Weighted<&'static Habit> {
        Weighted::new(HABITS.iter().map(|habit| (habit, habit.weight)).collect())
            .expect("the table of habits is short, and its weights are not all zero")
    }

    /// How many arrivals are asked for: the rate times the duration. With [`Spread::Poisson`] their number varies around it.
    pub fn asked(&self) -> f64 {
        self.rate * self.duration.as_secs_f64()
    }

    /// The arrivals in the order of time, until the duration is over.
    pub fn arrivals(&self) -> Arrivals<'_> {
        // times and contents come from two sources, so that another mix leaves the times as they are
        Arrivals {
            plan: self,
            times: fastrand::Rng::with_seed(self.seed),
            contents: fastrand::Rng::with_seed(self.seed ^ 0x5eed_c0de),
            number: 0,
            last: 0.0,
        }
    }
}

/// The arrivals of a plan.
pub struct Arrivals<'a> {
    plan: &'a Plan,
    times: fastrand::Rng,
    contents: fastrand::Rng,
    number: u64,
    last: f64,
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let seconds = match self.plan.spread {
            #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 arrivals")]
            Spread::Even => self.number as f64 / self.plan.rate,
            // the distance to the next of a Poisson process; 1 - [0, 1) is never zero
            Spread::Poisson => self.last - (1.0 - self.times.f64()).ln() / self.plan.rate,
        };
        if seconds >= self.plan.duration.as_secs_f64() {
            return None;
        }
        self.number += 1;
        self.last = seconds;
        Some(self.arrival(Duration::from_secs_f64(seconds)))
    }
}

impl Arrivals<'_> {
    fn arrival(&mut self, at: Duration) -> Arrival {
        let random = &mut self.contents;
        let hot = self.plan.keys == 1 || random.f64() < self.plan.hot_share;
        Arrival {
            at,
            operation: *self.plan.mix.pick(random.u64(..)),
            key: if hot { 0 } else { random.usize(1..self.plan.keys) },
            habit: self.plan.habits.pick(random.u64(..)),
            size: *self.plan.sizes.pick(random.u64(..)),
            associated_size: *self.plan.associated_sizes.pick(random.u64(..)),
            choice: random.u64(..),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn plan() -> Plan {
        Plan {
            seed: 7,
            rate: 1000.0,
            duration: Duration::from_secs(10),
            spread: Spread::Poisson,
            mix: "wrap=20,unwrap=75,other-aad=5".parse().expect("a right mix"),
            sizes: "64=9,65536=1".parse().expect("right sizes"),
            associated_sizes: "0=1,32=1".parse().expect("right sizes"),
            keys: 4,
            hot_share: 0.7,
            habits: Plan::all_habits(),
        }
    }

    fn text(arrival: &Arrival) -> String {
        format!("{arrival:?}")
    }

    #[test]
    fn the_same_plan_gives_the_same_arrivals_and_another_seed_gives_others() {
        let plan = plan();
        let once: Vec<String> = plan.arrivals().map(|one| text(&one)).collect();
        assert!(plan.arrivals().map(|one| text(&one)).eq(once.iter().cloned()));
        let other = Plan { seed: 8, ..plan };
        assert!(!other.arrivals().map(|one| text(&one)).eq(once));
    }

    #[test]
    fn another_mix_leaves_the_times_as_they_are() {
        let plan = plan();
        let times: Vec<Duration> = plan.arrivals().map(|one| one.at).collect();
        let other = Plan { mix: "wrap=1".parse().expect("a right mix"), ..plan };
        assert!(other.arrivals().map(|one| one.at).eq(times));
        assert!(other.arrivals().all(|one| one.operation == Operation::Wrap));
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a few thousand arrivals")]
    fn arrivals_come_in_order_at_the_asked_rate_and_within_the_duration() {
        for spread in [Spread::Poisson, Spread::Even] {
            let plan = Plan { spread, ..plan() };
            let times: Vec<Duration> = plan.arrivals().map(|one| one.at).collect();
            assert!(times.is_sorted() && times.iter().all(|at| *at < plan.duration), "{spread:?}");
            let off = times.len() as f64 / plan.asked() - 1.0;
            assert!(off.abs() < 0.05, "{spread:?} is off by {off}");
        }
        let even: Vec<Duration> = Plan { spread: Spread::Even, ..plan() }.arrivals().map(|one| one.at).collect();
        assert_eq!((even.len(), even[1]), (10_000, Duration::from_millis(1)));
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a few thousand arrivals")]
    fn shares_come_out_as_they_were_asked_for() {
        let plan = plan();
        let arrivals: Vec<Arrival> = plan.arrivals().collect();
        let share = |counts: &dyn Fn(&Arrival) -> bool| {
            arrivals.iter().filter(|one| counts(one)).count() as f64 / arrivals.len() as f64
        };
        let near = |share: f64, asked: f64| assert!((share - asked).abs() < 0.02, "{share} instead of {asked}");
        near(share(&|one| one.key == 0), 0.7);
        near(share(&|one| one.key == 3), 0.1);
        near(share(&|one| one.operation == Operation::Unwrap), 0.75);
        near(share(&|one| one.operation == Operation::OtherData), 0.05);
        near(share(&|one| one.size == Size(65536)), 0.1);
        near(share(&|one| one.associated_size == Size(0)), 0.5);
        let only = Plan { keys: 1, hot_share: 0.0, ..plan };
        assert!(only.arrivals().all(|one| one.key == 0));
    }
}
