//! How many requests may be in progress at once. A pure decision, made at once: it must never queue, because a request
//! that waits here arrives at its caller too late.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Requests in progress at once by default. A wrap holds a core for some 15 µs, so this is a few milliseconds of work.
pub const IN_PROGRESS_MAX_DEFAULT: NonZeroUsize = NonZeroUsize::new(512).expect("512 is not zero");

/// The limit on requests in progress, shared by every connection. Clones share the count.
#[derive(Debug, Clone)]
pub struct Admission(Arc<State>);

#[derive(Debug)]
struct State {
    max: usize,
    in_progress: AtomicUsize,
    shed: AtomicU64,
}

/// The right to be in progress. Dropping it gives the place back.
#[derive(Debug)]
pub struct Permit(Arc<State>);

impl Admission {
    /// Admits up to `max` requests at once.
    pub fn new(max: NonZeroUsize) -> Self {
        Self(Arc::new(State { max: max.get(), in_progress: AtomicUsize::new(0), shed: AtomicU64::new(0) }))
    }

    /// A place, or `None` at once if all are taken; the caller then answers 503.
    pub fn try_admit(&self) -> Option<Permit> {
        // Relaxed: the count guards no other memory, only itself
        let before = self.0.in_progress.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(&self.0));
        if before < self.0.max {
            return Some(permit);
        }
        self.0.shed.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A place for the machine's own health probe, which has one request in progress at a time: also when all are taken,
    /// since a machine that is busy must not look like one that cannot serve, or its load falls on the next.
    pub fn admit_probe(&self) -> Permit {
        self.0.in_progress.fetch_add(1, Ordering::Relaxed);
        Permit(Arc::clone(&self.0))
    }

    /// Requests in progress now. While requests are being shed it may briefly count them too.
    pub fn in_progress(&self) -> usize {
        self.0.in_progress.load(Ordering::Relaxed)
    }

    /// Requests shed since start.
    pub fn shed_total(&self) -> u64 {
        self.0.shed.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(max: usize) -> Admission {
        Admission::new(NonZeroUsize::new(max).expect("the tests admit at least one"))
    }

    #[test]
    fn a_full_admission_sheds_at_once_and_a_dropped_permit_frees_a_place() {
        let admission = of(2);
        let first = admission.try_admit().expect("the first place is free");
        let _second = admission.try_admit().expect("the second place is free");
        assert!(admission.try_admit().is_none());
        assert!(admission.try_admit().is_none());
        assert_eq!((admission.in_progress(), admission.shed_total()), (2, 2));
        drop(first);
        assert!(admission.try_admit().is_some());
    }

    #[test]
    fn a_full_admission_takes_the_probe_and_counts_it() {
        let admission = of(1);
        let _held = admission.try_admit().expect("the only place is free");
        let probe = admission.admit_probe();
        assert_eq!((admission.in_progress(), admission.shed_total()), (2, 0));
        drop(probe);
        assert_eq!(admission.in_progress(), 1);
    }

    #[test]
    fn clones_share_one_limit() {
        let admission = of(1);
        let elsewhere = admission.clone();
        let _held = admission.try_admit().expect("the only place is free");
        assert!(elsewhere.try_admit().is_none());
    }

    #[test]
    fn never_more_than_the_limit_at_once_over_threads() {
        let admission = of(3);
        let inside = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Some(_permit) = admission.try_admit() else { continue };
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(admission.in_progress(), 0);
    }
}
