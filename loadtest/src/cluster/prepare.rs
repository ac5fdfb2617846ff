//! What a start has on the disk before it runs anything: the folder, its lock, the kept plan with ports that are free, and the files
//! of every process. Nothing is written before the ports are known to be free.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::balanced;
use super::certificates;
use super::demo::CALLER;
use super::error::ClusterError;
use super::file;
use super::layout::{self, Access, Layout};
use super::plan::{Kept, PORTS, Plan, consecutive};
use super::stop;
use super::{BASE_PORT_DEFAULT, haproxy, settings};
use crate::dev;
use crate::issuer::Issuer;

/// The first port that is looked at for a free one.
const FREE_PORTS_FROM: u16 = 10_000;
/// So many may be taken.
const FREE_PORT_TRIES_MAX: u32 = 10_000;
/// Which ports the system gives to those who connect: the first and the last.
const GIVEN_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or it is not there.
    Nothing,
    /// A cluster that does not run.
    Stopped(Kept),
}

/// Looks into a folder; changes nothing.
///
/// # Errors
/// If something else is there, or a cluster that runs.
pub fn look(folder: &Path) -> Result<Found, ClusterError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(cause) => return Err(ClusterError::file("look into", folder, cause)),
    };
    let layout = Layout::of(folder)?;
    let path = layout.plan();
    let Some(text) = layout::read(&path)? else {
        // a start that was cut short has left the lock at most
        let mut names = entries.map(|entry| entry.map(|entry| entry.path()));
        let is_empty = names.all(|path| path.is_ok_and(|path| path.file_name() == layout.lock().file_name()));
        return if is_empty { Ok(Found::Nothing) } else { Err(ClusterError::Foreign { folder: folder.to_owned() }) };
    };
    let records = file::running(&layout)?;
    match stop::living(&records).len() {
        0 => {}
        processes => return Err(ClusterError::Running { folder: folder.to_owned(), processes }),
    }
    serde_json::from_slice(&text).map(Found::Stopped).map_err(|cause| ClusterError::Malformed { path, cause })
}

/// The ports of a start.
///
/// # Errors
/// If they cannot be those that were asked for, or a row of them does not exist.
pub fn ports(found: &Found, base: Option<u16>, folder: &Path) -> Result<Vec<u16>, ClusterError> {
    match (found, base) {
        (Found::Stopped(kept), Some(base)) if base != 0 && kept.ports.first() != Some(&base) => {
            let first = kept.ports.first().copied().unwrap_or_default();
            Err(ClusterError::PortsStay { folder: folder.to_owned(), first })
        }
        (Found::Stopped(kept), _) => Ok(kept.ports.clone()),
        (Found::Nothing, Some(0)) => free_ports().map_err(ClusterError::NoPorts),
        (Found::Nothing, base) => {
            let base = base.unwrap_or(BASE_PORT_DEFAULT);
            consecutive(base).ok_or(ClusterError::PortsEnd { base })
        }
    }
}

/// Ports that nobody has now, and that the system gives to nobody who connects: the key stores do so before the frontends listen, and a
/// cluster that was stopped wants its ports again. All are held until the last is found, so that they differ.
fn free_ports() -> io::Result<Vec<u16>> {
    let given_from = fs::read_to_string(GIVEN_PORTS)?;
    let given_from = given_from.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(u16::MAX);
    let range = FREE_PORTS_FROM..given_from.max(FREE_PORTS_FROM + PORTS);
    let mut held = Vec::new();
    let mut tries_left = FREE_PORT_TRIES_MAX;
    while held.len() < usize::from(PORTS) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(range.clone()))) {
            Ok(free) => held.push(free),
            Err(cause) if tries_left == 0 => return Err(cause),
            Err(_) => tries_left -= 1,
        }
    }
    held.iter().map(|one| Ok(one.local_addr()?.port())).collect()
}

/// That nobody listens on any port of the plan.
///
/// # Errors
/// [`ClusterError::PortTaken`] of the first that is taken.
pub fn free(plan: &Plan) -> Result<(), ClusterError> {
    for (port, process) in plan.listeners() {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|cause| ClusterError::PortTaken {
            port,
            process,
            cause,
        })?;
    }
    Ok(())
}

/// Takes the folder for as long as the file is open.
///
/// # Errors
/// If another start or stop has it.
pub fn lock(layout: &Layout) -> Result<File, ClusterError> {
    let path = layout.lock();
    let failed = |cause| ClusterError::file("lock", &path, cause);
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(opened),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ClusterError::Busy { folder: layout.root().to_owned() }),
        Err(cause) => Err(failed(cause.into())),
    }
}

