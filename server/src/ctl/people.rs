//! What passes between people outside the cluster: public keys, and the request of a first security officer on its way to a second.
//! Pure, but for the files that it is given the content of. Holds no private key.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use replication::clock::Timestamp;
use replication::ids::{IdError, PublicKey, SignerId};
use replication::machine::request::{AdminOperation, Base64Bytes, Consent, Request, SignedRequest};
use replication::machine::roles::PersonRole;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

/// The format of a request's file.
const FORMAT: u16 = 1;
/// The object identifier of Ed25519 keys (RFC 8410).
const ED25519: &str = "1.3.101.112";

/// A file holds no usable public key, or no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// No PEM of the right kind.
    #[error("holds no {what} in PEM")]
    NoPem {
        /// What it should hold.
        what: &'static str,
    },
    /// Another kind of key.
    #[error("holds a key that is not Ed25519: make one with `openssl genpkey -algorithm ed25519`")]
    NotEd25519,
    /// Not written by `ekmctl`.
    #[error(
        "is no request for a second officer: give the file that `ekmctl operator enrol`, `operator revoke` or `deny` wrote"
    )]
    NoRequest,
    /// Of a later release.
    #[error(
        "was written by another release of ekmctl: use that one, or have the first officer write it anew with this one"
    )]
    OtherFormat,
}

/// A person whom a new cluster is to begin with, as the command line has it: `NAME:ROLES:FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstPersonArg {
    pub(super) name: SignerId,
    pub(super) roles: BTreeSet<PersonRole>,
    pub(super) file: PathBuf,
}

impl FromStr for FirstPersonArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(roles), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a person is NAME:ROLES:FILE, as in ann:operator:ann.pem".to_owned());
        };
        let role = |word: &str| {
            let found = PersonRole::ALL.into_iter().find(|role| role.as_str() == word.replace('-', "_"));
            let known = PersonRole::ALL.map(PersonRole::as_str).join(", ");
            found.ok_or_else(|| format!("there is no role `{word}`; the roles are {known}"))
        };
        Ok(Self {
            name: name.parse().map_err(|error: IdError| error.to_string())?,
            roles: roles.split(',').map(role).collect::<Result<_, _>>()?,
            file: file.into(),
        })
    }
}

/// The Ed25519 key in a PEM file, of a certificate or a public key.
pub(super) fn any_key(pem: &[u8]) -> Result<PublicKey, PeopleError> {
    match certified_key(pem) {
        Err(PeopleError::NoPem { .. }) => public_key(pem),
        other => other,
    }
}

/// The Ed25519 key in a PEM file of a public key.
pub(super) fn public_key(pem: &[u8]) -> Result<PublicKey, PeopleError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| PeopleError::NoPem { what: "public key" })?;
    let (_, parsed) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| PeopleError::NoPem { what: "public key" })?;
    ed25519(&parsed)
}

/// The Ed25519 key that a PEM file of a certificate names.
pub(super) fn certified_key(pem: &[u8]) -> Result<PublicKey, PeopleError> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| PeopleError::NoPem { what: "certificate" })?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| PeopleError::NoPem { what: "certificate" })?;
    ed25519(parsed.public_key())
}

fn ed25519(key: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, PeopleError> {
    let is_ed25519 = key.algorithm.algorithm.to_id_string() == ED25519;
    let bytes: Option<[u8; 32]> = key.subject_public_key.data.as_ref().try_into().ok();
    bytes.filter(|_| is_ed25519).map(PublicKey::from_bytes).ok_or(PeopleError::NotEd25519)
}

/// A first officer's request, signed, as it goes to a second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    format: u16,
    /// In words, for whoever opens the file; what counts is the request.
    asks: String,
    consent: Consent,
}

/// The content of a file for a second officer.
pub(super) fn request_file(signed: SignedRequest, asks: String) -> Vec<u8> {
    let SignedRequest { bytes, signer, signature } = signed;
    let consent = Consent { request: Base64Bytes(bytes), signer, signature: Base64Bytes(signature) };
    let file = RequestFile { format: FORMAT, asks, consent };
    let mut text = serde_json::to_vec_pretty(&file).expect("the file holds only what JSON can write");
    text.push(b'\n');
    text
}

