//! What every message states about who speaks to whom, and the one judgement of it, made before anything else is looked at.
//!
//! Pure: knows no connection and no store. Never lets a message through of which any part is not as it must be.

use super::identity::Cluster;
use super::limits::FORMAT;
use super::wire;
use crate::ids::{Generation, GroupId, Incarnation, LineageId, ReplicaId};

/// Who a message is judged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// The cluster that this replica is of.
    pub cluster: Cluster,
    /// Which one it is.
    pub replica: ReplicaId,
}

/// What this replica's store of a group knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    /// Its own incarnation.
    pub incarnation: Incarnation,
    /// The sender's, as the group's membership has bound it; `None` for a replica that is in none that is known here.
    pub bound: Option<Incarnation>,
}

/// Whether a message must say which store it is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// The sender asks which store this is.
    First,
    /// The sender knows it.
    Known,
}

/// A message that may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The group that it concerns.
    pub group: GroupId,
    /// Who sent it, proven by the certificate.
    pub sender: ReplicaId,
}

/// Why a message is refused. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Nothing says who speaks to whom.
    #[error("the message has no header, so nothing of it was looked at; look what else speaks to this port")]
    Missing,
    /// Of a release that this one cannot understand.
    #[error(
        "the message has format {found}, and this release understands formats up to {FORMAT}: update this replica before the \
         cluster's feature level is raised"
    )]
    NewerFormat {
        /// What it states.
        found: u32,
    },
    /// A field is not of the shape that it must have.
    #[error("the message's {field} is not of its shape; the sender is not one of ours, or broken")]
    Malformed {
        /// Which.
        field: &'static str,
    },
    /// Of another cluster.
    #[error("the message is of cluster {found}, and this is {own}: an address leads to the wrong cluster")]
    OtherCluster {
        /// Whose it is.
        found: LineageId,
        /// Ours.
        own: LineageId,
    },
    /// Of the same cluster before or after a recovery.
    #[error(
        "the message is of generation {found}, and this replica is of generation {own}: the one of the older generation was left \
         out of a recovery; stop it, and have its machine join under a new replica id"
    )]
    OtherGeneration {
        /// Whose it is.
        found: Generation,
        /// Ours.
        own: Generation,
    },
    /// The message claims to be of another replica than its certificate.
    #[error("the message claims to be of replica {claimed}, and its certificate is of replica {proven}")]
    NotItsCertificate {
        /// What it says.
        claimed: ReplicaId,
        /// What is proven.
        proven: ReplicaId,
    },
    /// Meant for another replica.
    #[error("the message is for replica {wanted}, and this is replica {own}: an address leads to the wrong machine")]
    OtherAddressee {
        /// For whom it is.
        wanted: ReplicaId,
        /// Who is here.
        own: ReplicaId,
    },
    /// For a group that does not live here.
    #[error("group {group} does not live on this replica")]
    NoSuchGroup {
        /// Which.
        group: u32,
    },
    /// The sender knows another store under this replica's id.
    #[error(
        "replica {own} was known by store {wanted}, and its store of the group is {found}: it came back empty or with other data. \
         Nothing is taken from it or given to it. Have this machine join under a new replica id, and remove the old one"
    )]
    OtherStoreHere {
        /// This replica.
        own: ReplicaId,
        /// The store that the sender means.
        wanted: Incarnation,
        /// The store that is here.
        found: Incarnation,
    },
    /// The group is bound to another store of the sender.
    #[error(
        "replica {sender} is bound to store {bound}, and speaks for store {found}: it came back empty or with other data. \
         Nothing is taken from it. Have that machine join under a new replica id, and remove the old one"
    )]
    OtherStoreThere {
        /// The sender.
        sender: ReplicaId,
        /// What the membership says.
        bound: Incarnation,
        /// What it says.
        found: Incarnation,
    },
}

