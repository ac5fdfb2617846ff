//! The cluster as a whole: how it began, who belongs to it, and how its groups stand.

use replication::ids::{LineageId, ReplicaId};
use replication::machine::rows::ReplicaKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::safe::safe;
use super::{below, word};
use crate::admin::wire::{ClusterStatus, Founded, GroupMembers, ReplicaBody};

/// What `cluster lineage` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lineage {
    /// The lineage, for the settings of every process of the cluster.
    pub lineage: LineageId,
}

pub(in crate::ctl) fn founded(body: &Founded) -> String {
    let root = if body.root_key_made { "made" } else { "found" };
    let head = format!(
        "founded cluster {} on replica {}\nroot key  {} ({root})\nnext",
        body.lineage,
        body.replica,
        safe(&body.root_key_file)
    );
    head + &below(&body.next, |next| format!("  {}", safe(next)))
}

pub(in crate::ctl) fn cluster(body: &ClusterStatus) -> String {
    let lineage = body.lineage.map_or_else(|| "none yet".to_owned(), |lineage| lineage.to_string());
    let joined = if body.joined { "belongs to it" } else { "DOES NOT BELONG TO IT" };
    let frontends = body.frontends.iter().flatten();
    format!("cluster   {lineage}\nanswers   replica {}, which {joined}", body.replica)
        + &below(&body.replicas, replica)
        + &below(&body.groups, group)
        + &below(frontends, |one| format!("frontend {}  asked {} ms ago", safe(&one.name), one.asked_ms_ago))
}

fn replica(body: &ReplicaBody) -> String {
    let kind = match body.kind {
        ReplicaKind::Data { .. } => "data",
        ReplicaKind::Witness => "witness",
    };
    format!("replica {}  {kind} {}  site={} address={}", body.replica, word(&body.standing), body.site, body.address)
}

fn group(body: &GroupMembers) -> String {
    let listed =
        |ids: &std::collections::BTreeSet<ReplicaId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let leader = body.leader.map_or_else(|| "NO LEADER".to_owned(), |leader| format!("leader={leader}"));
    let learners =
        if body.learners.is_empty() { String::new() } else { format!(" learners={}", listed(&body.learners)) };
    let behind: Vec<String> = body
        .behind
        .iter()
        .filter(|(_, behind)| **behind > 0)
        .map(|(replica, behind)| format!("{replica} by {behind}"))
        .collect();
    let behind = if behind.is_empty() { String::new() } else { format!("  behind: {}", behind.join(", ")) };
    let head = format!(
        "group {}  {leader} term={} voters={}{learners} entry={}{behind}",
        body.group,
        body.term,
        listed(&body.voters),
        body.applied
    );
    head + &below(&body.troubles, |(replica, why)| format!("  replica {replica}: {}", safe(why)))
}
