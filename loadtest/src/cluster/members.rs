//! How the key stores become one cluster, by `ekmctl` as officers do it: the first makes it, the others join, and all are waited for.
//! What an earlier start has done is not done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde::Deserialize;

use super::balanced;
use super::certificates::PEOPLE;
use super::crew::{Crew, LOOK_EVERY};
use super::error::ClusterError;
use super::layout::{self, Access, Layout};
use super::plan::{Machine, Plan, Standing};
use super::steps::Steps;
use crate::clock::now;
use crate::ctl::{Ctl, CtlError};
use crate::exit::words;

/// Longer than replicas with next to no data take to come together on a busy machine.
const TOGETHER_WAIT_MAX: Duration = Duration::from_mins(3);

/// What `ekmctl cluster status` says, as far as it counts here.
#[derive(Debug, Deserialize)]
struct Status {
    /// The replica that answers.
    replica: u64,
    /// Absent until the cluster is made.
    lineage: Option<String>,
    replicas: Vec<Registered>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
struct Group {
    #[serde(rename = "group")]
    id: u64,
    leader: Option<u64>,
    voters: BTreeSet<u64>,
    learners: BTreeSet<u64>,
    /// How many entries each other replica has not got yet; only the leader knows.
    #[serde(default)]
    behind: BTreeMap<u64, u64>,
    /// Why others get none, where a person must act.
    #[serde(default)]
    troubles: BTreeMap<u64, String>,
}

#[derive(Debug, Deserialize)]
struct Registered {
    replica: u64,
}

/// One replica as the plan wants it.
struct Wanted<'a> {
    name: &'a str,
    replica: u64,
    standing: Standing,
}

/// Everybody but the first, in the order in which they join.
fn joining(plan: &Plan) -> Vec<Wanted<'_>> {
    let machines = plan.machines.iter().skip(1);
    let machines = machines.map(|one| Wanted { name: one.name, replica: one.replica, standing: one.standing });
    let witness = Wanted { name: plan.witness.name, replica: plan.witness.replica, standing: Standing::Voter };
    machines.chain([witness]).collect()
}

/// Makes the cluster on the first key store, if it is not made yet.
///
/// # Errors
/// If the command fails.
pub async fn make(layout: &Layout, officer: &Ctl) -> Result<(), ClusterError> {
    if status(officer).await?.lineage.is_some() {
        return Ok(());
    }
    let people = PEOPLE.map(|person| {
        let certificate = layout.of_pki(&person.certificate());
        format!("{}:{}:{}", person.name, person.role, certificate.display())
    });
    let identity = balanced::identity();
    let mut words = vec!["cluster", "init"];
    words.extend(people.iter().flat_map(|person| ["--person", person.as_str()]));
    words.extend(["--issuer", &identity.issuer, "--audience", &identity.audience]);
    officer.run(&words).await?;
    Ok(())
}

/// Gives every other machine with keys its copy of the root key.
///
/// # Errors
/// If it cannot be read or written.
pub async fn hand_out_root_key(layout: &Layout, plan: &Plan, crew: &mut Crew) -> Result<(), ClusterError> {
    let first = layout.root_key(plan.first().name);
    crew.appears(&first).await?;
    let key = fs::read(&first).map_err(|cause| ClusterError::file("read", &first, cause))?;
    for machine in plan.machines.iter().skip(1) {
        let copy = layout.root_key(machine.name);
        if layout::read(&copy)?.as_ref() != Some(&key) {
            layout::write(&copy, &key, Access::OwnerReads)?;
        }
    }
    Ok(())
}

/// Lets every other replica join that has not yet.
///
/// # Errors
/// If a command fails.
pub async fn join(
    layout: &Layout,
    plan: &Plan,
    officer: &Ctl,
    crew: &mut Crew,
    steps: &mut Steps,
) -> Result<(), ClusterError> {
    let known = status(officer).await?.replicas;
    for one in joining(plan) {
        if known.iter().any(|known| known.replica == one.replica) {
            continue;
        }
        steps.enter(format!("letting {} join", one.name), Some(plan.first().key_store()));
        let file = layout.replica(one.name);
        crew.appears(&file).await?;
        let file = file.display().to_string();
        let mut words = vec!["cluster", "join", &file];
        words.extend((one.standing == Standing::Learner).then_some("--learner"));
        officer.run_patiently(&words).await?;
    }
    Ok(())
}

