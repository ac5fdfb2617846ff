//! The shapes that no sound replica sends: what openraft takes for impossible, and would panic of or keep for ever.
//!
//! Pure. Never judges what is said, only whether a leader or candidate that follows the protocol could have said it.

use std::collections::BTreeSet;

use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use openraft::{AsyncRuntime, EntryPayload};

use super::config::{Entry, LogId, Types, Vote};
use super::limits::{ENTRY_BYTES_MAX, TERM_LEAD_MAX};
use super::machine::Position;

type Membership = openraft::Membership<u64, super::config::Member>;

/// What is wrong with a message's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misshapen {
    /// Kept, it would leave no term for any later election.
    #[error(
        "term {term} is more than {TERM_LEAD_MAX} above this replica's, {ours}; no history leads there, so take the sender out \
         of service and look at it"
    )]
    TermTooFar {
        /// What was claimed.
        term: u64,
        /// Ours.
        ours: u64,
    },
    /// Only a leader sends entries and snapshots, and only a candidate asks for votes.
    #[error("the vote in the message is not one that its sender could hold for such a message")]
    Standing,
    /// An entry is larger than any that may stand in a log.
    #[error("the message holds an entry of more than {ENTRY_BYTES_MAX} bytes")]
    EntryTooLarge,
    /// Entries follow each other without a gap.
    #[error("entry {found} came where entry {wanted} was next")]
    OutOfPlace {
        /// Which came.
        found: u64,
        /// Which was next.
        wanted: u64,
    },
    /// The last index there is.
    #[error("entry {index} cannot be followed by another")]
    NoIndexLeft {
        /// Which.
        index: u64,
    },
    /// A log's leaders only follow each other, and end with the one that sends.
    #[error(
        "entry {index} is of an older leader than the one before it, or of a newer one than the leader that sends it"
    )]
    Leader {
        /// Which.
        index: u64,
    },
    /// Nobody could reach a voter without its address, and no group lives without voters.
    #[error("a membership in the message names no voter, or a voter without its address and store")]
    Membership,
}

/// A ballot, asked for before or in an election.
pub(super) fn ballot<RT: AsyncRuntime>(request: &VoteRequest<Types<RT>>, ours: u64) -> Result<(), Misshapen> {
    candidate(&request.vote)?;
    term(&request.vote, ours)?;
    request.last_log_id.map_or(Ok(()), |last| is_led(&request.vote, last))
}

/// Entries or a heartbeat of a leader.
pub(super) fn append<RT: AsyncRuntime>(request: &AppendEntriesRequest<Types<RT>>, ours: u64) -> Result<(), Misshapen> {
    leads(&request.vote)?;
    term(&request.vote, ours)?;
    for place in request.prev_log_id.iter().chain(&request.leader_commit) {
        is_led(&request.vote, *place)?;
    }
    let mut before = request.prev_log_id;
    for entry in &request.entries {
        let (place, wanted) = (entry.log_id, next(before)?);
        if place.index != wanted {
            return Err(Misshapen::OutOfPlace { found: place.index, wanted });
        }
        is_led(&request.vote, place)?;
        if before.is_some_and(|before| before.leader_id > place.leader_id) {
            return Err(Misshapen::Leader { index: place.index });
        }
        self::entry(entry)?;
        before = Some(place);
    }
    // nothing after it could ever be written
    next(before).map(drop)
}

/// A leader's word that another may stand at once.
pub(super) fn transfer<RT: AsyncRuntime>(
    request: &TransferLeaderRequest<Types<RT>>,
    ours: u64,
) -> Result<(), Misshapen> {
    leads(request.from_leader())?;
    term(request.from_leader(), ours)
}

/// A snapshot's position, as its leader announces it.
pub(super) fn snapshot(vote: &Vote, position: &Position, ours: u64) -> Result<(), Misshapen> {
    leads(vote)?;
    term(vote, ours)?;
    let mut places = position.applied.iter().chain(position.membership.log_id());
    places.try_for_each(|place| is_led(vote, *place))?;
    next(position.applied)?;
    membership(position.membership.membership())
}

fn term(vote: &Vote, ours: u64) -> Result<(), Misshapen> {
    let term = vote.leader_id.term;
    if term.saturating_sub(ours) > TERM_LEAD_MAX { Err(Misshapen::TermTooFar { term, ours }) } else { Ok(()) }
}

