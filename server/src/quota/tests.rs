//! What the levels do together: which one refuses, what a refusal leaves untouched, what threads and full memory change.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

const NOW: Moment = Moment::since_origin(Duration::from_secs(100));

fn quota(per_second: u32, burst: u32) -> Quota {
    let number = |number: u32| number.try_into().expect("the tests' quotas are not zero");
    Quota { per_second: number(per_second), burst: number(burst) }
}

/// A tenant with two keys in a crypto space and one outside.
struct Owner {
    id: TenantId,
    own: Option<Quota>,
    space: CryptoSpaceName,
    of_space: Option<Quota>,
    of_keys: Option<Quota>,
    revision: Revision,
}

impl Owner {
    fn new(id: &str) -> Self {
        let id = id.parse().expect("a tenant");
        let space = "space".parse().expect("a name");
        Self { id, own: None, space, of_space: None, of_keys: None, revision: Revision(1) }
    }

    fn ask(&self, quotas: &Quotas, key: &str, now: Moment) -> Result<(), (Level, Quota)> {
        let name: KeyName = key.parse().expect("a name");
        let levels = Levels {
            tenant: (&self.id, self.own),
            revision: self.revision,
            crypto_space: self.of_space.filter(|_| key != "outside").map(|quota| (&self.space, quota)),
            key: self.of_keys.map(|quota| (&name, quota)),
        };
        quotas.count(&levels, now)
    }

    /// How many are let in of many, and the level that stops them.
    fn at_once(&self, quotas: &Quotas, key: &str, now: Moment) -> (u32, Option<Level>) {
        for count in 0..10_000 {
            if let Err((level, _)) = self.ask(quotas, key, now) {
                return (count, Some(level));
            }
        }
        (10_000, None)
    }
}

#[test]
fn every_level_holds_and_the_nearest_without_room_is_named() {
    let (quotas, owner) = (Quotas::default(), Owner { own: Some(quota(1, 10)), ..Owner::new("acme") });
    let owner = Owner { of_space: Some(quota(2, 7)), of_keys: Some(quota(3, 4)), ..owner };
    assert_eq!(owner.at_once(&quotas, "hot", NOW), (4, Some(Level::Key)));
    assert_eq!(owner.at_once(&quotas, "warm", NOW), (3, Some(Level::CryptoSpace)));
    assert_eq!(owner.at_once(&quotas, "outside", NOW), (3, Some(Level::Tenant)));
    assert_eq!(owner.ask(&quotas, "hot", NOW), Err((Level::Key, quota(3, 4))));
    let later = NOW.plus(Duration::from_secs(1));
    assert_eq!(owner.at_once(&quotas, "hot", later), (1, Some(Level::Tenant)), "what the tenant's lets through");
}

#[test]
fn a_hot_key_uses_up_its_crypto_space_and_a_neighbour_is_served() {
    let (quotas, owner) = (Quotas::default(), Owner { of_space: Some(quota(5, 5)), ..Owner::new("acme") });
    assert_eq!(owner.at_once(&quotas, "hot", NOW), (5, Some(Level::CryptoSpace)));
    assert_eq!(owner.at_once(&quotas, "warm", NOW), (0, Some(Level::CryptoSpace)), "it shares the space's");
    assert_eq!(owner.at_once(&quotas, "outside", NOW), (10_000, None));
    let neighbour = Owner { of_space: Some(quota(5, 5)), ..Owner::new("neighbour") };
    assert_eq!(neighbour.at_once(&quotas, "hot", NOW), (5, Some(Level::CryptoSpace)), "the same names, another owner");
}

#[test]
fn a_refusal_takes_from_no_level() {
    let (quotas, owner) = (Quotas::default(), Owner { own: Some(quota(1, 2)), ..Owner::new("acme") });
    let owner = Owner { of_space: Some(quota(1, 100)), of_keys: Some(quota(1, 100)), ..owner };
    assert_eq!(owner.at_once(&quotas, "hot", NOW), (2, Some(Level::Tenant)));
    for _ in 0..1000 {
        assert_eq!(owner.ask(&quotas, "hot", NOW), Err((Level::Tenant, quota(1, 2))));
    }
    // the same buckets, without the tenant's: nothing but what was let in is gone from them
    let freed = Owner { own: None, ..owner };
    assert_eq!(freed.at_once(&quotas, "hot", NOW), (98, Some(Level::Key)));
}

