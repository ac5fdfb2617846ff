//! The certificates of a cluster, from four authorities: those of peers, of frontends, of operators and of servers. Authorities and
//! people keep their keys; processes get new ones at every start. For trying out only: nothing here expires.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, SanType,
};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::error::ClusterError;
use super::layout::{self, Access, Layout};
use super::plan::Plan;
use super::settings::HOSTNAME;

/// Somebody whom the first start enrols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The common name of their certificate.
    pub name: &'static str,
    /// What the names of their files begin with.
    pub files: &'static str,
    pub role: &'static str,
}

/// The same people as of `ekm dev`: one operator, and the two officers that it takes to make another.
pub const PEOPLE: [Person; 3] = [
    Person { name: "dev-operator", files: "operator", role: "operator" },
    Person { name: "dev-officer-1", files: "officer-1", role: "security_officer" },
    Person { name: "dev-officer-2", files: "officer-2", role: "security_officer" },
];
/// Who makes tenants and keys.
pub const OPERATOR: Person = PEOPLE[0];
/// Who lets replicas join.
pub const OFFICER: Person = PEOPLE[1];

/// The authority of the servers, which callers trust.
pub const SERVERS: &str = "servers-ca.pem";
const PEERS: &str = "peers-ca.pem";
const FRONTENDS: &str = "frontends-ca.pem";
const OPERATORS: &str = "operators-ca.pem";

impl Person {
    /// The file of their certificate, in the folder of certificates.
    pub fn certificate(self) -> String {
        format!("{}.pem", self.files)
    }

    /// The file of their key.
    pub fn key(self) -> String {
        format!("{}-key.pem", self.files)
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
struct Leaf {
    certificate: String,
    key: String,
}

/// Writes everybody's certificates: those of authorities and people below the folder `pki`, and into the folder of each machine what
/// its processes present and whom they trust.
///
/// # Errors
/// If a file cannot be used or a certificate cannot be made.
pub fn issue(layout: &Layout, plan: &Plan) -> Result<(), ClusterError> {
    let peers = authority(layout, PEERS, "peers")?;
    let frontends = authority(layout, FRONTENDS, "frontends")?;
    let operators = authority(layout, OPERATORS, "operators")?;
    let servers = authority(layout, SERVERS, "servers")?;
    for person in PEOPLE {
        let key = ed25519(layout, &person.key())?;
        let certificate = signed(client_of(person.name, None)?, &key, &operators)?;
        layout::write(&layout.of_pki(&person.certificate()), certificate.as_bytes(), Access::Owner)?;
    }
    let peer = |replica: u64| -> Result<Leaf, ClusterError> {
        let name = format!("ekm://{}/replica/{replica}", plan.lineage);
        let mut params = client_of(&format!("replica {replica}"), Some(name))?;
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        leaf(params, &peers)
    };
    for machine in &plan.machines {
        put(layout, machine.name, "peer", &peer(machine.replica)?)?;
        let name = format!("ekm://{}/frontend/{}", plan.lineage, machine.name);
        put(layout, machine.name, "frontend", &leaf(client_of(machine.name, Some(name))?, &frontends)?)?;
        put(layout, machine.name, "server", &leaf(server()?, &servers)?)?;
        for (file, authority) in [(PEERS, &peers), (FRONTENDS, &frontends), (OPERATORS, &operators)] {
            let copy = layout.machine(machine.name).join(file);
            layout::write(&copy, authority.pem.as_bytes(), Access::Owner)?;
        }
    }
    let witness = &plan.witness;
    put(layout, witness.name, "peer", &peer(witness.replica)?)?;
    layout::write(&layout.machine(witness.name).join(PEERS), peers.pem.as_bytes(), Access::Owner)
}

fn put(layout: &Layout, machine: &str, name: &str, leaf: &Leaf) -> Result<(), ClusterError> {
    let at = |ending: &str| layout.machine(machine).join(format!("{name}{ending}"));
    layout::write(&at("-key.pem"), leaf.key.as_bytes(), Access::Owner)?;
    layout::write(&at(".pem"), leaf.certificate.as_bytes(), Access::Owner)
}

/// The authority with this file; its key is kept beside it.
fn authority(layout: &Layout, file: &str, of: &str) -> Result<Authority, ClusterError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("loadtest cluster, {of}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let path = layout.of_pki(&file.replace(".pem", "-key.pem"));
    let key = if let Some(pem) = layout::read(&path)? {
        KeyPair::from_pem(&String::from_utf8_lossy(&pem))?
    } else {
        let key = KeyPair::generate()?;
        layout::write(&path, key.serialize_pem().as_bytes(), Access::Owner)?;
        key
    };
    let pem = if let Some(pem) = layout::read(&layout.of_pki(file))? {
        String::from_utf8_lossy(&pem).into_owned()
    } else {
        let pem = params.self_signed(&key)?.pem();
        layout::write(&layout.of_pki(file), pem.as_bytes(), Access::Owner)?;
        pem
    };
    Ok(Authority { pem, issuer: Issuer::new(params, key) })
}

/// A person's key, kept: it signs requests, and the cluster knows its public half. PKCS#8 in version 1, which every OpenSSL reads.
fn ed25519(layout: &Layout, file: &str) -> Result<KeyPair, ClusterError> {
    let path = layout.of_pki(file);
    if let Some(pem) = layout::read(&path)? {
        return Ok(KeyPair::from_pem(&String::from_utf8_lossy(&pem))?);
    }
    let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(ClusterError::Key)?;
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_ref()), &PKCS_ED25519)?;
    layout::write(&path, key.serialize_pem().as_bytes(), Access::Owner)?;
    Ok(key)
}

