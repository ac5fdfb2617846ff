//! `cluster.json`: what a running cluster says about itself, in the words of `dev.json` and with the list of its processes; and the
//! marks of what was started. Written whole or not at all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::certificates::{OPERATOR, PEOPLE, SERVERS};
use super::demo::{CALLER, Demo};
use super::error::ClusterError;
use super::layout::{self, Access, Layout};
use super::plan::{BALANCER, Kind, Plan};
use super::settings::HOSTNAME;

/// What tokens must name as their audience.
pub const AUDIENCE: &str = "https://localhost";
/// Who says that they issued them.
pub const ISSUER: &str = "https://ekm-cluster.invalid";

/// A process that was started, as the marks keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    pub kind: Kind,
    pub pid: u32,
    /// The settings file on its command line, absolute: by it a process is known again.
    pub settings: PathBuf,
}

/// A process in `cluster.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    pub name: String,
    pub kind: Kind,
    pub site: String,
    pub pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_url: Option<String>,
}

/// Where callers and operators find a port.
pub fn https(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Where health is told.
pub fn http(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// What was started and not stopped; nothing if the marks are not there.
///
/// # Errors
/// If they cannot be read.
pub fn running(layout: &Layout) -> Result<Vec<Record>, ClusterError> {
    let path = layout.running();
    let Some(text) = layout::read(&path)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&text).map_err(|cause| ClusterError::Malformed { path, cause })
}

/// Marks what was started.
///
/// # Errors
/// If the marks cannot be written.
pub fn mark(layout: &Layout, records: &[Record]) -> Result<(), ClusterError> {
    let text = serde_json::to_vec_pretty(records).expect("names, numbers and paths of text become JSON");
    layout::write(&layout.running(), &text, Access::Owner)
}

/// Every process of the plan; one that was not started has no place in the list.
pub fn processes(plan: &Plan, started: &[Record]) -> Vec<Process> {
    let pid_of = |name: &str| started.iter().find(|record| record.name == name).map(|record| record.pid);
    let process = |name: String, kind, site: &str| -> Option<Process> {
        let pid = pid_of(&name)?;
        let site = site.to_owned();
        Some(Process { name, kind, site, pid, data_url: None, health_url: None, admin_url: None })
    };
    let mut all = Vec::new();
    // what stands before the sites belongs to none
    let balancer = process(BALANCER.to_owned(), Kind::Loadbalancer, "");
    all.extend(balancer.map(|one| Process { data_url: Some(https(plan.balancer)), ..one }));
    for machine in &plan.machines {
        let frontend = process(machine.frontend(), Kind::Frontend, machine.site);
        all.extend(frontend.map(|one| Process {
            data_url: Some(https(machine.data)),
            health_url: Some(http(machine.frontend_health)),
            ..one
        }));
    }
    for machine in &plan.machines {
        let key_store = process(machine.key_store(), Kind::Keystore, machine.site);
        all.extend(key_store.map(|one| Process {
            admin_url: Some(https(machine.admin)),
            health_url: Some(http(machine.key_store_health)),
            ..one
        }));
    }
    let witness = process(plan.witness.process(), Kind::Witness, plan.witness.site);
    all.extend(witness.map(|one| Process { health_url: Some(http(plan.witness.health)), ..one }));
    all
}

/// The whole description. Paths are relative to the folder of the cluster. There is no one process to measure, so `pid` is 0.
pub fn description(plan: &Plan, demo: &Demo, processes: &[Process]) -> Value {
    let pki = |name: &str| format!("pki/{name}");
    let people = PEOPLE.map(
        |person| json!({"name": person.name, "cert_file": pki(&person.certificate()), "key_file": pki(&person.key())}),
    );
    let first = plan.first();
    json!({
        "data_url": https(plan.balancer),
        "audience": AUDIENCE,
        "issuer": ISSUER,
        "hostname": HOSTNAME,
        "ca_file": pki(SERVERS),
        "health_url": http(first.frontend_health),
        "metrics_url": format!("{}/metrics", http(first.frontend_health)),
        "admin_url": https(first.admin),
        "operator_cert_file": pki(&OPERATOR.certificate()),
        "operator_key_file": pki(&OPERATOR.key()),
        "people": people,
        "key_path": demo.key_path,
        "cryptospace_path": demo.crypto_space_path,
        "caller_email": CALLER,
        "token_file": "token",
        "jwks_file": "issuer/jwks.json",
        "issuer_key_file": "issuer/key.pem",
        "pid": 0,
        "lineage": plan.lineage,
        "processes": processes,
    })
}

/// Writes `cluster.json`, at the very end of a start.
///
/// # Errors
/// If it cannot be written.
pub fn describe(layout: &Layout, plan: &Plan, demo: &Demo, started: &[Record]) -> Result<(), ClusterError> {
    let description = description(plan, demo, &processes(plan, started));
    let text = serde_json::to_vec_pretty(&description).expect("a JSON value becomes text");
    layout::write(&layout.cluster(), &text, Access::Owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    fn started(plan: &Plan) -> Vec<Record> {
        let record = |name: String, kind, pid| Record { name, kind, pid, settings: PathBuf::from("/d/x") };
        let mut all = vec![record(BALANCER.to_owned(), Kind::Loadbalancer, 1)];
        for (machine, pid) in plan.machines.iter().zip(10..) {
            all.push(record(machine.key_store(), Kind::Keystore, pid));
            all.push(record(machine.frontend(), Kind::Frontend, pid + 10));
        }
        all.push(record(plan.witness.process(), Kind::Witness, 2));
        all
    }

    #[test]
    fn the_description_has_what_dev_json_has_and_every_process() {
        let ports = consecutive(21_000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: "0f".repeat(16), ports }).expect("the ports differ");
        let demo = Demo { key_path: "v0/keys/k".to_owned(), crypto_space_path: "v0/cryptospaces/s".to_owned() };
        let told = description(&plan, &demo, &processes(&plan, &started(&plan)));
        // the fields of server/src/dev/file.rs, as they stand on the disk
        for field in [
            "data_url",
            "audience",
            "hostname",
            "ca_file",
            "health_url",
            "metrics_url",
            "admin_url",
            "operator_cert_file",
            "operator_key_file",
            "people",
            "key_path",
            "cryptospace_path",
            "caller_email",
            "token_file",
            "jwks_file",
            "issuer_key_file",
            "pid",
        ] {
            assert!(!told[field].is_null(), "{field} is missing");
        }
        assert_eq!(told["data_url"], "https://127.0.0.1:21000");
        let processes = told["processes"].as_array().expect("a list");
        let kinds = |kind: &str| processes.iter().filter(|one| one["kind"] == kind).count();
        assert_eq!(["loadbalancer", "frontend", "keystore", "witness"].map(kinds), [1, 6, 6, 1]);
        let expected = json!({"name": "keystore-b1", "kind": "keystore", "site": "b", "pid": 13,
            "admin_url": "https://127.0.0.1:21021", "health_url": "http://127.0.0.1:21022"});
        assert!(processes.contains(&expected), "{told:#}");
        let expected = json!({"name": "frontend-a2", "kind": "frontend", "site": "a", "pid": 21,
            "data_url": "https://127.0.0.1:21011", "health_url": "http://127.0.0.1:21012"});
        assert!(processes.contains(&expected), "{told:#}");
    }

    #[test]
    fn marks_are_read_back_and_absent_ones_name_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        assert_eq!(running(&layout).expect("there are none"), []);
        let ports = consecutive(21_000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        mark(&layout, &started(&plan)).expect("the folder is writable");
        assert_eq!(running(&layout).expect("they were written"), started(&plan));
        std::fs::write(layout.running(), "[1]").expect("the folder is writable");
        assert!(matches!(running(&layout), Err(ClusterError::Malformed { .. })));
    }
}
