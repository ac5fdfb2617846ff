//! The certificates of `ekm dev`: one authority for servers, another for people, each with its leaves.
//!
//! Authorities are made once and kept; leaves are issued anew when they come near their end. Nothing here is for
//! production: the names say so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, SignatureAlgorithm,
};
use replication::clock::{Clock, Timestamp};
use replication::machine::signing;
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::issued::Issued;
use crate::process::files::{self, FileError, Readers};

/// How long an authority lives.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a leaf lives.
const LEAF_DAYS: i64 = 397;
/// A leaf with less left is issued anew, at a start or while the server runs.
const RENEW_SECONDS: i64 = 60 * DAY_SECONDS;
const DAY_SECONDS: i64 = 86_400;
/// How often a running server looks at what its leaves have left.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_hours(24);
/// Certificates begin a day early, for clocks that lag.
const EARLY_DAYS: i64 = 1;

/// The certificate files of a data directory, absolute.
#[derive(Debug, Clone)]
pub struct Pki {
    /// Whom clients of the servers trust.
    pub ca: PathBuf,
    /// The servers' certificate.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// Whom the admin listener trusts.
    pub operator_ca: PathBuf,
    /// The operator.
    pub operator: PersonFiles,
    /// The security officers.
    pub officers: Vec<PersonFiles>,
}

/// A person's files.
#[derive(Debug, Clone)]
pub struct PersonFiles {
    /// Their certificate.
    pub certificate: PathBuf,
    /// Its key, Ed25519: it signs requests too.
    pub key: PathBuf,
}

/// Certificates cannot be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else than it did.
    #[error(
        "{} holds no key that ekm dev made; put it back from a copy, or move the data directory away to begin anew",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// A certificate is not as its authority signed it, or another signed it.
    #[error("{} is not as the authority beside it signed it; put it back from a copy, or remove it to have it issued anew", .0.display())]
    Altered(PathBuf),
    /// A key is not the one that its certificate was made with.
    #[error("{} is not the key of {}; put it back, or move the data directory away to begin anew", key.display(), certificate.display())]
    NotItsKey {
        /// The certificate.
        certificate: PathBuf,
        /// The key beside it.
        key: PathBuf,
    },
    /// A certificate's key is not there. Another made in its place would be certified by nobody.
    #[error("{} is gone, and {} is of no use without it; put it back from a copy", key.display(), certificate.display())]
    KeyGone {
        /// The certificate.
        certificate: PathBuf,
        /// The key that was beside it.
        key: PathBuf,
    },
    /// An operator's key cannot be made.
    #[error("an Ed25519 key cannot be made")]
    Generate(#[source] aws_lc_rs::error::Unspecified),
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// The clock shows a time that no certificate can.
    #[error("the wall clock shows a time outside the calendar")]
    Clock(#[from] time::error::ComponentRange),
}

struct Leaf<'a> {
    certificate: &'a Path,
    key: &'a Path,
    kind: &'static SignatureAlgorithm,
    params: CertificateParams,
}