/// A client with this common name, and a name of the cluster's if it is a process of it.
fn client_of(common_name: &str, name: Option<String>) -> Result<CertificateParams, ClusterError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(name) = name {
        params.subject_alt_names = vec![SanType::URI(name.try_into()?)];
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn server() -> Result<CertificateParams, ClusterError> {
    let mut params = CertificateParams::new([HOSTNAME, "127.0.0.1"].map(ToOwned::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, HOSTNAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn leaf(params: CertificateParams, authority: &Authority) -> Result<Leaf, ClusterError> {
    let key = KeyPair::generate()?;
    Ok(Leaf { certificate: signed(params, &key, authority)?, key: key.serialize_pem() })
}

fn signed(mut params: CertificateParams, key: &KeyPair, authority: &Authority) -> Result<String, ClusterError> {
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params.signed_by(key, &authority.issuer)?.pem())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    #[test]
    fn authorities_and_people_stay_and_processes_get_new_certificates() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        let ports = consecutive(9000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: "0f".repeat(16), ports }).expect("the ports differ");
        let read = |name: &str| fs::read(folder.path().join(name)).expect("the file was written");
        issue(&layout, &plan).expect("certificates can be made");
        let kept = ["pki/peers-ca.pem", "pki/servers-ca.pem", "pki/officer-2-key.pem", "a1/frontends-ca.pem"];
        let (before, peer) = (kept.map(read), read("a1/peer.pem"));
        issue(&layout, &plan).expect("and again");
        assert_eq!(kept.map(read), before);
        assert_ne!(read("a1/peer.pem"), peer);
        let of_witness = fs::read_dir(folder.path().join("w1")).expect("it has a folder");
        assert_eq!(of_witness.count(), 3, "a certificate, its key, and whom it trusts");
    }

    #[test]
    fn a_client_trusts_a_server_that_shows_its_certificate() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::of(folder.path()).expect("the folder is there");
        let servers = authority(&layout, SERVERS, "servers").expect("an authority can be made");
        let made = leaf(server().expect("the names are legal"), &servers).expect("a certificate can be made");
        let text = made.certificate + &servers.pem;
        let roots = reqwest::Certificate::from_pem_bundle(text.as_bytes()).expect("they are PEM");
        assert_eq!(roots.len(), 2);
    }
}
