//! How the key stores become one cluster, by `ekmctl` as officers do it: the first makes it, the others join, and all are waited for.
//! What an earlier start has done is not done again.

use std::fs;
use std::time::Duration;

use serde::Deserialize;

use super::balanced;
use super::certificates::PEOPLE;
use super::crew::{Crew, LOOK_EVERY};
use super::error::ClusterError;
use super::layout::{self, Access, Layout};
use super::plan::{Plan, Standing};
use super::steps::Steps;
use crate::clock::now;
use crate::ctl::{Ctl, CtlError};

/// Longer than replicas with next to no data take to come together on a busy machine.
const TOGETHER_WAIT_MAX: Duration = Duration::from_mins(3);

/// What `ekmctl cluster status` says, as far as it counts here.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    replicas: Vec<Registered>,
}

#[derive(Debug, Deserialize)]
struct Group {
    group: u64,
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    replica: u64,
    voter: bool,
    /// Entries that it has not got yet; unknown if nobody leads.
    behind: Option<u64>,
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
    if status(officer).await.is_ok() {
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
        officer.run(&words).await?;
    }
    Ok(())
}

/// Waits until every group has every replica, each as the plan wants it and not behind.
///
/// # Errors
/// If they are not within [`TOGETHER_WAIT_MAX`], or a process ends.
pub async fn together(plan: &Plan, officer: &Ctl, crew: &mut Crew) -> Result<(), ClusterError> {
    let began = now();
    loop {
        crew.all_live()?;
        let missing = match status(officer).await {
            Ok(status) => missing(plan, &status),
            Err(error) => Some(error.to_string()),
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

async fn status(officer: &Ctl) -> Result<Status, CtlError> {
    let command = "cluster status".to_owned();
    let told = officer.run(&["cluster", "status"]).await?;
    serde_json::from_value(told).map_err(|cause| CtlError::Unreadable { command, cause })
}

/// The first thing that is not as the plan wants it.
fn missing(plan: &Plan, status: &Status) -> Option<String> {
    if status.groups.is_empty() {
        return Some("there is no group".to_owned());
    }
    let first = plan.first();
    let first = Wanted { name: first.name, replica: first.replica, standing: first.standing };
    let wanted: Vec<Wanted<'_>> = [first].into_iter().chain(joining(plan)).collect();
    status.groups.iter().find_map(|group| {
        wanted.iter().find_map(|one| {
            let (name, group_id) = (one.name, group.group);
            let Some(member) = group.members.iter().find(|member| member.replica == one.replica) else {
                return Some(format!("{name} is no member of group {group_id}"));
            };
            if member.voter != (one.standing == Standing::Voter) {
                return Some(format!("{name} does not vote as it should in group {group_id}"));
            }
            (member.behind != Some(0)).then(|| format!("{name} is behind in group {group_id}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    fn missing_in(members: &[Value]) -> Option<String> {
        let ports = consecutive(9000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        let status = json!({"groups": [{"group": 0, "members": members}], "replicas": []});
        missing(&plan, &serde_json::from_value(status).expect("this is what ekmctl prints"))
    }

    #[test]
    fn replicas_are_together_when_none_is_missing_behind_or_in_another_role() {
        let member = |replica: u64| json!({"replica": replica, "voter": ![3, 6].contains(&replica), "behind": 0});
        let all: Vec<Value> = (1..=7).map(member).collect();
        assert_eq!(missing_in(&all), None);
        assert_eq!(missing_in(&all[..6]).as_deref(), Some("w1 is no member of group 0"));
        let mut changed = all.clone();
        changed[2]["voter"] = json!(true);
        assert_eq!(missing_in(&changed).as_deref(), Some("a3 does not vote as it should in group 0"));
        for behind in [json!(3), Value::Null] {
            let mut changed = all.clone();
            changed[3]["behind"] = behind;
            assert_eq!(missing_in(&changed).as_deref(), Some("b1 is behind in group 0"));
        }
    }

    #[test]
    fn everybody_but_the_first_joins_and_the_witness_last() {
        let ports = consecutive(9000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        let names: Vec<&str> = joining(&plan).iter().map(|one| one.name).collect();
        assert_eq!(names, ["a2", "a3", "b1", "b2", "b3", "w1"]);
    }
}