/// Waits until every group has every replica, each as the plan wants it and not behind. `officers` gives the officer's hand on the key
/// store of a replica: who is behind, a leader alone knows.
///
/// # Errors
/// If they are not within [`TOGETHER_WAIT_MAX`], or a process ends.
pub async fn together(plan: &Plan, officers: impl Fn(&Machine) -> Ctl, crew: &mut Crew) -> Result<(), ClusterError> {
    let began = now();
    loop {
        crew.all_live()?;
        let missing = match as_leaders_see(plan, &officers).await {
            Ok(groups) => missing(plan, &groups),
            Err(error) => Some(words(&error)),
        };
        match missing {
            None => return Ok(()),
            Some(missing) if began.elapsed() > TOGETHER_WAIT_MAX => {
                return Err(ClusterError::Apart { waited: TOGETHER_WAIT_MAX, missing });
            }
            Some(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Every group, as its leader sees it where that is a machine with keys, else as the first does.
async fn as_leaders_see(plan: &Plan, officers: &impl Fn(&Machine) -> Ctl) -> Result<Vec<Group>, CtlError> {
    let mut groups = status(&officers(plan.first())).await?.groups;
    let leaders: BTreeSet<u64> = groups.iter().filter_map(|group| group.leader).collect();
    let leaders =
        plan.machines.iter().filter(|one| leaders.contains(&one.replica) && one.replica != plan.first().replica);
    for machine in leaders {
        let seen = status(&officers(machine)).await?;
        for group in &mut groups {
            let own = seen.groups.iter().find(|own| own.id == group.id && own.leader == Some(seen.replica));
            if let Some(own) = own {
                group.clone_from(own);
            }
        }
    }
    Ok(groups)
}

async fn status(officer: &Ctl) -> Result<Status, CtlError> {
    let command = "cluster status".to_owned();
    let told = officer.run(&["cluster", "status"]).await?;
    serde_json::from_value(told).map_err(|cause| CtlError::Unreadable { command, cause })
}

/// The first thing that is not as the plan wants it.
fn missing(plan: &Plan, groups: &[Group]) -> Option<String> {
    if groups.is_empty() {
        return Some("there is no group".to_owned());
    }
    let first = plan.first();
    let first = Wanted { name: first.name, replica: first.replica, standing: first.standing };
    let wanted: Vec<Wanted<'_>> = [first].into_iter().chain(joining(plan)).collect();
    groups.iter().find_map(|group| wanted.iter().find_map(|one| lacks(group, one)))
}

/// What one replica lacks in a group.
fn lacks(group: &Group, one: &Wanted<'_>) -> Option<String> {
    let Wanted { name, replica, standing } = one;
    let id = group.id;
    if let Some(trouble) = group.troubles.get(replica) {
        return Some(format!("{name} gets nothing of group {id}: {trouble}"));
    }
    let stands = match standing {
        Standing::Voter => &group.voters,
        Standing::Learner => &group.learners,
    };
    if !stands.contains(replica) {
        return Some(format!("{name} is no {} of group {id}", standing.word()));
    }
    let behind = if group.leader == Some(*replica) { Some(0) } else { group.behind.get(replica).copied() };
    match behind {
        Some(0) => None,
        Some(entries) => Some(format!("{name} is {entries} entries behind in group {id}")),
        None => Some(format!("nobody says how far {name} is in group {id}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    fn missing_in(group: &Value) -> Option<String> {
        let ports = consecutive(9000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        let status =
            json!({"replica": 1, "lineage": null, "joined": true, "replicas": [{"replica": 1}], "groups": [group]});
        let status: Status = serde_json::from_value(status).expect("this is what ekmctl prints");
        missing(&plan, &status.groups)
    }

    #[test]
    fn replicas_are_together_when_none_is_missing_behind_or_in_another_role() {
        let whole = json!({"group": 0, "term": 1, "leader": 4, "voters": [1, 2, 4, 5, 7], "learners": [3, 6], "last": 9, "applied": 9,
            "behind": {"1": 0, "2": 0, "3": 0, "5": 0, "6": 0, "7": 0}});
        assert_eq!(missing_in(&whole), None);
        let with = |field: &str, value: Value| {
            let mut changed = whole.clone();
            changed[field] = value;
            missing_in(&changed).expect("something is missing")
        };
        assert_eq!(with("voters", json!([1, 2, 4, 5])), "w1 is no voter of group 0");
        assert_eq!(with("learners", json!([6])), "a3 is no learner of group 0");
        assert_eq!(with("behind", json!({"1": 0, "2": 3})), "a2 is 3 entries behind in group 0");
        assert_eq!(with("leader", Value::Null), "nobody says how far b1 is in group 0");
        assert_eq!(with("troubles", json!({"6": "no root key"})), "b3 gets nothing of group 0: no root key");
    }

    #[test]
    fn everybody_but_the_first_joins_and_the_witness_last() {
        let ports = consecutive(9000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        let names: Vec<&str> = joining(&plan).iter().map(|one| one.name).collect();
        assert_eq!(names, ["a2", "a3", "b1", "b2", "b3", "w1"]);
    }
}
