//! The files that a listener's TLS is made of: read whole and within a bound, and compared by content. It must never log or
//! show a private key, and never keep one longer than a look takes.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::VerifierBuilderError;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::regular_file;

/// The largest file that is read: hundreds of certificates. A path that leads to a log or a device stops here.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

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
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("{} has more than {FILE_BYTES_MAX} bytes; name the file that holds certificate or key alone", .0.display())]
    TooLarge(PathBuf),
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
    /// The certificate's first moment is to come.
    #[error("the certificate in {} is valid from {not_before} on; wait until then, or set this machine's clock", .file.display())]
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// Its first moment, as text.
        not_before: String,
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

/// Where one listener's TLS comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain that is presented, PEM, leaf first.
    pub certificate: PathBuf,
    /// The leaf's key, PEM.
    pub key: PathBuf,
    /// Whom clients must be certified by, PEM; without it nobody shows a certificate.
    pub client_authority: Option<PathBuf>,
}

/// What all files of a listener held, as a SHA-256: equal only if each of them was the same, trouble included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content([u8; 32]);

type Bytes = Result<Zeroizing<Vec<u8>>, TlsError>;

/// What the files held when they were read.
pub(crate) struct Texts {
    certificate: Bytes,
    key: Bytes,
    client_authority: Option<Bytes>,
}

/// The same, each understood by itself.
pub(crate) struct Parsed {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) client_authority: Option<Vec<CertificateDer<'static>>>,
}

impl TlsFiles {
    /// Reads every file. What cannot be read is part of what was found.
    pub(crate) fn read(&self) -> Texts {
        Texts {
            certificate: read(&self.certificate),
            key: read(&self.key),
            client_authority: self.client_authority.as_deref().map(read),
        }
    }
}

impl Texts {
    pub(crate) fn content(&self) -> Content {
        let mut hash = Sha256::new();
        for bytes in [Some(&self.certificate), Some(&self.key), self.client_authority.as_ref()].into_iter().flatten() {
            let trouble = bytes.as_ref().err().map(ToString::to_string).unwrap_or_default();
            let held = bytes.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
            for part in [trouble.as_bytes(), held] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
        }
        Content(hash.finalize().into())
    }

    /// Understands each file by itself; whether they belong together is not looked at.
    pub(crate) fn parse(self, files: &TlsFiles) -> Result<Parsed, TlsError> {
        let chain = certificates(&files.certificate, &self.certificate?)?;
        let key = private_key(&files.key, &self.key?)?;
        let authority = files.client_authority.as_deref().zip(self.client_authority);
        let client_authority = authority.map(|(file, text)| certificates(file, &text?)).transpose()?;
        Ok(Parsed { chain, key, client_authority })
    }
}

/// Every certificate of a PEM file, at least one.
fn certificates(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::NotPem { file: file.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(file.to_owned()));
    }
    Ok(certificates)
}

fn private_key(file: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey(file.to_owned()),
        source => TlsError::NotPem { file: file.to_owned(), source },
    })
}

fn read(path: &Path) -> Bytes {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => TlsError::Missing(path.to_owned()),
        _ => TlsError::Unreadable { file: path.to_owned(), source },
    };
    let file = regular_file::open(path).map_err(failed)?;
    // with room for a whole file of the usual size: growing would leave parts of a key behind
    let length = file.metadata().map_err(failed)?.len().min(FILE_BYTES_MAX) + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(length).expect("a mebibyte fits in memory")));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX { Err(TlsError::TooLarge(path.to_owned())) } else { Ok(text) }
}
