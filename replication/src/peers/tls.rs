//! TLS between replicas, and between key stores and frontends: 1.3 alone, both sides proven, each by a certificate that names it.
//!
//! What is presented and trusted is replaced as a whole and counts for the next connection. Never resumes a session, since a
//! resumed one looks at no certificate; never asks what host a certificate is for; never logs or shows a private key.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::dial::Calls;
use super::identity::{FrontendIdentity, IdentityError, PeerName};
use super::verify::{Called, Calling, Presents, algorithms, provider};
use crate::ids::{LineageId, ReplicaId};

/// gRPC is HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";

/// What a process presents, and whom it believes.
pub struct Credentials {
    /// Its chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// The authorities of whoever is met; they should sign nothing else.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no certificate.
    #[error("the chain of the certificate is empty; put the process's own certificate first")]
    NoCertificate,
    /// The certificate is not that of this replica.
    #[error("the certificate is not that of {own}")]
    NotOurs {
        /// Who we are.
        own: PeerName,
        /// What is wrong with it.
        #[source]
        source: IdentityError,
    },
    /// The certificate is not that of this frontend.
    #[error("the certificate is not that of {own}")]
    NotTheFrontends {
        /// Who we are.
        own: FrontendIdentity,
        /// What is wrong with it.
        #[source]
        source: IdentityError,
    },
    /// Certificate and key do not belong together, or the key cannot be read.
    #[error("the certificate and private key cannot be used; take both from one issue")]
    Key(#[source] rustls::Error),
    /// An authority's certificate cannot be read.
    #[error("the certificate of an authority cannot be used; issue it anew as an authority")]
    Authority(#[source] rustls::Error),
    /// There is no authority.
    #[error("no authority can be used; give the certificate of the one that signs the certificates of whoever is met")]
    Authorities(#[from] VerifierBuilderError),
}

/// The TLS of one replica. Clones share what is presented.
#[derive(Clone)]
pub struct PeerTls {
    own: PeerName,
    taken: Arc<ArcSwap<Taken>>,
}

/// Certificate, key and authorities take effect together, or not at all.
struct Taken {
    certified: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTls").field("own", &self.own).finish_non_exhaustive()
    }
}

impl PeerTls {
    /// The TLS of the replica that is named.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn new(own: PeerName, credentials: Credentials) -> Result<Self, CredentialsError> {
        let taken = Taken::of(own, credentials)?;
        Ok(Self { own, taken: Arc::new(ArcSwap::from_pointee(taken)) })
    }

    /// Takes renewed credentials for the connections to come. On an error all stays as it is.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn take(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        self.taken.store(Arc::new(Taken::of(self.own, credentials)?));
        Ok(())
    }

    /// Whose it is.
    pub fn own(&self) -> PeerName {
        self.own
    }

    /// For the next connection that comes in.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.taken.load().server)
    }
}

impl Calls for PeerTls {
    fn client(&self, wanted: ReplicaId) -> Arc<ClientConfig> {
        let taken = self.taken.load();
        let wanted = PeerName { replica: wanted, ..self.own };
        calls(wanted, &taken.roots, &taken.certified)
    }
}

impl Taken {
    fn of(own: PeerName, credentials: Credentials) -> Result<Self, CredentialsError> {
        let Credentials { chain, key, authorities } = credentials;
        named_as(own, &chain)?;
        let certified = certified(chain, key)?;
        let roots = roots(authorities)?;
        let server = lets_in(own.lineage, named_as_peer, &roots, &certified)?;
        // the same refusal of an empty store on the other side
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider()).build()?;
        Ok(Self { certified, roots, server })
    }
}

/// The listener of a key store for frontends: it presents the replica's certificate, and believes another authority.
#[derive(Clone)]
pub struct FeedTls {
    own: PeerName,
    server: Arc<ArcSwap<ServerConfig>>,
}

impl fmt::Debug for FeedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedTls").field("own", &self.own).finish_non_exhaustive()
    }
}

impl FeedTls {
    /// Of the replica that is named; `credentials` hold its own chain and the authorities of frontends.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn new(own: PeerName, credentials: Credentials) -> Result<Self, CredentialsError> {
        Ok(Self { own, server: Arc::new(ArcSwap::new(Self::of(own, credentials)?)) })
    }

    /// Takes renewed credentials for the connections to come. On an error all stays as it is.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn take(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        self.server.store(Self::of(self.own, credentials)?);
        Ok(())
    }

    /// Whose it is.
    pub fn own(&self) -> PeerName {
        self.own
    }

    /// For the next connection that comes in.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.server.load_full()
    }

    fn of(own: PeerName, credentials: Credentials) -> Result<Arc<ServerConfig>, CredentialsError> {
        let Credentials { chain, key, authorities } = credentials;
        named_as(own, &chain)?;
        let certified = certified(chain, key)?;
        lets_in(own.lineage, named_as_frontend, &roots(authorities)?, &certified)
    }
}

