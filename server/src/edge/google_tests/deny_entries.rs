//! Deny entries as callers and the audit see them.

use std::time::Duration;

use replication::clock::{Clock as _, Timestamp};
use replication::ids::DenyId;
use replication::machine::deny::DenyEntry;
use replication::machine::policy::Subject;

use super::world::{CALLER, World};
use super::wrap;

const HOUR: Duration = Duration::from_hours(1);

impl World {
    /// Knows an entry of the tenant of `k1` from now on.
    pub(super) fn deny(&self, id: u8, tenant: &str, subject: Subject, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_millis()).expect("it fits");
        let entry = DenyEntry {
            id: DenyId::from_bytes([id; 16]),
            tenant: tenant.parse().expect("a tenant"),
            subject,
            expires_at: Timestamp(self.clock.wall().0 + lasts),
        };
        self.service.journey.directory.deny(&[entry], self.clock.wall());
    }
}

#[tokio::test]
async fn a_fresh_machine_refuses_whom_an_entry_names_for_good_and_a_stale_one_for_now() {
    let world = World::fresh().await;
    let caller = Subject::Caller(CALLER.parse().expect("a caller"));
    world.deny(1, "neighbour", caller.clone(), HOUR);
    assert_eq!(wrap(&world, "k1").await.status, 200, "another tenant's entry");
    world.deny(2, "acme", Subject::Key("listed".parse().expect("a key")), HOUR);
    assert_eq!(wrap(&world, "k1").await.status, 200, "another key's entry");
    world.deny(3, "acme", caller, HOUR);
    let refused = wrap(&world, "k1").await;
    assert_eq!((refused.status, &refused.json["code"]), (403, &7.into()), "{:?}", refused.json);
    let says = refused.message();
    let entry = "03".repeat(16);
    assert!(says.contains(&format!("Deny entry '{entry}'")) && says.contains(CALLER), "{says}");
    assert_eq!(wrap(&world, "theirs").await.status, 403);

    world.clock.advance(Duration::from_secs(6));
    let stale = wrap(&world, "k1").await;
    assert_eq!(stale.status, 503, "{:?}", stale.json);
    assert!(!stale.message().contains(&entry), "an answer that may be wrong names nobody: {}", stale.message());

    let audit = world.audit();
    let told: Vec<_> =
        audit.iter().rev().take(3).map(|line| format!("{} {}", line["decision"], line["rule"])).collect();
    let (third, first) = (format!("\"deny:{entry}\""), format!("\"deny:{}\"", "01".repeat(16)));
    assert_eq!(
        told,
        [format!("\"unavailable\" {third}"), format!("\"refused\" {first}"), format!("\"refused\" {third}")]
    );
}

#[tokio::test]
async fn near_its_end_an_entry_refuses_nothing_for_good_and_after_it_nothing() {
    let world = World::fresh().await;
    world.deny(1, "acme", Subject::Key("k1".parse().expect("a key")), Duration::from_mins(10));
    let mut statuses = Vec::new();
    for seconds in [0, 569, 1, 60, 1] {
        world.clock.advance(Duration::from_secs(seconds));
        world.confirm();
        statuses.push(wrap(&world, "k1").await.status);
    }
    assert_eq!(statuses, [403, 403, 503, 503, 200]);
}

#[tokio::test]
async fn no_entry_reaches_the_probe_of_the_machine_itself() {
    let world = World::fresh().await;
    world.deny(1, "system", Subject::Key("canary".parse().expect("a key")), HOUR);
    assert_eq!(world.service.journey.directory.deny_entry_count(world.clock.wall()), 0);
    let path = format!("{}:wrap", world.path("canary"));
    assert_eq!(world.send(world.probing(&path, super::WRAP)).await.status, 200);
}
