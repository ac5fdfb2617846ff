//! TLS of the listeners: the two server configurations, and the place where renewed files take effect. It must never log
//! or show a private key, and never weaken what rustls checks by default.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use replication::clock::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::tls_files::Parsed;
pub(crate) use super::tls_files::Texts;
pub use super::tls_files::{Content, FILE_BYTES_MAX, TlsError, TlsFiles};

/// The protocols offered, the preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate chain, leaf first, with its private key, valid when it was loaded. Shared when cloned.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    not_before: Timestamp,
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
    #[cfg(test)]
    pub(crate) fn load(certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let files = TlsFiles { certificate: certificate.to_owned(), key: key.to_owned(), client_authority: None };
        let Parsed { chain, key, .. } = files.read().parse(&files)?;
        Self::of(chain, key, &files, now)
    }

    fn of(
        chain: Vec<CertificateDer<'static>>,
        key: rustls::pki_types::PrivateKeyDer<'static>,
        files: &TlsFiles,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let file = || files.certificate.clone();
        let (not_before, not_after) = validity(&chain[0]).ok_or_else(|| TlsError::BadCertificate(file()))?;
        if not_after <= now {
            return Err(TlsError::Expired { file: file(), not_after: day(not_after) });
        }
        if now < not_before {
            return Err(TlsError::NotYetValid { file: file(), not_before: moment(not_before) });
        }
        let certified =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|source| match source {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::KeyMismatch { certificate: file(), key: files.key.clone() }
                }
                source => TlsError::BadKey { file: files.key.clone(), source },
            })?;
        Ok(Self { certified: Arc::new(certified), not_before, not_after })
    }

    /// The chain as it is presented, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The last moment at which the leaf is valid.
    #[cfg(test)]
    pub(crate) const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// From the leaf's first moment to its last.
    pub const fn lifetime(&self) -> Duration {
        Duration::from_millis(self.not_after.0.saturating_sub(self.not_before.0))
    }

    /// What is left of that at `now`; zero once it has expired.
    pub const fn left(&self, now: Timestamp) -> Duration {
        Duration::from_millis(self.not_after.0.saturating_sub(now.0))
    }
}

/// One listener's TLS: its files, and what they held when they were last taken. Clones share what is taken.
#[derive(Clone)]
pub struct ServerTls {
    files: Arc<TlsFiles>,
    taken: Arc<ArcSwap<Taken>>,
}

/// Certificate, key and client authority take effect together, or not at all.
struct Taken {
    content: Content,
    identity: Identity,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// TLS 1.2 and 1.3: with a client certificate of one of the authorities, for operators, or without, for callers that
    /// prove themselves by a token.
    ///
    /// # Errors
    /// [`TlsError`] of whatever would not serve at `now`.
    pub fn load(files: TlsFiles, now: Timestamp) -> Result<Self, TlsError> {
        let taken = Taken::of(files.read(), &files, now)?;
        Ok(Self { files: Arc::new(files), taken: Arc::new(ArcSwap::from_pointee(taken)) })
    }

    /// Reads the files as they are now.
    pub(crate) fn read(&self) -> Texts {
        self.files.read()
    }

    /// Takes what was read for the handshakes to come. Open connections keep what they began with. On an error all stays as it is.
    ///
    /// # Errors
    /// As [`ServerTls::load`].
    pub(crate) fn take(&self, texts: Texts, now: Timestamp) -> Result<(), TlsError> {
        self.taken.store(Arc::new(Taken::of(texts, &self.files, now)?));
        Ok(())
    }

    /// What the files held that are in use.
    pub(super) fn content(&self) -> Content {
        self.taken.load().content
    }

    /// What is presented now.
    pub fn identity(&self) -> Identity {
        self.taken.load().identity.clone()
    }

    /// Seconds from `now` until the presented leaf expires; negative when it has.
    #[expect(clippy::cast_precision_loss, reason = "53 bits of milliseconds are 285 000 years")]
    pub fn seconds_to_expiry(&self, now: Timestamp) -> f64 {
        (self.taken.load().identity.not_after.0 as f64 - now.0 as f64) / 1000.0
    }

    /// The configuration that the next handshake takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.taken.load().config)
    }
}

impl Taken {
    fn of(texts: Texts, files: &TlsFiles, now: Timestamp) -> Result<Self, TlsError> {
        let content = texts.content();
        let Parsed { chain, key, client_authority } = texts.parse(files)?;
        let identity = Identity::of(chain, key, files, now)?;
        let presents = Arc::new(Presents(Arc::clone(&identity.certified)));
        let mut config = match files.client_authority.as_deref().zip(client_authority) {
            None => protocols().with_no_client_auth().with_cert_resolver(presents),
            Some((file, authority)) => {
                let verifier = client_verifier(file, authority)?;
                let mut config = protocols().with_client_cert_verifier(verifier).with_cert_resolver(presents);
                // a resumed session would not look at the client's certificate again, which may have expired meanwhile
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
        };
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(Self { content, identity, config: Arc::new(config) })
    }
}

fn client_verifier(
    file: &Path,
    authority: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in authority {
        roots.add(certificate).map_err(|_| TlsError::BadCertificate(file.to_owned()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|source| TlsError::BadAuthority { file: file.to_owned(), source })
}

/// The one cryptography that this server uses.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// First and last valid moment of a certificate; `None` if it is none, or ended before 1970.
fn validity(leaf: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let validity = certificate.validity();
    let not_after = u64::try_from(validity.not_after.timestamp()).ok()?;
    // before 1970 is as good as 1970: valid by now
    let not_before = u64::try_from(validity.not_before.timestamp()).unwrap_or(0);
    Some((Timestamp(not_before * 1000), Timestamp(not_after * 1000)))
}

fn calendar(at: Timestamp) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::from_unix_timestamp(i64::try_from(at.seconds()).unwrap_or(i64::MAX)).ok()
}

fn day(at: Timestamp) -> String {
    calendar(at).map_or_else(|| String::from("a day out of range"), |time| time.date().to_string())
}

fn moment(at: Timestamp) -> String {
    calendar(at).map_or_else(|| String::from("a moment out of range"), |time| time.to_string())
}

fn protocols() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
}

/// Hands out one identity, whatever name a client asks for: clients that send none are served too.
struct Presents(Arc<CertifiedKey>);

impl fmt::Debug for Presents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Presents")
    }
}

impl ResolvesServerCert for Presents {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
