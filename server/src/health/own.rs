//! What the probe takes for its own listener: whoever presents the certificate that this process presents now, holds its
//! key, and could be reached by callers under its name today.
//!
//! Who signed the certificate is not judged: that is between the callers and whoever runs the machine, and a new authority
//! must not make a machine unready that serves. Never trusts a certificate of another process.

use std::fmt;
use std::sync::Arc;

use replication::clock::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::edge::tls::{Identity, ServerTls, provider};

/// How the probe speaks TLS to the listener in one round.
pub(super) fn client_config(listener: &ServerTls) -> ClientConfig {
    let provider = provider();
    let own = Own {
        before: listener.identity(),
        listener: listener.clone(),
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(own))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // a resumed session would not look at the certificate again
    config.resumption = rustls::client::Resumption::disabled();
    config
}

struct Own {
    /// What was presented when the round began: files may be taken while it is under way.
    before: Identity,
    listener: ServerTls,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Own {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Own").field("before", &self.before).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let known = [self.listener.identity(), self.before.clone()];
        let Some(presented) = known.iter().find(|identity| identity.chain()[0] == *end_entity) else {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        };
        if presented.left(Timestamp(now.as_secs().saturating_mul(1000))).is_zero() {
            return Err(CertificateError::Expired.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