/// Judges a header, in this order: format, cluster, generation, certificate, addressee, group, and the two stores. `store_of` gives
/// what the store of a group knows of a sender, if the group lives here.
///
/// # Errors
/// [`HeaderError`], the first that applies.
pub(super) fn admit(
    header: Option<&wire::Header>,
    proven: ReplicaId,
    meeting: Meeting,
    here: Here,
    store_of: impl FnOnce(GroupId, ReplicaId) -> Option<Store>,
) -> Result<Admitted, HeaderError> {
    let header = header.ok_or(HeaderError::Missing)?;
    format(header.format)?;
    let lineage = LineageId::from_bytes(bytes(&header.lineage, "lineage")?);
    if lineage != here.cluster.lineage {
        return Err(HeaderError::OtherCluster { found: lineage, own: here.cluster.lineage });
    }
    let generation = u16::try_from(header.generation).map_err(|_| HeaderError::Malformed { field: "generation" })?;
    if Generation(generation) != here.cluster.generation {
        return Err(HeaderError::OtherGeneration { found: Generation(generation), own: here.cluster.generation });
    }
    let sender = ReplicaId(header.sender);
    if sender != proven {
        return Err(HeaderError::NotItsCertificate { claimed: sender, proven });
    }
    let addressee = ReplicaId(header.addressee);
    if addressee != here.replica {
        return Err(HeaderError::OtherAddressee { wanted: addressee, own: here.replica });
    }
    let absent = HeaderError::NoSuchGroup { group: header.group };
    let group = u16::try_from(header.group).map(GroupId).map_err(|_| absent.clone())?;
    let store = store_of(group, sender).ok_or(absent)?;
    match meeting {
        Meeting::First => {}
        Meeting::Known => {
            let wanted = Incarnation::from_bytes(bytes(&header.addressee_incarnation, "addressee's incarnation")?);
            if wanted != store.incarnation {
                let (own, found) = (here.replica, store.incarnation);
                return Err(HeaderError::OtherStoreHere { own, wanted, found });
            }
        }
    }
    let found = Incarnation::from_bytes(bytes(&header.sender_incarnation, "sender's incarnation")?);
    match store.bound {
        Some(bound) if bound != found => Err(HeaderError::OtherStoreThere { sender, bound, found }),
        Some(_) | None => Ok(Admitted { group, sender }),
    }
}

/// Whether a format is understood.
///
/// # Errors
/// [`HeaderError::NewerFormat`], or [`HeaderError::Malformed`] where none is stated.
pub(super) fn format(found: u32) -> Result<(), HeaderError> {
    match found {
        0 => Err(HeaderError::Malformed { field: "format" }),
        1..=FORMAT => Ok(()),
        _ => Err(HeaderError::NewerFormat { found }),
    }
}

