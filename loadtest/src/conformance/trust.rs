//! Whom the kit trusts to be the target: the authorities of a file, or those of this machine, or, as Cloud KMS does, the
//! certificate itself. Dates and the host name are always checked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error as ErrorText;

/// Why nobody can be trusted.
#[derive(Debug, ErrorText)]
pub enum TrustError {
    /// The file of `--ca` cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It holds something else.
    #[error("{} holds no certificate in PEM form: give --ca the authority of the target, or the target's own certificate", path.display())]
    NoCertificate { path: PathBuf },
    /// A certificate in it is none.
    #[error("a certificate in {} cannot be used", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        cause: Error,
    },
    /// This machine trusts nobody.
    #[error("this machine has no list of authorities: give --ca the authority of the target")]
    NoAuthorities,
    /// The library refuses to be set up.
    #[error("no TLS client can be made")]
    Setup(#[source] Error),
    /// The verifier cannot be made of these authorities.
    #[error("no verifier of certificates can be made")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
}

/// TLS towards the target, which offers nothing by ALPN yet.
///
/// # Errors
/// See [`TrustError`].
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (roots, pinned) = match ca {
        Some(path) => of_file(path)?,
        None => (of_this_machine()?, Vec::new()),
    };
    let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(TrustError::Verifier)?;
    let verifier = SignedOrPinned { signed, pinned, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(TrustError::Setup)?.dangerous();
    Ok(builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn of_file(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TrustError> {
    let pem = fs::read(path).map_err(|cause| TrustError::Unreadable { path: path.to_owned(), cause })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.unwrap_or_default();
    if found.is_empty() {
        return Err(TrustError::NoCertificate { path: path.to_owned() });
    }
    let mut roots = RootCertStore::empty();
    for one in &found {
        roots.add(one.clone()).map_err(|cause| TrustError::Unusable { path: path.to_owned(), cause })?;
    }
    Ok((roots, found))
}

fn of_this_machine() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    // a machine's list may hold certificates of another age that no longer parse
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TrustError::NoAuthorities) } else { Ok(roots) }
}

/// What went wrong in a handshake, and what to do about it.
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: is this a port for plain HTTP, or for something else?".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate descends from no authority that is trusted here: give --ca its authority, or the certificate itself"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired: renew it, and register the new one with Cloud KMS first".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: is a clock wrong?".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name than that in --url: Cloud KMS would refuse it too".to_owned(),
        Error::NoApplicationProtocol => "it refuses the application protocol: HTTP/1.1 is asked for".to_owned(),
        Error::AlertReceived(alert) => {
            format!("it ends the handshake with the alert {alert:?}; Cloud KMS shows no client certificate")
        }
        other => format!("the TLS handshake failed: {other}"),
    }
}

/// Takes what an authority signed, and what is itself in the file.
#[derive(Debug)]
struct SignedOrPinned {
    signed: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SignedOrPinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // the dates were looked at before: what is left to doubt is who signed it, or that it may sign others
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_),
            )) if self.pinned.iter().any(|pinned| pinned == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
