//! TLS of the listeners: certificate and key from files, the two server configurations, and the place where a renewed
//! certificate is put. It must never log or show a private key, and never weaken what rustls checks by default.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use replication::clock::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The protocols offered, the preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

const MILLIS_PER_DAY: f64 = 86_400_000.0;

/// What can be wrong with the files that TLS is made of. Each message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no such file.
    #[error("{} does not exist; create it or correct the path in the settings", .0.display())]
    Missing(PathBuf),
    /// The file is there and cannot be read.
    #[error("{} cannot be read; give the server's user permission to read it", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something between PEM lines that is not PEM.
    #[error("{} is not valid PEM; write it anew from its source", .file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What the parser said.
        source: pem::Error,
    },
    /// No `CERTIFICATE` section.
    #[error("{} holds no certificate; it needs a BEGIN CERTIFICATE section, the leaf first", .0.display())]
    NoCertificate(PathBuf),
    /// No private key section.
    #[error("{} holds no private key; it needs a BEGIN PRIVATE KEY section without a passphrase", .0.display())]
    NoKey(PathBuf),
    /// The bytes of a certificate cannot be understood.
    #[error("{} holds a certificate that cannot be read; issue it anew", .0.display())]
    BadCertificate(PathBuf),
    /// The key is of a kind that is not supported, or damaged.
    #[error("{} holds a private key that cannot be used; use ECDSA P-256 or RSA of 2048 bits or more", .file.display())]
    BadKey {
        /// The file.
        file: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// Certificate and key are each good and do not belong together.
    #[error("the key in {} does not belong to the certificate in {}; install the pair that was issued together",
        .key.display(), .certificate.display())]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate's last day is over.
    #[error("the certificate in {} expired on {not_after}; renew it", .file.display())]
    Expired {
        /// The file.
        file: PathBuf,
        /// Its last moment, as text.
        not_after: String,
    },
    /// The authority for client certificates cannot be used.
    #[error("the certificates in {} cannot serve as an authority for client certificates; use the operators' CA",
        .file.display())]
    BadAuthority {
        /// The file.
        file: PathBuf,
        /// What rustls said.
        source: VerifierBuilderError,
    },
}

/// A certificate chain, leaf first, with its private key. Shared when cloned.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    not_after: Timestamp,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Identity").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads a PEM chain and its PEM key, and refuses what would not serve at `now`.
    ///
    /// # Errors
    /// Every [`TlsError`] but `BadAuthority`.
    pub fn load(certificate_file: &Path, key_file: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let chain = read_certificates(certificate_file)?;
        let not_after = expiry(&chain[0]).ok_or_else(|| TlsError::BadCertificate(certificate_file.to_owned()))?;
        if not_after <= now {
            return Err(TlsError::Expired { file: certificate_file.to_owned(), not_after: day(not_after) });
        }
        let key = read_key(key_file)?;
        let certified =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|source| match source {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::KeyMismatch { certificate: certificate_file.to_owned(), key: key_file.to_owned() }
                }
                source => TlsError::BadKey { file: key_file.to_owned(), source },
            })?;
        Ok(Self { certified: Arc::new(certified), not_after })
    }

    /// The chain as it is presented, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The last moment at which the leaf is valid.
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// One listener's TLS: its configuration, and the identity that it presents now.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    presented: Arc<Presented>,
}

impl ServerTls {
    /// TLS 1.2 and 1.3 without client certificates: for callers that prove themselves by a token.
    pub fn data(identity: Identity) -> Self {
        let presented = Arc::new(Presented(ArcSwap::from_pointee(identity)));
        let config = protocols().with_no_client_auth().with_cert_resolver(Arc::clone(&presented) as _);
        Self::with(config, presented)
    }

    /// TLS 1.2 and 1.3 with a client certificate of one of the authorities in `operator_ca_file`: for operators.
    ///
    /// # Errors
    /// [`TlsError`] of the authority's file.
    pub fn admin(identity: Identity, operator_ca_file: &Path) -> Result<Self, TlsError> {
        let mut authorities = RootCertStore::empty();
        for certificate in read_certificates(operator_ca_file)? {
            let added = authorities.add(certificate);
            added.map_err(|_| TlsError::BadCertificate(operator_ca_file.to_owned()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider())
            .build()
            .map_err(|source| TlsError::BadAuthority { file: operator_ca_file.to_owned(), source })?;
        let presented = Arc::new(Presented(ArcSwap::from_pointee(identity)));
        let mut config =
            protocols().with_client_cert_verifier(verifier).with_cert_resolver(Arc::clone(&presented) as _);
        // a resumed session would not look at the client's certificate again, which may have expired meanwhile
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self::with(config, presented))
    }

    fn with(mut config: ServerConfig, presented: Arc<Presented>) -> Self {
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Self { config: Arc::new(config), presented }
    }

    /// Presents `identity` from the next handshake on. Open connections keep theirs.
    pub fn install(&self, identity: Identity) {
        self.presented.0.store(Arc::new(identity));
    }

    /// What is presented now.
    pub fn identity(&self) -> Identity {
        Identity::clone(&self.presented.0.load())
    }

    /// Days from `now` until the presented leaf expires; negative when it has.
    #[expect(clippy::cast_precision_loss, reason = "53 bits of milliseconds are 285 000 years")]
    pub fn days_to_expiry(&self, now: Timestamp) -> f64 {
        (self.presented.0.load().not_after.0 as f64 - now.0 as f64) / MILLIS_PER_DAY
    }

    /// The configuration that an acceptor takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// Reads every certificate of a PEM file, at least one.
///
/// # Errors
/// `Missing`, `Unreadable`, `NotPem`, `NoCertificate`.
pub fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::NotPem { file: file.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(file.to_owned()));
    }
    Ok(certificates)
}

/// The one cryptography that this server uses.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = zeroize::Zeroizing::new(read(file)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey(file.to_owned()),
        source => TlsError::NotPem { file: file.to_owned(), source },
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TlsError::Missing(file.to_owned()),
        _ => TlsError::Unreadable { file: file.to_owned(), source },
    })
}

/// The last valid moment of a certificate; `None` if it is none, or ended before 1970.
fn expiry(leaf: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(Timestamp(seconds * 1000))
}

fn day(at: Timestamp) -> String {
    let seconds = i64::try_from(at.seconds()).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| String::from("a day out of range"), |time| time.date().to_string())
}

fn protocols() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
}

/// Hands out the identity of the moment; rustls asks once per handshake.
struct Presented(ArcSwap<Identity>);

impl fmt::Debug for Presented {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load().fmt(out)
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