fn leads(vote: &Vote) -> Result<(), Misshapen> {
    if vote.committed { Ok(()) } else { Err(Misshapen::Standing) }
}

fn candidate(vote: &Vote) -> Result<(), Misshapen> {
    if vote.committed { Err(Misshapen::Standing) } else { Ok(()) }
}

/// Whether whoever holds the vote can have an entry of that leader.
fn is_led(vote: &Vote, place: LogId) -> Result<(), Misshapen> {
    if place.leader_id <= vote.leader_id { Ok(()) } else { Err(Misshapen::Leader { index: place.index }) }
}

/// The index behind a place; a log begins with 0.
fn next(place: Option<LogId>) -> Result<u64, Misshapen> {
    let Some(LogId { index, .. }) = place else { return Ok(0) };
    index.checked_add(1).ok_or(Misshapen::NoIndexLeft { index })
}

fn entry(entry: &Entry) -> Result<(), Misshapen> {
    match &entry.payload {
        EntryPayload::Normal(command) if command.0.len() > ENTRY_BYTES_MAX => Err(Misshapen::EntryTooLarge),
        EntryPayload::Normal(_) | EntryPayload::Blank => Ok(()),
        EntryPayload::Membership(found) => membership(found),
    }
}

fn membership(found: &Membership) -> Result<(), Misshapen> {
    let configs = found.get_joint_config();
    let is_empty = configs.is_empty() || configs.iter().any(BTreeSet::is_empty);
    let is_known = found.voter_ids().all(|voter| found.get_node(&voter).is_some());
    if is_empty || !is_known { Err(Misshapen::Membership) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openraft_rt_tokio::TokioRuntime;

    use super::super::config::{EntryBytes, Leader, Member, StoredMembership};
    use super::*;

    type Append = AppendEntriesRequest<Types<TokioRuntime>>;
    type Ballot = VoteRequest<Types<TokioRuntime>>;

    const OURS: u64 = 3;

    fn led(term: u64) -> Vote {
        Vote { committed: true, ..sought(term) }
    }

    fn sought(term: u64) -> Vote {
        Vote { leader_id: Leader { term, node_id: 2 }, committed: false }
    }

    fn place(term: u64, index: u64) -> LogId {
        LogId::new(Leader { term, node_id: 2 }, index)
    }

    fn blank(term: u64, index: u64) -> Entry {
        Entry { log_id: place(term, index), payload: EntryPayload::Blank }
    }

    fn sound() -> Append {
        let entries = vec![blank(1, 5), blank(3, 6)];
        Append { vote: led(4), prev_log_id: Some(place(1, 4)), entries, leader_commit: Some(place(3, 90)) }
    }

    /// As it comes over the wire, where nothing makes sure of it.
    fn of(configs: &[&[u64]], nodes: &[u64]) -> Membership {
        let configs: Vec<BTreeSet<u64>> = configs.iter().map(|voters| voters.iter().copied().collect()).collect();
        let nodes: BTreeMap<u64, Member> = nodes.iter().map(|node| (*node, Member::default())).collect();
        let bytes = postcard::to_stdvec(&(configs, nodes)).expect("it encodes");
        postcard::from_bytes(&bytes).expect("it decodes")
    }

    #[test]
    fn an_append_that_no_leader_sends_is_refused_by_name() {
        assert_eq!(append(&sound(), OURS), Ok(()));
        let first = Append { prev_log_id: None, entries: vec![blank(0, 0)], ..sound() };
        assert_eq!(append(&first, OURS), Ok(()));
        let with = |change: fn(&mut Append)| {
            let mut request = sound();
            change(&mut request);
            append(&request, OURS).expect_err("no leader sends it")
        };
        let large = || EntryPayload::Normal(EntryBytes(vec![0; ENTRY_BYTES_MAX + 1]));
        let table = [
            (with(|it| it.vote.committed = false), Misshapen::Standing),
            (with(|it| it.vote = led(u64::MAX)), Misshapen::TermTooFar { term: u64::MAX, ours: OURS }),
            (with(|it| it.entries[0] = blank(1, 6)), Misshapen::OutOfPlace { found: 6, wanted: 5 }),
            (with(|it| it.entries[1] = blank(3, 5)), Misshapen::OutOfPlace { found: 5, wanted: 6 }),
            (with(|it| it.prev_log_id = None), Misshapen::OutOfPlace { found: 5, wanted: 0 }),
            (with(|it| it.prev_log_id = Some(place(1, u64::MAX))), Misshapen::NoIndexLeft { index: u64::MAX }),
            (with(|it| it.entries[1] = blank(5, 6)), Misshapen::Leader { index: 6 }),
            (with(|it| it.entries[0] = blank(0, 5)), Misshapen::Leader { index: 5 }),
            (with(|it| it.prev_log_id = Some(place(5, 4))), Misshapen::Leader { index: 4 }),
            (with(|it| it.leader_commit = Some(place(9, 4))), Misshapen::Leader { index: 4 }),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
        let mut request = sound();
        request.entries[0].payload = large();
        assert_eq!(append(&request, OURS), Err(Misshapen::EntryTooLarge));
        let last = Append { prev_log_id: Some(place(1, u64::MAX - 1)), entries: vec![blank(1, u64::MAX)], ..sound() };
        assert_eq!(append(&last, OURS), Err(Misshapen::NoIndexLeft { index: u64::MAX }));
    }

    #[test]
    fn a_membership_has_voters_and_each_has_its_node() {
        assert_eq!(membership(&of(&[&[1, 2], &[2, 3]], &[1, 2, 3, 4])), Ok(()));
        let bad = [of(&[], &[1]), of(&[&[1], &[]], &[1]), of(&[&[1, 2]], &[1]), of(&[&[1], &[2]], &[1])];
        for found in bad {
            assert_eq!(membership(&found), Err(Misshapen::Membership), "{found:?}");
            let mut request = sound();
            request.entries[0].payload = EntryPayload::Membership(found.clone());
            assert_eq!(append(&request, OURS), Err(Misshapen::Membership));
            let membership = StoredMembership::new(Some(place(1, 1)), found);
            let position = Position { applied: Some(place(1, 2)), membership, known: BTreeMap::new() };
            assert_eq!(snapshot(&led(4), &position, OURS), Err(Misshapen::Membership));
        }
    }

    #[test]
    fn a_snapshot_is_not_beyond_its_leader() {
        let at = |applied, known| {
            let membership = StoredMembership::new(Some(known), of(&[&[1]], &[1]));
            Position { applied: Some(applied), membership, known: BTreeMap::new() }
        };
        let sound = at(place(4, 9), place(1, 0));
        assert_eq!(snapshot(&led(4), &sound, OURS), Ok(()));
        assert_eq!(snapshot(&sought(4), &sound, OURS), Err(Misshapen::Standing));
        assert_eq!(snapshot(&led(3), &sound, OURS), Err(Misshapen::Leader { index: 9 }));
        assert_eq!(snapshot(&led(4), &at(place(4, 9), place(5, 7)), OURS), Err(Misshapen::Leader { index: 7 }));
        let last = snapshot(&led(4), &at(place(4, u64::MAX), place(1, 0)), OURS);
        assert_eq!(last, Err(Misshapen::NoIndexLeft { index: u64::MAX }));
    }

    #[test]
    fn a_term_is_taken_up_to_a_bound_above_ours() {
        let asked = |vote| {
            let request = Ballot { vote, last_log_id: Some(place(1, 4)), leadership_transfer: true };
            ballot(&request, OURS)
        };
        assert_eq!(
            (asked(sought(0)), asked(sought(OURS + TERM_LEAD_MAX))),
            (Err(Misshapen::Leader { index: 4 }), Ok(()))
        );
        assert_eq!(asked(led(4)), Err(Misshapen::Standing));
        for term in [OURS + TERM_LEAD_MAX + 1, u64::MAX] {
            assert_eq!(asked(sought(term)), Err(Misshapen::TermTooFar { term, ours: OURS }));
        }
        let handed = |term| TransferLeaderRequest::<Types<TokioRuntime>>::new(led(term), 1, None);
        assert_eq!((transfer(&handed(4), OURS).is_ok(), transfer(&handed(u64::MAX), OURS).is_ok()), (true, false));
    }
}