/// What a first officer asks a second to consent to, and what it would do: from the signed bytes, not from the words beside them.
pub(super) fn asked(text: &[u8]) -> Result<(Consent, AdminOperation), PeopleError> {
    let file: RequestFile = serde_json::from_slice(text).map_err(|_| PeopleError::NoRequest)?;
    if file.format != FORMAT {
        return Err(PeopleError::OtherFormat);
    }
    let request: Request = serde_json::from_slice(&file.consent.request.0).map_err(|_| PeopleError::NoRequest)?;
    Ok((file.consent, request.operation))
}

/// A time in words.
pub(super) fn moment(at: Timestamp) -> String {
    let seconds = i64::try_from(at.seconds()).ok();
    let known = seconds.and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = known.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_else(|| format!("{} ms after 1970", at.0))
}

/// What a request that takes two officers asks for, in words.
pub(super) fn words(operation: &AdminOperation) -> Option<String> {
    match operation {
        AdminOperation::Enrol { signer, public_key, roles, tenants } => {
            let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            let reach = tenants.as_ref().map_or_else(
                || "all tenants".to_owned(),
                |tenants| tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            );
            Some(format!("enrol {signer} with the public key {public_key} as {} for {reach}", roles.join(" and ")))
        }
        AdminOperation::Revoke { signer } => Some(format!("revoke {signer}")),
        AdminOperation::Deny { tenant, subject, expires_at } => {
            Some(format!("shut {subject} out of tenant {tenant} until {}", moment(*expires_at)))
        }
        AdminOperation::LiftDeny { tenant, entry } => Some(format!("lift the deny entry {entry} of tenant {tenant}")),
        _ => None,
    }
}

/// A request waits for a second security officer; nothing has changed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// The file for the second officer.
    pub file: String,
    /// What it asks for, in words.
    pub asks: String,
    /// What the second officer types.
    pub next: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_of_a_request_file_is_what_was_signed() {
        let request = Request {
            format: replication::machine::request::REQUEST_FORMAT,
            lineage: replication::ids::LineageId::from_bytes([1; 16]),
            idempotency_id: replication::ids::IdempotencyId::from_bytes([2; 16]),
            operation: AdminOperation::Revoke { signer: "ben".parse().expect("a name") },
        };
        let bytes = serde_json::to_vec(&request).expect("a request is JSON");
        let signer: SignerId = "ada".parse().expect("a name");
        let signed = SignedRequest { bytes: bytes.clone(), signer: signer.clone(), signature: vec![3; 64] };
        let file = request_file(signed, "enrol nobody".to_owned());
        let (consent, operation) = asked(&file).expect("our own file");
        assert_eq!((consent.request.0, consent.signer, consent.signature.0), (bytes, signer, vec![3; 64]));
        assert_eq!(words(&operation).as_deref(), Some("revoke ben"), "whatever the words beside it say");
        let later = String::from_utf8(file).expect("JSON is text").replace("\"format\": 1", "\"format\": 2");
        assert_eq!(asked(later.as_bytes()), Err(PeopleError::OtherFormat));
        assert_eq!(asked(b"{}"), Err(PeopleError::NoRequest));
    }

    #[test]
    fn a_first_person_is_a_name_roles_and_a_file() {
        let ann: FirstPersonArg = "ann:operator,security-officer:a:b.pem".parse().expect("it is one");
        assert_eq!(ann.roles, [PersonRole::Operator, PersonRole::SecurityOfficer].into());
        assert_eq!((ann.name.as_str(), ann.file.to_str()), ("ann", Some("a:b.pem")));
        for bad in ["ann", "ann:operator", "Ann:operator:f", "ann::f", "ann:king:f"] {
            assert!(bad.parse::<FirstPersonArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_ed25519_keys_are_enrolled() {
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n-----END PUBLIC KEY-----\n";
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).expect("32 fits"));
        assert_eq!(public_key(ed25519.as_bytes()), Ok(PublicKey::from_bytes(bytes)));
        let x25519 = ed25519.replace("MCowBQYDK2VwAyEA", "MCowBQYDK2VuAyEA");
        assert_eq!(public_key(x25519.as_bytes()), Err(PeopleError::NotEd25519));
        assert_eq!(public_key(b"nothing"), Err(PeopleError::NoPem { what: "public key" }));
        assert_eq!(certified_key(ed25519.as_bytes()), Err(PeopleError::NoPem { what: "certificate" }));
    }
}