impl Pki {
    /// The certificates of a folder, each made if it is not there, leaves renewed if they come near their end.
    pub fn ensure(folder: &Path, now: Timestamp) -> Result<Self, PkiError> {
        files::make_folder(folder)?;
        let at = |name: &str| folder.join(name);
        let [operator, officers @ ..] = super::PEOPLE.map(|one| PersonFiles {
            certificate: at(&format!("{}.pem", one.files)),
            key: at(&format!("{}-key.pem", one.files)),
        });
        let pki = Self {
            ca: at("ca.pem"),
            server: at("server.pem"),
            server_key: at("server-key.pem"),
            operator_ca: at("operator-ca.pem"),
            operator,
            officers: officers.into(),
        };
        let servers = authority(&pki.ca, &at("ca-key.pem"), "ekm dev server authority", now)?;
        let operators = authority(&pki.operator_ca, &at("operator-ca-key.pem"), "ekm dev operator authority", now)?;

        let names = [super::HOSTNAME, "127.0.0.1", "::1"].map(ToOwned::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, super::HOSTNAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (certificate, key) = (&pki.server, &pki.server_key);
        let mut leaves = vec![leaf(Leaf { certificate, key, kind: &PKCS_ECDSA_P256_SHA256, params }, &servers, now)];
        for (files, person) in pki.people().zip(super::PEOPLE) {
            leaves.push(person_leaf(files, person.name, &operators, now));
        }
        // one that is not as it was issued keeps the others from nothing
        leaves.into_iter().collect::<Result<(), _>>()?;
        Ok(pki)
    }

    /// Everybody's files, in the order of the people that the first start enrols.
    pub fn people(&self) -> impl Iterator<Item = &PersonFiles> {
        std::iter::once(&self.operator).chain(&self.officers)
    }
}

fn person_leaf(
    files: &PersonFiles,
    name: &str,
    issuer: &Issuer<'static, KeyPair>,
    now: Timestamp,
) -> Result<(), PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI(format!("ekm-dev://operator/{name}").try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let PersonFiles { certificate, key } = files;
    leaf(Leaf { certificate, key, kind: &PKCS_ED25519, params }, issuer, now)
}

/// Renews leaves while the server runs, until the future is dropped. The listeners find the new files by themselves.
pub(super) async fn keep(folder: PathBuf, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (folder, now) = (folder.clone(), clock.wall());
        let looked = move || Pki::ensure(&folder, now);
        match tokio::task::spawn_blocking(looked).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(
                %error,
                "a certificate cannot be looked after, and the next start may be refused for it; it is looked at again in a day"
            ),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // the runtime ends
                Err(_) => return,
            },
        }
    }
}

fn authority(certificate: &Path, key: &Path, name: &str, now: Timestamp) -> Result<Issuer<'static, KeyPair>, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lives(&mut params, AUTHORITY_DAYS, now)?;
    let issued = Issued::read(certificate)?;
    let pair = key_pair(key, &PKCS_ECDSA_P256_SHA256, issued.as_ref())?;
    if let Some(issued) = issued {
        issued.is_of(key, &pair)?;
        issued.is_signed_by(&pair)?;
    } else {
        let made = params.self_signed(&pair)?;
        files::write(certificate, made.pem().as_bytes(), Readers::All)?;
    }
    Ok(Issuer::new(params, pair))
}

fn leaf(mut leaf: Leaf<'_>, issuer: &Issuer<'static, KeyPair>, now: Timestamp) -> Result<(), PkiError> {
    let issued = Issued::read(leaf.certificate)?;
    let pair = key_pair(leaf.key, leaf.kind, issued.as_ref())?;
    let seconds_left = match &issued {
        Some(issued) => {
            issued.is_of(leaf.key, &pair)?;
            issued.is_signed_by(issuer.key())?;
            issued.seconds_left(now)
        }
        None => 0,
    };
    if seconds_left > RENEW_SECONDS {
        return Ok(());
    }
    lives(&mut leaf.params, LEAF_DAYS, now)?;
    leaf.params.use_authority_key_identifier_extension = true;
    leaf.params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let made = leaf.params.signed_by(&pair, issuer)?;
    match files::write(leaf.certificate, made.pem().as_bytes(), Readers::All) {
        Err(error) if seconds_left > 0 => {
            let days_left = seconds_left / DAY_SECONDS;
            tracing::warn!(%error, days_left, "a certificate cannot be renewed; the one before is used on");
            Ok(())
        }
        written => Ok(written?),
    }
}

/// The key in a file; made, if it is not there and nothing was issued to it.
fn key_pair(path: &Path, kind: &'static SignatureAlgorithm, of: Option<&Issued<'_>>) -> Result<KeyPair, PkiError> {
    if let Some(text) = files::read(path)? {
        let text = Zeroizing::new(text);
        let text = std::str::from_utf8(&text).map_err(|_| PkiError::NotOurs(path.to_owned()))?;
        let pair = KeyPair::from_pem(text).map_err(|_| PkiError::NotOurs(path.to_owned()))?;
        return if *pair.algorithm() == *kind { Ok(pair) } else { Err(PkiError::NotOurs(path.to_owned())) };
    }
    if let Some(issued) = of {
        return Err(PkiError::KeyGone { certificate: issued.file.to_owned(), key: path.to_owned() });
    }
    let pair = generate(kind)?;
    files::write(path, Zeroizing::new(pair.serialize_pem()).as_bytes(), Readers::Owner)?;
    Ok(pair)
}