/// The TLS of one frontend towards key stores.
#[derive(Clone)]
pub struct FrontendTls {
    own: FrontendIdentity,
    taken: Arc<ArcSwap<(Arc<CertifiedKey>, Arc<RootCertStore>)>>,
}

impl fmt::Debug for FrontendTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontendTls").field("own", &self.own).finish_non_exhaustive()
    }
}

impl FrontendTls {
    /// Of the frontend that is named; `credentials` hold its own chain and the authorities of key stores.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn new(own: FrontendIdentity, credentials: Credentials) -> Result<Self, CredentialsError> {
        let taken = Self::of(&own, credentials)?;
        Ok(Self { own, taken: Arc::new(ArcSwap::from_pointee(taken)) })
    }

    /// Takes renewed credentials for the connections to come. On an error all stays as it is.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn take(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        self.taken.store(Arc::new(Self::of(&self.own, credentials)?));
        Ok(())
    }

    /// Whose it is.
    pub fn own(&self) -> &FrontendIdentity {
        &self.own
    }

    fn of(
        own: &FrontendIdentity,
        credentials: Credentials,
    ) -> Result<(Arc<CertifiedKey>, Arc<RootCertStore>), CredentialsError> {
        let Credentials { chain, key, authorities } = credentials;
        let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let named = FrontendIdentity::in_certificate(leaf).and_then(|name| name.called(own));
        named.map_err(|source| CredentialsError::NotTheFrontends { own: own.clone(), source })?;
        let roots = roots(authorities)?;
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider()).build()?;
        Ok((certified(chain, key)?, roots))
    }
}

impl Calls for FrontendTls {
    fn client(&self, wanted: ReplicaId) -> Arc<ClientConfig> {
        let taken = self.taken.load();
        calls(PeerName { lineage: self.own.lineage, replica: wanted }, &taken.1, &taken.0)
    }
}

fn named_as_peer(leaf: &CertificateDer<'_>, lineage: LineageId) -> Result<(), IdentityError> {
    PeerName::in_certificate(leaf).and_then(|name| name.of(lineage)).map(drop)
}

fn named_as_frontend(leaf: &CertificateDer<'_>, lineage: LineageId) -> Result<(), IdentityError> {
    FrontendIdentity::in_certificate(leaf).and_then(|name| name.of(lineage)).map(drop)
}

fn named_as(own: PeerName, chain: &[CertificateDer<'static>]) -> Result<(), CredentialsError> {
    let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
    let named = PeerName::in_certificate(leaf).and_then(|name| name.of(own.lineage)?.called(own.replica));
    named.map(drop).map_err(|source| CredentialsError::NotOurs { own, source })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, CredentialsError> {
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new).map_err(CredentialsError::Key)
}

fn roots(authorities: Vec<CertificateDer<'static>>) -> Result<Arc<RootCertStore>, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(CredentialsError::Authority)?;
    }
    Ok(Arc::new(roots))
}

/// Calls the replica that is wanted, and nobody else.
fn calls(wanted: PeerName, roots: &Arc<RootCertStore>, certified: &Arc<CertifiedKey>) -> Arc<ClientConfig> {
    let verifier = Called { wanted, roots: Arc::clone(roots), algorithms: algorithms() };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites for TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Presents(Arc::clone(certified))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Arc::new(config)
}

/// Lets in whoever the authorities signed and `named` accepts.
fn lets_in(
    lineage: LineageId,
    named: fn(&CertificateDer<'_>, LineageId) -> Result<(), IdentityError>,
    roots: &Arc<RootCertStore>,
    certified: &Arc<CertifiedKey>,
) -> Result<Arc<ServerConfig>, CredentialsError> {
    let inner: Arc<dyn ClientCertVerifier> =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider()).build()?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites for TLS 1.3")
        .with_client_cert_verifier(Arc::new(Calling { lineage, named, inner }))
        .with_cert_resolver(Arc::new(Presents(Arc::clone(certified))));
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Arc::new(server))
}
