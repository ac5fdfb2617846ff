//! The registration as `gcloud` commands, one a line, each a POSIX shell's. Pure.

use super::{CERTIFICATE, Filled, SERVICE};
use crate::shell::quoted;

pub(super) fn external_vpc(path: &str, place: &Filled<'_>) -> Vec<String> {
    let connection =
        format!("projects/{}/locations/{}/ekmConnections/{}", place.project, place.location, place.ekm_connection);
    vec![
        line(&[
            "gcloud kms ekm-connections create",
            &quoted(place.ekm_connection),
            &flag("project", place.project),
            &flag("location", place.location),
            &flag("service-directory-service", SERVICE),
            &flag("hostname", place.hostname),
            &flag("server-certificates-files", &format!("{CERTIFICATE}.pem")),
        ]),
        key_ring(place),
        line(&[&key(place, "external-vpc"), &flag("crypto-key-backend", &connection)]),
        line(&[&version(place), &flag("ekm-connection-key-path", path), "--primary"]),
    ]
}

pub(super) fn external(path: &str, place: &Filled<'_>) -> Vec<String> {
    let uri = format!("https://{}/{path}", place.hostname);
    vec![
        key_ring(place),
        key(place, "external"),
        line(&[&version(place), &flag("external-key-uri", &uri), "--primary"]),
    ]
}

fn key_ring(place: &Filled<'_>) -> String {
    let ring = quoted(place.key_ring);
    line(&["gcloud kms keyrings create", &ring, &flag("project", place.project), &flag("location", place.location)])
}

/// Google makes no first version of its own: the version that is made next names the path.
fn key(place: &Filled<'_>, protection: &str) -> String {
    line(&[
        "gcloud kms keys create",
        &quoted(place.crypto_key),
        &flag("project", place.project),
        &flag("location", place.location),
        &flag("keyring", place.key_ring),
        "--purpose=encryption",
        &flag("protection-level", protection),
        "--default-algorithm=external-symmetric-encryption",
        "--skip-initial-version-creation",
    ])
}

fn version(place: &Filled<'_>) -> String {
    line(&[
        "gcloud kms keys versions create",
        &flag("project", place.project),
        &flag("location", place.location),
        &flag("keyring", place.key_ring),
        &flag("key", place.crypto_key),
    ])
}

fn flag(name: &str, value: &str) -> String {
    format!("--{name}={}", quoted(value))
}

fn line(words: &[&str]) -> String {
    words.join(" ")
}
