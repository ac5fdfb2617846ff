//! Who gets through a handshake, and who does not.

use std::sync::Arc;

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::pki::{Authority, LINEAGE, OTHER_LINEAGE};
use crate::ids::ReplicaId;
use crate::peers::dial::Calls as _;
use crate::peers::tls::CredentialsError;

const ONE: ReplicaId = ReplicaId(1);
const TWO: ReplicaId = ReplicaId(2);

/// Whether a byte gets from the client to the server and back: in TLS 1.3 a client learns of a refusal only when it reads.
async fn meet(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<(), String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("peer.invalid").expect("a legal name");
    let serving = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.shutdown().await
    };
    let calling = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.write_u8(7).await?;
        stream.read_u8().await.map(drop)
    };
    let (served, called) = tokio::join!(serving, calling);
    called.and(served).map_err(|error| error.to_string())
}

/// A client that presents what a test plants, and checks nothing.
fn presenting(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: &Authority,
) -> Arc<ClientConfig> {
    let base = authority.tls(ONE).client(TWO);
    let certified = rustls::sign::CertifiedKey::from_der(chain, key, base.crypto_provider()).expect("they fit");
    let mut config = ClientConfig::clone(&base);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    Arc::new(config)
}

#[tokio::test]
async fn two_replicas_of_one_cluster_meet() {
    let authority = Authority::new("peers");
    assert_eq!(meet(authority.tls(ONE).client(TWO), authority.tls(TWO).server_config()).await, Ok(()));
}

#[tokio::test]
async fn a_replica_is_believed_only_under_its_own_name() {
    let authority = Authority::new("peers");
    let refused = meet(authority.tls(ONE).client(ReplicaId(3)), authority.tls(TWO).server_config()).await;
    let refused = refused.expect_err("replica 2 answers for replica 3");
    assert!(refused.contains("certificate"), "{refused}");
}

#[tokio::test]
async fn another_authority_is_believed_by_neither_side() {
    let (ours, foreign) = (Authority::new("peers"), Authority::new("peers"));
    assert!(meet(foreign.tls(ONE).client(TWO), ours.tls(TWO).server_config()).await.is_err());
    let (certificate, key) = foreign.issue(&[format!("ekm://{LINEAGE}/replica/1")]);
    let refused = meet(presenting(vec![certificate], key, &ours), ours.tls(TWO).server_config()).await;
    assert!(refused.is_err(), "a foreign client was let in");
}

#[tokio::test]
async fn certificates_of_another_kind_are_refused_in_the_handshake_whoever_signed_them() {
    let authority = Authority::new("everything");
    let both = &[ClientAuth, ServerAuth][..];
    let table = [
        ("frontend", vec![format!("ekm://{LINEAGE}/frontend/1")], both, 1),
        ("operator", vec![format!("ekm://{LINEAGE}/operator/ada")], both, 1),
        ("probe", vec![format!("ekm://{LINEAGE}/probe/1")], both, 1),
        ("host", vec!["dns:replica-1.example".to_owned()], both, 1),
        ("nameless", vec![], both, 1),
        ("two kinds", vec![format!("ekm://{LINEAGE}/replica/1"), format!("ekm://{LINEAGE}/frontend/1")], both, 1),
        ("other cluster", vec![format!("ekm://{OTHER_LINEAGE}/replica/1")], both, 1),
        ("for servers alone", vec![format!("ekm://{LINEAGE}/replica/1")], &both[1..], 1),
        ("expired", vec![format!("ekm://{LINEAGE}/replica/1")], both, 0),
    ];
    for (kind, names, uses, days) in table {
        let (certificate, key) = authority.issue_for(&names, uses, days);
        let client = presenting(vec![certificate], key, &authority);
        assert!(meet(client, authority.tls(TWO).server_config()).await.is_err(), "{kind} was let in");
    }
    let (certificate, key) = authority.issue(&[format!("ekm://{LINEAGE}/replica/1")]);
    let client = presenting(vec![certificate], key, &authority);
    assert_eq!(meet(client, authority.tls(TWO).server_config()).await, Ok(()), "the table's own client is sound");
}

#[tokio::test]
async fn renewed_credentials_count_for_the_next_connection() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (one, two) = (old.tls(ONE), old.tls(TWO));
    assert_eq!(meet(one.client(TWO), two.server_config()).await, Ok(()));
    two.take(new.credentials(TWO)).expect("they are replica 2's");
    assert!(meet(one.client(TWO), two.server_config()).await.is_err());
    one.take(new.credentials(ONE)).expect("they are replica 1's");
    assert_eq!(meet(one.client(TWO), two.server_config()).await, Ok(()));
}

#[test]
fn credentials_of_another_replica_or_without_an_authority_are_not_taken() {
    let authority = Authority::new("peers");
    let tls = authority.tls(ONE);
    assert!(matches!(tls.take(authority.credentials(TWO)), Err(CredentialsError::NotOurs { .. })));
    let mut alone = authority.credentials(ONE);
    alone.authorities.clear();
    assert!(matches!(tls.take(alone), Err(CredentialsError::Authorities(_))));
    let mut mixed = authority.credentials(ONE);
    mixed.key = authority.credentials(ONE).key;
    assert!(matches!(tls.take(mixed), Err(CredentialsError::Key(_))));
    let mut nothing = authority.credentials(ONE);
    nothing.chain.clear();
    assert!(matches!(tls.take(nothing), Err(CredentialsError::NoCertificate)));
}
