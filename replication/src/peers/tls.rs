//! TLS between replicas: 1.3 alone, both sides proven, each by a certificate that names its replica.
//!
//! What is presented and trusted is replaced as a whole and counts for the next connection. Never resumes a session, since a
//! resumed one looks at no certificate; never asks what host a certificate is for; never logs or shows a private key.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::identity::{IdentityError, PeerName};
use crate::ids::ReplicaId;

/// gRPC is HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";

/// What a replica presents to its peers, and whom it believes.
pub struct Credentials {
    /// Its chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// The authorities of peers' certificates; they should sign nothing else.
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
    #[error("the chain of the replica's certificate is empty; put its certificate first")]
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
    /// Certificate and key do not belong together, or the key cannot be read.
    #[error("the replica's certificate and private key cannot be used; take both from one issue")]
    Key(#[source] rustls::Error),
    /// An authority's certificate cannot be read.
    #[error("the certificate of a peers' authority cannot be used; issue it anew as an authority")]
    Authority(#[source] rustls::Error),
    /// There is no authority.
    #[error("no authority of peers can be used; give the certificate of the one that signs the peers' certificates")]
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
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.taken.load().server)
    }

    /// For the next connection to a replica, which must prove that it is the one.
    pub(super) fn client(&self, wanted: ReplicaId) -> Arc<ClientConfig> {
        let taken = self.taken.load();
        let wanted = PeerName { replica: wanted, ..self.own };
        let verifier = Called { wanted, roots: Arc::clone(&taken.roots), algorithms: algorithms() };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Presents(Arc::clone(&taken.certified))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Arc::new(config)
    }
}

impl Taken {
    fn of(own: PeerName, credentials: Credentials) -> Result<Self, CredentialsError> {
        let Credentials { chain, key, authorities } = credentials;
        let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let named = PeerName::in_certificate(leaf).and_then(|name| name.of(own.lineage)?.called(own.replica));
        named.map_err(|source| CredentialsError::NotOurs { own, source })?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(CredentialsError::Key)?;
        let certified = Arc::new(certified);
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(CredentialsError::Authority)?;
        }
        let roots = Arc::new(roots);
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider()).build()?;
        // the same refusal of an empty store on the other side
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider()).build()?;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .with_client_cert_verifier(Arc::new(Calling { own, inner }))
            .with_cert_resolver(Arc::new(Presents(Arc::clone(&certified))));
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { certified, roots, server: Arc::new(server) })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}

fn refused(error: IdentityError) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

/// Presents one identity to everybody.
struct Presents(Arc<CertifiedKey>);

impl fmt::Debug for Presents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presents")
    }
}

impl rustls::server::ResolvesServerCert for Presents {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl rustls::client::ResolvesClientCert for Presents {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Lets in whoever is signed by the peers' authority, in date, for clients, and named as a peer of this cluster.
#[derive(Debug)]
struct Calling {
    own: PeerName,
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Calling {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(leaf, intermediates, now)?;
        PeerName::in_certificate(leaf).and_then(|name| name.of(self.own.lineage)).map_err(refused)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Believes whoever is signed by the peers' authority, in date, for servers, and named as the replica that was called.
#[derive(Debug)]
struct Called {
    wanted: PeerName,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Called {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all)?;
        let name = PeerName::in_certificate(leaf).and_then(|name| name.of(self.wanted.lineage));
        name.and_then(|name| name.called(self.wanted.replica)).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