/// Writes the files of every process. What an earlier start made and must stay, stays: authorities, people, the issuer.
///
/// # Errors
/// If one cannot be written.
pub fn files(layout: &Layout, plan: &Plan) -> Result<(), ClusterError> {
    certificates::issue(layout, plan)?;
    if layout::read(&layout.issuer_key())?.is_none() {
        layout::write(&layout.issuer_key(), Issuer::new_key().as_bytes(), Access::Owner)?;
    }
    let key_set = Issuer::load(&layout.issuer_key(), None)?.key_set().to_string();
    layout::write(&layout.key_set(), key_set.as_bytes(), Access::Owner)?;
    token(layout)?;
    for machine in &plan.machines {
        let folder = layout.machine(machine.name);
        for name in ["data", "audit"] {
            layout::make_folder(&folder.join(name))?;
        }
        layout::write(&folder.join("jwks.json"), key_set.as_bytes(), Access::Owner)?;
        let key_store = settings::key_store(plan, machine);
        layout::write(&layout.key_store_settings(machine.name), key_store.as_bytes(), Access::Owner)?;
        let frontend = settings::frontend(plan, machine);
        layout::write(&layout.frontend_settings(machine.name), frontend.as_bytes(), Access::Owner)?;
    }
    let witness = plan.witness.name;
    layout::make_folder(&layout.machine(witness).join("data"))?;
    layout::write(&layout.key_store_settings(witness), settings::witness(plan).as_bytes(), Access::Owner)?;
    layout::write(&layout.balancer(), haproxy::configuration(plan).as_bytes(), Access::Owner)
}

/// Writes a fresh token for the demo key, and gives it.
///
/// # Errors
/// If it cannot be signed or written.
pub fn token(layout: &Layout) -> Result<String, ClusterError> {
    let token = dev::own_token(&layout.issuer_key(), &balanced::identity(), CALLER)?;
    layout::write(&layout.token(), token.as_bytes(), Access::Owner)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(base: u16) -> Kept {
        Kept { lineage: "0f".repeat(16), ports: consecutive(base).expect("there are so many ports") }
    }

    #[test]
    fn a_folder_is_empty_ours_or_somebody_elses() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (at, look) = (|name: &str| folder.path().join(name), || look(folder.path()));
        assert_eq!(super::look(&at("none")).expect("it is not there"), Found::Nothing);
        assert_eq!(look().expect("it is empty"), Found::Nothing);
        fs::write(at("lock"), "").expect("the folder is writable");
        assert_eq!(look().expect("it has a lock alone"), Found::Nothing);
        fs::write(at("notes"), "").expect("the folder is writable");
        assert!(matches!(look(), Err(ClusterError::Foreign { .. })));
        fs::write(at("plan.json"), serde_json::to_vec(&kept(9000)).expect("it is JSON")).expect("writable");
        assert_eq!(look().expect("it is ours"), Found::Stopped(kept(9000)));
        fs::write(at("plan.json"), "{}").expect("the folder is writable");
        assert!(matches!(look(), Err(ClusterError::Malformed { .. })));
    }

    #[test]
    fn the_ports_of_the_first_start_stay() {
        let ports = |found: &Found, base| ports(found, base, Path::new("d"));
        let stopped = Found::Stopped(kept(9000));
        for same in [None, Some(9000), Some(0)] {
            assert_eq!(ports(&stopped, same).expect("they are its own"), kept(9000).ports);
        }
        assert!(matches!(ports(&stopped, Some(9001)), Err(ClusterError::PortsStay { first: 9000, .. })));
        assert_eq!(ports(&Found::Nothing, None).expect("the default")[0], BASE_PORT_DEFAULT);
        assert!(matches!(ports(&Found::Nothing, Some(65_530)), Err(ClusterError::PortsEnd { .. })));
    }

    #[test]
    fn free_ports_make_a_plan_and_a_taken_one_is_named() {
        let ports = ports(&Found::Nothing, Some(0), Path::new("d")).expect("there are free ports");
        assert!(ports.iter().all(|port| *port >= FREE_PORTS_FROM), "{ports:?}");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("they differ");
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, plan.machines[4].admin)).expect("it is free");
        let error = free(&plan).expect_err("one is taken");
        let told = error.to_string();
        assert!(told.contains(&plan.machines[4].admin.to_string()) && told.contains("keystore-b2"), "{told}");
        assert_eq!(error.code(), crate::exit::UNREACHABLE);
    }

    #[test]
    fn a_folder_is_for_one_start_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        let first = lock(&layout).expect("nobody has it");
        assert!(matches!(lock(&layout), Err(ClusterError::Busy { .. })));
        drop(first);
        lock(&layout).expect("it was given back");
    }
}