#[test]
fn a_changed_quota_holds_with_the_view_that_brings_it() {
    let (quotas, mut owner) = (Quotas::default(), Owner { own: Some(quota(1, 10)), ..Owner::new("acme") });
    assert_eq!(owner.at_once(&quotas, "k", NOW).0, 10);
    let before = Owner { own: owner.own, ..Owner::new("acme") };
    (owner.own, owner.revision) = (Some(quota(1, 15)), Revision(2));
    assert_eq!(owner.ask(&quotas, "k", NOW), Ok(()));
    assert_eq!(
        before.at_once(&quotas, "k", NOW).0,
        4,
        "a request resolved before the change is judged by the later quota"
    );
    assert_eq!(owner.at_once(&quotas, "k", NOW).0, 0);
    (owner.own, owner.revision) = (None, Revision(3));
    assert_eq!(owner.at_once(&quotas, "k", NOW).0, 10_000, "no quota, no bound");
    (owner.own, owner.revision) = (Some(quota(1, 15)), Revision(4));
    assert_eq!(owner.at_once(&quotas, "k", NOW).0, 0, "what was used is not forgiven by a quota that was away");
}

#[test]
fn whoever_has_no_quota_leaves_no_trace() {
    let (quotas, owner) = (Quotas::default(), Owner::new("acme"));
    assert_eq!(owner.at_once(&quotas, "k", NOW), (10_000, None));
    assert_eq!(quotas.buckets(), 0);
    assert!(quotas.parts.iter().all(|part| part.lock().is_empty()));
}

#[test]
fn a_sweep_lets_go_of_what_is_drained_and_forgives_nothing() {
    let (quotas, owner) = (Quotas::default(), Owner { own: Some(quota(1, 3)), ..Owner::new("acme") });
    let owner = Owner { of_keys: Some(quota(100, 100)), of_space: Some(quota(1, 100)), ..owner };
    assert_eq!(owner.at_once(&quotas, "hot", NOW).0, 3);
    assert_eq!(quotas.buckets(), 3);
    quotas.sweep(NOW);
    assert_eq!(quotas.buckets(), 3);
    let later = NOW.plus(Duration::from_secs(1));
    quotas.sweep(later);
    assert_eq!(quotas.buckets(), 2, "the key's is drained");
    assert_eq!(owner.at_once(&quotas, "hot", later), (1, Some(Level::Tenant)));
    quotas.sweep(later.plus(Duration::from_secs(100)));
    assert_eq!(quotas.buckets(), 0);
    assert!(quotas.parts.iter().all(|part| part.lock().is_empty()));
}

#[test]
fn a_full_memory_counts_what_it_has_and_says_what_it_could_not() {
    let (quotas, owner) = (Quotas::new(2), Owner { own: Some(quota(1, 7)), ..Owner::new("acme") });
    let owner = Owner { of_keys: Some(quota(1, 4)), ..owner };
    assert_eq!(owner.ask(&quotas, "first", NOW), Ok(()));
    assert_eq!((quotas.buckets(), quotas.uncounted_total()), (2, 0));
    assert_eq!(owner.at_once(&quotas, "second", NOW), (6, Some(Level::Tenant)), "the tenant's holds all the same");
    assert_eq!((quotas.buckets(), quotas.uncounted_total()), (2, 7));
    let later = NOW.plus(Duration::from_mins(1));
    quotas.sweep(later);
    assert_eq!(owner.at_once(&quotas, "second", later), (4, Some(Level::Key)), "and a sweep makes room");
}

#[test]
fn never_more_than_the_quota_over_threads() {
    let quotas = Quotas::default();
    let owner = Owner { own: Some(quota(1, 1000)), of_keys: Some(quota(1, 300)), ..Owner::new("acme") };
    let neighbour = Owner { own: Some(quota(1, 50)), ..Owner::new("neighbour") };
    let (hot, warm, theirs) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..2_000 {
                    // 500 ms in all, in which less than one request flows off
                    let now = NOW.plus(Duration::from_micros(250 * round));
                    for (owner, key, let_in) in
                        [(&owner, "hot", &hot), (&owner, "warm", &warm), (&neighbour, "hot", &theirs)]
                    {
                        let_in.fetch_add(u32::from(owner.ask(&quotas, key, now).is_ok()), Ordering::Relaxed);
                    }
                    if round % 100 == 0 {
                        quotas.sweep(now);
                    }
                }
            });
        }
    });
    assert_eq!((hot.into_inner(), warm.into_inner(), theirs.into_inner()), (300, 300, 50));
    assert_eq!(quotas.buckets(), 4);
}
