//! The tables of the log's database, and the names of its facts. They are on disks: never change one, never reuse one.

use redb::TableDefinition;

/// An entry's index → the entry, sealed as a record.
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
/// One of the names below → the fact, sealed as a record.
pub(super) const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
/// A snapshot's number → what it holds, sealed as a record.
pub(super) const CATALOGUE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("snapshots");

/// Group and replica whose log it is.
pub(super) const OWNER: &str = "owner";
/// The vote.
pub(super) const VOTE: &str = "vote";
/// The committed index and position.
pub(super) const COMMITTED: &str = "committed";
/// The position up to which entries were removed.
pub(super) const PURGED: &str = "purged";
/// Which store this is, of all that the group ever had.
pub(super) const INCARNATION: &str = "incarnation";
