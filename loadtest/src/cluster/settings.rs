//! The settings files of a cluster's processes, as texts. Pure. Every path in them counts from the folder of the machine, which
//! holds all that its processes need, as if it were a machine.

use std::fmt::Write as _;

use super::plan::{Machine, Plan};

/// The name on the frontends' certificates, which callers ask for.
pub const HOSTNAME: &str = "localhost";

/// The key store of a machine.
pub fn key_store(plan: &Plan, machine: &Machine) -> String {
    let mut text = replica(&plan.lineage, machine.replica, machine.site, "data");
    text += &peers(machine.peers);
    let Machine { feed, admin, key_store_health, .. } = machine;
    let _infallible = write!(
        text,
        r#"
[feed]
listen = "127.0.0.1:{feed}"
frontends_authority = "frontends-ca.pem"

[admin]
listen = "127.0.0.1:{admin}"
certificate = "server.pem"
key = "server-key.pem"
operators_authority = "operators-ca.pem"

[health]
listen = "127.0.0.1:{key_store_health}"

[root_key]
file = "root.key"
"#
    );
    text
}

/// The witness: it votes, and has no keys, feed or operators.
pub fn witness(plan: &Plan) -> String {
    let witness = &plan.witness;
    let mut text = replica(&plan.lineage, witness.replica, witness.site, "witness");
    text += &peers(witness.peers);
    let _infallible = write!(text, "\n[health]\nlisten = \"127.0.0.1:{}\"\n", witness.health);
    text
}

/// The frontend of a machine.
pub fn frontend(plan: &Plan, machine: &Machine) -> String {
    let Machine { name, site, data, frontend_health, .. } = machine;
    let lineage = &plan.lineage;
    let asked = plan.key_stores_for(machine).into_iter();
    let asked: Vec<String> = asked.map(|one| format!("\"{}@127.0.0.1:{}\"", one.replica, one.feed)).collect();
    let key_stores = asked.join(", ");
    format!(
        r#"[cluster]
lineage = "{lineage}"
name = "{name}"
site = "{site}"

# nearest first
[feed]
key_stores = [{key_stores}]
certificate = "frontend.pem"
key = "frontend-key.pem"
authority = "peers-ca.pem"

[data]
listen = "127.0.0.1:{data}"
certificate = "server.pem"
key = "server-key.pem"
hostname = "{HOSTNAME}"
audit_file = "audit/audit.jsonl"

[data.key_set]
file = "jwks.json"

[health]
listen = "127.0.0.1:{frontend_health}"
"#
    )
}

fn replica(lineage: &str, number: u64, site: &str, role: &str) -> String {
    format!(
        r#"data_dir = "data"

[cluster]
lineage = "{lineage}"
replica = {number}
site = "{site}"
role = "{role}"
"#
    )
}

fn peers(port: u16) -> String {
    format!(
        r#"
[peers]
listen = "127.0.0.1:{port}"
advertise = "127.0.0.1:{port}"
certificate = "peer.pem"
key = "peer-key.pem"
authority = "peers-ca.pem"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    fn plan() -> Plan {
        let ports = consecutive(9000).expect("there are so many ports");
        Plan::new(&Kept { lineage: "0f".repeat(16), ports }).expect("the ports differ")
    }

    /// The tables of a text, in its order.
    fn tables(text: &str) -> Vec<&str> {
        text.lines().filter(|line| line.starts_with('[')).collect()
    }

    #[test]
    fn a_key_store_has_four_listeners_and_a_root_key() {
        let plan = plan();
        let text = key_store(&plan, &plan.machines[1]);
        assert_eq!(tables(&text), ["[cluster]", "[peers]", "[feed]", "[admin]", "[health]", "[root_key]"]);
        for line in [
            "data_dir = \"data\"",
            "lineage = \"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\"",
            "replica = 2",
            "role = \"data\"",
            "advertise = \"127.0.0.1:9007\"",
            "listen = \"127.0.0.1:9009\"",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        for port in 9007..=9010 {
            assert!(text.contains(&format!("listen = \"127.0.0.1:{port}\"")), "{port} is not in\n{text}");
        }
    }

    #[test]
    fn a_witness_has_no_keys_and_nobody_to_serve() {
        let text = witness(&plan());
        assert_eq!(tables(&text), ["[cluster]", "[peers]", "[health]"]);
        assert!(text.contains("role = \"witness\"") && text.contains("replica = 7\n"), "{text}");
    }

    #[test]
    fn a_frontend_names_its_key_stores_nearest_first() {
        let plan = plan();
        let text = frontend(&plan, &plan.machines[3]);
        assert_eq!(tables(&text), ["[cluster]", "[feed]", "[data]", "[data.key_set]", "[health]"]);
        let first = "key_stores = [\"4@127.0.0.1:9020\", \"5@127.0.0.1:9026\", ";
        assert!(text.contains(first) && text.contains("name = \"b1\""), "{text}");
        assert_eq!(text.matches('@').count(), 6, "{text}");
    }
}