fn bytes<const N: usize>(found: &[u8], field: &'static str) -> Result<[u8; N], HeaderError> {
    found.try_into().map_err(|_| HeaderError::Malformed { field })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::peers::tests::pki::{LINEAGE, OTHER_LINEAGE};

    const OWN: Incarnation = Incarnation::from_bytes([1; 16]);
    const BOUND: Incarnation = Incarnation::from_bytes([2; 16]);
    const OTHER: Incarnation = Incarnation::from_bytes([3; 16]);
    const HERE: Here = Here { cluster: Cluster { lineage: LINEAGE, generation: Generation(4) }, replica: ReplicaId(2) };

    fn good() -> wire::Header {
        wire::Header {
            format: FORMAT,
            lineage: LINEAGE.as_bytes().to_vec(),
            generation: 4,
            group: 1,
            sender: 1,
            sender_incarnation: BOUND.as_bytes().to_vec(),
            addressee: 2,
            addressee_incarnation: OWN.as_bytes().to_vec(),
        }
    }

    fn judged(header: Option<&wire::Header>, meeting: Meeting) -> Result<Admitted, HeaderError> {
        admit(header, ReplicaId(1), meeting, HERE, |group, sender| {
            let bound = (sender == ReplicaId(1)).then_some(BOUND);
            (group == GroupId(1)).then_some(Store { incarnation: OWN, bound })
        })
    }

    #[test]
    fn every_wrong_header_is_refused_for_its_own_reason() {
        type Change = fn(&mut wire::Header);
        let table: [(Change, HeaderError); 15] = [
            (|header| header.format = FORMAT + 1, HeaderError::NewerFormat { found: FORMAT + 1 }),
            (|header| header.format = 0, HeaderError::Malformed { field: "format" }),
            (|header| header.lineage.truncate(15), HeaderError::Malformed { field: "lineage" }),
            (
                |header| header.lineage = OTHER_LINEAGE.as_bytes().to_vec(),
                HeaderError::OtherCluster { found: OTHER_LINEAGE, own: LINEAGE },
            ),
            (|header| header.generation = 3, HeaderError::OtherGeneration { found: Generation(3), own: Generation(4) }),
            (|header| header.generation = 5, HeaderError::OtherGeneration { found: Generation(5), own: Generation(4) }),
            (|header| header.generation = 65_540, HeaderError::Malformed { field: "generation" }),
            (
                |header| header.sender = 3,
                HeaderError::NotItsCertificate { claimed: ReplicaId(3), proven: ReplicaId(1) },
            ),
            (|header| header.addressee = 3, HeaderError::OtherAddressee { wanted: ReplicaId(3), own: ReplicaId(2) }),
            (|header| header.group = 9, HeaderError::NoSuchGroup { group: 9 }),
            (|header| header.group = 65_537, HeaderError::NoSuchGroup { group: 65_537 }),
            (
                |header| header.addressee_incarnation = OTHER.as_bytes().to_vec(),
                HeaderError::OtherStoreHere { own: ReplicaId(2), wanted: OTHER, found: OWN },
            ),
            (
                |header| header.addressee_incarnation.clear(),
                HeaderError::Malformed { field: "addressee's incarnation" },
            ),
            (
                |header| header.sender_incarnation = OTHER.as_bytes().to_vec(),
                HeaderError::OtherStoreThere { sender: ReplicaId(1), bound: BOUND, found: OTHER },
            ),
            (|header| header.sender_incarnation.clear(), HeaderError::Malformed { field: "sender's incarnation" }),
        ];
        for (change, expected) in table {
            let mut header = good();
            change(&mut header);
            assert_eq!(judged(Some(&header), Meeting::Known), Err(expected));
        }
        assert_eq!(judged(None, Meeting::Known), Err(HeaderError::Missing));
        let admitted = Admitted { group: GroupId(1), sender: ReplicaId(1) };
        assert_eq!(judged(Some(&good()), Meeting::Known), Ok(admitted));
    }

    #[test]
    fn of_two_faults_the_outer_one_is_told() {
        let mut header = good();
        (header.format, header.lineage, header.sender) = (FORMAT + 1, vec![], 9);
        assert_eq!(judged(Some(&header), Meeting::Known), Err(HeaderError::NewerFormat { found: FORMAT + 1 }));
    }

    #[test]
    fn a_first_meeting_needs_no_store_of_the_addressee_and_every_other_check() {
        let mut header = good();
        header.addressee_incarnation.clear();
        assert!(judged(Some(&header), Meeting::First).is_ok());
        header.sender_incarnation = OTHER.as_bytes().to_vec();
        let refused = HeaderError::OtherStoreThere { sender: ReplicaId(1), bound: BOUND, found: OTHER };
        assert_eq!(judged(Some(&header), Meeting::First), Err(refused));
    }

    #[test]
    fn a_field_that_is_not_known_is_ignored() {
        let mut bytes = good().encode_to_vec();
        // field 1000, a string
        bytes.extend([0xc2, 0x3e, 3, b'n', b'e', b'w']);
        let header = wire::Header::decode(bytes.as_slice()).expect("an unknown field is skipped");
        assert!(judged(Some(&header), Meeting::Known).is_ok());
    }

    /// Replicas of different releases speak to each other: what changes these bytes must show here.
    #[test]
    fn the_bytes_of_a_header_do_not_change() {
        let golden = [
            &[0x08, 1, 0x12, 16][..],
            LINEAGE.as_bytes(),
            &[0x18, 4, 0x20, 1, 0x28, 1, 0x32, 16],
            BOUND.as_bytes(),
            &[0x38, 2, 0x42, 16],
            OWN.as_bytes(),
        ];
        assert_eq!(good().encode_to_vec(), golden.concat());
    }
}