/// Ed25519 keys in PKCS#8 version 1, which every OpenSSL reads; rcgen's own version 2 is new to OpenSSL 3.0.
fn generate(kind: &'static SignatureAlgorithm) -> Result<KeyPair, PkiError> {
    if *kind != PKCS_ED25519 {
        return Ok(KeyPair::generate_for(kind)?);
    }
    let der = Zeroizing::new(signing::generate_pkcs8().map_err(PkiError::Generate)?);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_slice()), kind)?)
}

fn lives(params: &mut CertificateParams, days: i64, now: Timestamp) -> Result<(), PkiError> {
    let now = OffsetDateTime::from_unix_timestamp(i64::try_from(now.seconds()).unwrap_or(i64::MAX))?;
    params.not_before = now - Duration::days(EARLY_DAYS);
    params.not_after = now + Duration::days(days);
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::admin::client::Operator;
    use crate::edge::tls::Identity;

    /// Odd, so that every bit of a byte has its turn.
    const BITS_APART: usize = 11;
    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn certificates_are_kept_and_leaves_renewed_before_they_end() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ensure = |now| Pki::ensure(folder.path(), now).expect("certificates are made");
        let read = |path: &Path| std::fs::read(path).expect("the file is there");
        let pki = ensure(NOW);
        let (ca, server, operator_key) = (read(&pki.ca), read(&pki.server), read(&pki.operator.key));
        Identity::load(&pki.server, &pki.server_key, NOW).expect("the server's certificate serves");
        for (files, person) in pki.people().zip(crate::dev::PEOPLE) {
            let known = Operator::load(&files.certificate, &files.key).expect("a certificate names its person");
            assert_eq!(known.enrolment().0.as_str(), person.name);
        }
        let key = PrivatePkcs8KeyDer::from_pem_slice(&operator_key).expect("the operator's key is PKCS#8");
        assert_eq!(key.secret_pkcs8_der()[..5], [0x30, 0x2e, 2, 1, 0], "version 1, without the public key");

        ensure(Timestamp(NOW.0 + 86_400_000));
        assert_eq!(read(&pki.server), server, "a day later nothing is due");
        let year_later = Timestamp(NOW.0 + 365 * 86_400_000);
        ensure(year_later);
        assert_ne!(read(&pki.server), server, "a year later the leaf is renewed");
        assert_eq!((read(&pki.ca), read(&pki.operator.key)), (ca, operator_key), "authorities and keys stay");
        Identity::load(&pki.server, &pki.server_key, year_later).expect("the new leaf serves");
    }

    #[test]
    fn a_leaf_that_cannot_be_renewed_is_used_to_its_end() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let days = |days: u64| Timestamp(NOW.0 + days * 86_400_000);
        let ensure = |now| Pki::ensure(folder.path(), now);
        let pki = ensure(NOW).expect("certificates are made");
        let server = std::fs::read(&pki.server).expect("it was made");
        // a folder in the draft's place stands for a disk that takes nothing
        for name in ["server.pem.draft", "operator.pem.draft", "officer-1.pem.draft", "officer-2.pem.draft"] {
            std::fs::create_dir(folder.path().join(name)).expect("the folder is writable");
        }
        ensure(days(396)).expect("there is a day left");
        assert_eq!(std::fs::read(&pki.server).expect("it is there"), server);
        assert!(matches!(ensure(days(397)), Err(PkiError::File(_))), "what has ended does not serve");
    }

    #[test]
    fn an_authority_that_lost_its_key_is_refused_before_it_issues_anything() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ensure = || Pki::ensure(folder.path(), NOW);
        let pki = ensure().expect("certificates are made");
        std::fs::remove_file(folder.path().join("ca-key.pem")).expect("it was made");
        std::fs::remove_file(&pki.server).expect("it was made");
        for _ in 0..2 {
            assert!(matches!(ensure(), Err(PkiError::KeyGone { .. })), "not at the next start either");
        }
        assert!(!pki.server.exists() && !folder.path().join("ca-key.pem").exists());
    }

    #[test]
    fn a_certificate_that_was_altered_is_refused_and_one_that_is_gone_is_issued_anew() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ensure = || Pki::ensure(folder.path(), NOW);
        let pki = ensure().expect("certificates are made");
        let people = pki.people().map(|files| &files.certificate);
        for file in [&pki.ca, &pki.server, &pki.operator_ca].into_iter().chain(people) {
            let issued = std::fs::read(file).expect("it was made");
            let der = CertificateDer::from_pem_slice(&issued).expect("it is PEM");
            for at in (0..der.len() * 8).step_by(BITS_APART) {
                let mut altered = der.to_vec();
                altered[at / 8] ^= 1 << (at % 8);
                let text = STANDARD.encode(altered);
                let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
                std::fs::write(file, text).expect("the folder is writable");
                let refused = ensure().err();
                let is_told = matches!(refused, Some(PkiError::Altered(_) | PkiError::NotItsKey { .. }));
                assert!(is_told, "bit {at} of {}: {refused:?}", file.display());
            }
            std::fs::remove_file(file).expect("it is there");
            ensure().expect("it is issued anew from its key");
        }
    }

    #[test]
    fn a_leaf_of_another_authority_does_not_keep_the_others_from_being_renewed() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ensure = |now| Pki::ensure(folder.path(), now);
        let pki = ensure(NOW).expect("certificates are made");
        let other = tempfile::tempdir().expect("a temporary folder can be made");
        let theirs = Pki::ensure(other.path(), NOW).expect("certificates are made");
        for (from, to) in [(&theirs.server, &pki.server), (&theirs.server_key, &pki.server_key)] {
            std::fs::copy(from, to).expect("the folder is writable");
        }
        let read = |path: &Path| std::fs::read(path).expect("the file is there");
        let people = || pki.people().map(|files| read(&files.certificate)).collect::<Vec<_>>();
        let (server, before) = (read(&pki.server), people());
        let refused = ensure(Timestamp(NOW.0 + 365 * 86_400_000));
        assert!(matches!(&refused, Err(PkiError::Altered(file)) if *file == pki.server), "{refused:?}");
        assert_eq!(read(&pki.server), server, "what is not ours stays");
        let renewed = before.iter().zip(people()).filter(|(before, after)| *before != after).count();
        assert_eq!((renewed, before.len()), (3, 3), "the other leaves are renewed");
    }

    #[test]
    fn a_key_in_the_place_of_a_leafs_own_gets_no_certificate() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ensure = || Pki::ensure(folder.path(), NOW);
        let pki = ensure().expect("certificates are made");
        for files in pki.people() {
            let (issued, own) = (std::fs::read(&files.certificate), std::fs::read(&files.key).expect("it was made"));
            let another = generate(&PKCS_ED25519).expect("a key can be made").serialize_pem();
            std::fs::write(&files.key, another).expect("the folder is writable");
            for _ in 0..2 {
                assert!(matches!(ensure(), Err(PkiError::NotItsKey { .. })), "not at the next start either");
                assert_eq!(std::fs::read(&files.certificate).ok(), issued.as_ref().ok().cloned());
            }
            std::fs::write(&files.key, own).expect("the folder is writable");
        }
    }

    #[test]
    fn a_foreign_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("ca-key.pem");
        std::fs::write(&path, "mine").expect("the folder is writable");
        let refused = Pki::ensure(folder.path(), NOW);
        assert!(matches!(refused, Err(PkiError::NotOurs(_))));
        assert_eq!(std::fs::read(&path).expect("it is still there"), b"mine");
    }
}
