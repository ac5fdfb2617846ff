//! The plan of a cluster on one machine: which process stands at which site, under which name and number, on which ports. Pure: it
//! takes a lineage and a row of ports, and touches nothing.

use serde::{Deserialize, Serialize};

/// How many ports a cluster takes: one for the load balancer, six for each machine, two for the witness.
pub const PORTS: u16 = 1 + 6 * MACHINES_LEN + 2;

const MACHINES_LEN: u16 = 6;

/// The machines with keys, in the order of their replicas' numbers. Two voters at each site; the third is there to be promoted.
const MACHINES: [(&str, &str, Standing); MACHINES_LEN as usize] = [
    ("a1", "a", Standing::Voter),
    ("a2", "a", Standing::Voter),
    ("a3", "a", Standing::Learner),
    ("b1", "b", Standing::Voter),
    ("b2", "b", Standing::Voter),
    ("b3", "b", Standing::Learner),
];

const WITNESS: (&str, &str) = ("w1", "w");

/// What a replica does in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Voter,
    Learner,
}

impl Standing {
    /// What such a replica is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
        }
    }
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Loadbalancer,
    Frontend,
    Keystore,
    Witness,
}

/// One machine: a key store and a frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub name: &'static str,
    pub site: &'static str,
    /// The number of its key store's replica.
    pub replica: u64,
    pub standing: Standing,
    /// Where its key store listens for other replicas.
    pub peers: u16,
    /// Where its key store feeds frontends.
    pub feed: u16,
    /// Where its key store listens for operators.
    pub admin: u16,
    /// Where its key store tells of its health, over plain HTTP.
    pub key_store_health: u16,
    /// Where its frontend listens for callers.
    pub data: u16,
    /// Where its frontend tells of its health, over plain HTTP.
    pub frontend_health: u16,
}

/// The machine that votes and holds no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub name: &'static str,
    pub site: &'static str,
    pub replica: u64,
    pub peers: u16,
    pub health: u16,
}

/// A whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The id of the cluster's keys, 32 hex digits.
    pub lineage: String,
    /// Where callers reach it.
    pub balancer: u16,
    pub machines: Vec<Machine>,
    pub witness: Witness,
}

/// What of a plan is kept over restarts: the rest follows from it. A replica never changes its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub lineage: String,
    pub ports: Vec<u16>,
}

/// The name of the load balancer's process.
pub const BALANCER: &str = "haproxy";

impl Machine {
    /// The name of its key store's process.
    pub fn key_store(&self) -> String {
        format!("keystore-{}", self.name)
    }

    /// The name of its frontend's process.
    pub fn frontend(&self) -> String {
        format!("frontend-{}", self.name)
    }
}

impl Witness {
    /// The name of its process.
    pub fn process(&self) -> String {
        format!("witness-{}", self.name)
    }
}

impl Plan {
    /// The plan for these ports; `None` unless there are [`PORTS`] different ones.
    pub fn new(kept: &Kept) -> Option<Self> {
        let mut sorted = kept.ports.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != usize::from(PORTS) || kept.ports.len() != usize::from(PORTS) || sorted[0] == 0 {
            return None;
        }
        let mut ports = kept.ports.iter().copied();
        let mut next = || ports.next().expect("their number was checked above");
        let balancer = next();
        let machines = MACHINES.iter().zip(1..).map(|(&(name, site, standing), replica)| Machine {
            name,
            site,
            replica,
            standing,
            peers: next(),
            feed: next(),
            admin: next(),
            key_store_health: next(),
            data: next(),
            frontend_health: next(),
        });
        let machines: Vec<Machine> = machines.collect();
        let (name, site) = WITNESS;
        let witness = Witness { name, site, replica: machines.len() as u64 + 1, peers: next(), health: next() };
        Some(Self { lineage: kept.lineage.clone(), balancer, machines, witness })
    }

    /// The machine whose key store makes the cluster.
    pub fn first(&self) -> &Machine {
        &self.machines[0]
    }

    /// Every port, with the process that listens on it.
    pub fn listeners(&self) -> Vec<(u16, String)> {
        let mut all = vec![(self.balancer, BALANCER.to_owned())];
        for machine in &self.machines {
            let of_key_store = [machine.peers, machine.feed, machine.admin, machine.key_store_health];
            all.extend(of_key_store.map(|port| (port, machine.key_store())));
            all.extend([machine.data, machine.frontend_health].map(|port| (port, machine.frontend())));
        }
        all.extend([self.witness.peers, self.witness.health].map(|port| (port, self.witness.process())));
        all
    }

    /// The key stores that a frontend asks, nearest first: its own machine's, its own site's, the other site's.
    pub fn key_stores_for(&self, frontend: &Machine) -> Vec<&Machine> {
        let distance = |one: &&Machine| (one.name != frontend.name, one.site != frontend.site);
        let mut all: Vec<&Machine> = self.machines.iter().collect();
        all.sort_by_key(distance);
        all
    }
}

/// [`PORTS`] ports in a row; `None` if they do not all exist.
pub fn consecutive(base: u16) -> Option<Vec<u16>> {
    let last = base.checked_add(PORTS - 1)?;
    (base > 0).then(|| (base..=last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let ports = consecutive(21_000).expect("there are so many ports");
        Plan::new(&Kept { lineage: "0f".repeat(16), ports }).expect("the ports differ")
    }

    #[test]
    fn the_balancer_has_the_first_port_and_every_listener_one_of_its_own() {
        let plan = plan();
        assert_eq!(plan.balancer, 21_000);
        let mut ports: Vec<u16> = plan.listeners().iter().map(|(port, _)| *port).collect();
        assert_eq!(ports, (21_000..21_000 + PORTS).collect::<Vec<_>>(), "in the order of the list");
        ports.dedup();
        assert_eq!(ports.len(), usize::from(PORTS));
        assert_eq!(plan.listeners().last().map(|(_, name)| name.as_str()), Some("witness-w1"));
    }

    #[test]
    fn two_machines_of_each_site_vote_and_the_witness_makes_five() {
        let plan = plan();
        let named =
            |standing| plan.machines.iter().filter(|one| one.standing == standing).map(|one| one.name).collect();
        let (voters, learners): (Vec<_>, Vec<_>) = (named(Standing::Voter), named(Standing::Learner));
        assert_eq!((voters, learners), (vec!["a1", "a2", "b1", "b2"], vec!["a3", "b3"]));
        let numbers: Vec<u64> = plan.machines.iter().map(|one| one.replica).collect();
        assert_eq!((numbers, plan.witness.replica), (vec![1, 2, 3, 4, 5, 6], 7));
    }

    #[test]
    fn a_frontend_asks_its_own_machine_first_and_the_other_site_last() {
        let plan = plan();
        let asked = |at: usize| plan.key_stores_for(&plan.machines[at]).iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(asked(1), ["a2", "a1", "a3", "b1", "b2", "b3"]);
        assert_eq!(asked(5), ["b3", "b1", "b2", "a1", "a2", "a3"]);
    }

    #[test]
    fn ports_that_do_not_exist_or_come_twice_make_no_plan() {
        assert_eq!(consecutive(0), None);
        assert_eq!(consecutive(u16::MAX - PORTS + 2), None);
        let last = consecutive(u16::MAX - PORTS + 1).expect("the very last ports");
        assert_eq!(last.last(), Some(&u16::MAX));
        let mut twice = last.clone();
        twice[3] = twice[7];
        for ports in [vec![], last[1..].to_vec(), twice] {
            assert_eq!(Plan::new(&Kept { lineage: String::new(), ports }), None);
        }
    }
}
