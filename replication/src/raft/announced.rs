//! Members that no officer announced. What openraft commits about membership is signed by nobody, so it counts only as far as the registry
//! in group 0, which officers sign, has the same replica at the same place.
//!
//! Decides nothing: whoever reads a group must not be fresh by it while it has such a member, and a person must look.

use std::collections::BTreeSet;

use openraft::AsyncRuntime;

use super::config::{Member, Replica as Number};
use super::group::Group;
use super::host::Host;
use crate::ids::ReplicaId;
use crate::machine::rows::Replica;
use crate::machine::state::Table;

impl<RT: AsyncRuntime> Host<RT> {
    /// The members of a group, by the last membership applied here, whom group 0's registry does not know here, or knows elsewhere. A
    /// cluster that has no registry yet, and `ekm dev`, which never has one, announce nobody.
    pub fn unannounced(&self, group: &Group<RT>) -> BTreeSet<ReplicaId> {
        let state = self.system().watch().borrow().state.clone();
        let applied = group.watch();
        let applied = applied.borrow();
        strangers(applied.position.membership.membership().nodes(), state.replicas())
    }
}

fn strangers<'a>(
    members: impl Iterator<Item = (&'a Number, &'a Member)>,
    registry: &Table<Replica>,
) -> BTreeSet<ReplicaId> {
    if registry.is_empty() {
        return BTreeSet::new();
    }
    let is_stranger = |(number, member): &(&Number, &Member)| {
        registry.get(&ReplicaId(**number)).is_none_or(|row| row.address.as_str() != member.address)
    };
    members.filter(is_stranger).map(|(number, _)| ReplicaId(*number)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::Incarnation;
    use crate::machine::rows::{ReplicaKind, Standing};

    fn row(address: &str) -> Arc<Replica> {
        Arc::new(Replica {
            address: address.parse().expect("an address"),
            site: "a".parse().expect("a legal name"),
            kind: ReplicaKind::Witness,
            standing: Standing::Voter,
            added_at: Timestamp(0),
            added_by: None,
        })
    }

    #[test]
    fn a_member_is_announced_by_its_number_and_its_place_together() {
        let member =
            |address: &str| Member { address: address.to_owned(), incarnation: Incarnation::from_bytes([1; 16]) };
        let members = [(1, member("a:1")), (2, member("b:1")), (3, member("c:1"))];
        let nodes = || members.iter().map(|(number, member)| (number, member));
        let registry =
            |rows: &[(u64, &str)]| rows.iter().map(|(id, at)| (ReplicaId(*id), row(at))).collect::<Table<_>>();
        let none: [ReplicaId; 0] = [];
        for (rows, strangers) in [
            (vec![], none.as_slice()),
            (vec![(1, "a:1"), (2, "b:1"), (3, "c:1"), (4, "d:1")], &none),
            (vec![(1, "a:1"), (3, "c:1")], &[ReplicaId(2)]),
            (vec![(1, "a:1"), (2, "b:2"), (3, "c:1")], &[ReplicaId(2)]),
            (vec![(4, "a:1")], &[1, 2, 3].map(ReplicaId)),
        ] {
            assert_eq!(super::strangers(nodes(), &registry(&rows)), strangers.iter().copied().collect(), "{rows:?}");
        }
    }
}
