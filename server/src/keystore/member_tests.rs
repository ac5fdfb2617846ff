//! What group 0 says of a replica, wherever a crash cuts the founding of its cluster off.

use replication::ids::{Generation, GroupId, LineageId, ReplicaId, ShardId};
use replication::machine::command::{Action, AddReplica, Genesis};
use replication::machine::rows::{Meta, ReplicaKind, Role, Standing};

use super::super::found::signer;
use super::super::{Membership, Own};
use super::{Site, key};

#[tokio::test]
async fn a_founding_that_a_crash_cuts_off_goes_on_until_the_first_shard_is_there() {
    let site = Site::new();
    let host = site.groups().await;
    let (parts, replica) = (site.parts(&host), key("replica-1", &site.replica));
    let kind = ReplicaKind::Data { signer: replica.signer().clone(), public_key: replica.public_key() };
    let address = "10.0.0.1:1".parse().expect("it is an address");
    let (replica_id, rack) = (ReplicaId(1), "a".parse().expect("it is a site"));
    let row = AddReplica { replica: replica_id, address, site: rack, kind, standing: Standing::Voter };
    let own = Own { lineage: LineageId::from_bytes([7; 16]), row };
    let membership = || Membership::of(&host, &own).expect("the data is this replica's");
    assert_eq!(membership(), Membership::Nothing);

    let meta = Meta { lineage: own.lineage, generation: Generation::FIRST, group: GroupId::SYSTEM, dev: false };
    let first = (replica.signer().clone(), signer(replica.public_key(), Role::Replica));
    let officers = site.officers().map(|officer| {
        let role = Role::Person { roles: [super::PersonRole::SecurityOfficer].into(), tenants: None };
        (officer.signer().clone(), signer(officer.public_key(), role))
    });
    let trust = super::Trust { issuers: vec![], audiences: vec![] };
    let signers = std::iter::once(first).chain(officers).collect();
    for step in [Action::Genesis(Genesis { meta, signers, trust: Some(trust) }), Action::AddReplica(own.row.clone())] {
        parts.automatic(own.lineage, host.system(), step).await.expect("it is the next step of a founding");
        assert_eq!(membership(), Membership::HalfFounded);
    }
    parts.found_registry(&own).await.expect("the founding goes on");
    assert_eq!(membership(), Membership::Joined);
    let founder = host.system().watch().borrow().state.founder(ShardId::FIRST);
    assert_eq!(founder, Some(replica_id));
    host.shutdown().await;
}
