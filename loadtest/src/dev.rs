//! Reads what `ekm dev` says about itself in `dev.json`: where it listens, whom to trust, which token to show. A cluster that this
//! program made says the same in `cluster.json`. Never writes below the folder, and never reads the operator's key. The issuer's
//! key it reads of a cluster alone, where nobody but this program plays the issuer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use serde::Deserialize;
use thiserror::Error;

use crate::clock;
use crate::ctl::Access;
use crate::issuer::{Issuer, IssuerError};
use crate::load::tokens::{self, Identity};

/// What `ekm dev` writes.
const DEV_FILE: &str = "dev.json";
/// What `loadtest cluster start` writes.
pub const CLUSTER_FILE: &str = "cluster.json";
/// No verifier takes a token of a longer life.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// A development server as an outsider sees it.
pub struct DevServer {
    /// Address of the data listener, as told: scheme, host and port count.
    pub data_url: Uri,
    /// The name on the server's certificate, which calls are made to.
    pub hostname: String,
    /// The certificate authority to trust, PEM.
    pub ca_pem: Vec<u8>,
    /// A token that the demo key's policy admits, without the word `Bearer`. Not for printing.
    pub token: String,
    /// Path of the demo key, without a leading slash.
    pub key_path: String,
}

/// A development server with what else it says about itself; an older one leaves some of it empty.
pub struct DevDescription {
    /// How it is reached.
    pub server: DevServer,
    /// What tokens must name as their audience.
    pub audience: String,
    /// The caller that the demo key admits.
    pub caller_email: String,
    /// Where the token is renewed while the server runs.
    pub token_file: PathBuf,
    /// The key that its tokens are signed with, for those who play their issuer.
    pub issuer_key_file: Option<PathBuf>,
    /// The same key, if nobody renews the token file: then this program signs the tokens.
    pub own_issuer_key: Option<PathBuf>,
    /// Its process id; 0 if it does not say.
    pub pid: u32,
}

/// The fields of `dev.json` that an outsider needs; the others are ignored.
#[derive(Deserialize)]
struct DevFile {
    data_url: String,
    hostname: String,
    ca_file: PathBuf,
    token_file: PathBuf,
    key_path: String,
    #[serde(default)]
    audience: String,
    #[serde(default)]
    caller_email: String,
    issuer_key_file: Option<PathBuf>,
    /// Who its tokens say issued them, where this program signs them.
    issuer: Option<String>,
    #[serde(default)]
    pid: u32,
}

/// The fields that lead an operator's commands to a cluster.
#[derive(Deserialize)]
struct AdminFile {
    admin_url: String,
    ca_file: PathBuf,
    operator_cert_file: PathBuf,
    operator_key_file: PathBuf,
}

/// Why a folder does not describe a development server.
#[derive(Debug, Error)]
pub enum DevError {
    /// A file that should be there cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// `dev.json` lacks a field or is no JSON.
    #[error("{} is not a description of a development server", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    /// `data_url` is no `https` address with a host.
    #[error("{}: data_url is not an https address with a host: {data_url}", path.display())]
    NoAddress { path: PathBuf, data_url: String },
    /// The issuer of a cluster has no usable key.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// The file that describes what runs on a folder: that of `ekm dev`, unless there is only that of a cluster.
pub fn description_file(folder: &Path) -> PathBuf {
    let [dev, cluster] = [DEV_FILE, CLUSTER_FILE].map(|name| folder.join(name));
    if cluster.exists() && !dev.exists() { cluster } else { dev }
}

/// How `ekmctl` reaches what runs on a folder, as its operator.
///
/// # Errors
/// As [`read`].
pub fn access(folder: &Path) -> Result<Access, DevError> {
    let path = description_file(folder);
    if !path.ends_with(CLUSTER_FILE) {
        return Ok(Access::Dev(folder.to_owned()));
    }
    let file: AdminFile =
        serde_json::from_slice(&bytes_of(path.clone())?).map_err(|cause| DevError::Malformed { path, cause })?;
    Ok(Access::Person {
        url: file.admin_url,
        ca: folder.join(file.ca_file),
        certificate: folder.join(file.operator_cert_file),
        key: folder.join(file.operator_key_file),
    })
}

/// Reads `<folder>/dev.json`, or `cluster.json` if there is only that, and the files it names; relative names are relative to the folder.
///
/// # Errors
/// If one of the files is missing or unreadable, or `dev.json` is not what `ekm dev` writes.
pub fn read(folder: &Path) -> Result<DevServer, DevError> {
    Ok(describe(folder)?.server)
}

/// The same with everything else that an outsider may know.
///
/// # Errors
/// As [`read`].
pub fn describe(folder: &Path) -> Result<DevDescription, DevError> {
    let path = description_file(folder);
    let is_cluster = path.ends_with(CLUSTER_FILE);
    let file: DevFile = match serde_json::from_slice(&bytes_of(path.clone())?) {
        Ok(file) => file,
        Err(cause) => return Err(DevError::Malformed { path, cause }),
    };
    let Some(data_url) = https_address(&file.data_url) else {
        return Err(DevError::NoAddress { path, data_url: file.data_url });
    };
    // `join` keeps an absolute name as it is
    let ca_pem = bytes_of(folder.join(file.ca_file))?;
    let token_file = folder.join(file.token_file);
    let issuer_key_file = file.issuer_key_file.map(|file| folder.join(file));
    let own_issuer_key = issuer_key_file.clone().filter(|_| is_cluster);
    let token = match (&own_issuer_key, file.issuer) {
        (Some(key), Some(issuer)) => {
            let identity = Identity { issuer, audience: file.audience.clone() };
            own_token(key, &identity, &file.caller_email)?
        }
        _ => String::from_utf8_lossy(&bytes_of(token_file.clone())?).trim().to_owned(),
    };
    let server = DevServer {
        data_url,
        hostname: file.hostname,
        ca_pem,
        token,
        key_path: file.key_path.trim_start_matches('/').to_owned(),
    };
    Ok(DevDescription {
        server,
        audience: file.audience,
        caller_email: file.caller_email,
        token_file,
        issuer_key_file,
        own_issuer_key,
        pid: file.pid,
    })
}

/// A token that begins now, signed as the issuer of a cluster.
///
/// # Errors
/// If its key cannot be used.
pub fn own_token(key: &Path, identity: &Identity, email: &str) -> Result<String, IssuerError> {
    let issuer = Issuer::load(key, None)?;
    Ok(tokens::signed(&issuer, identity, email, clock::unix_seconds(), TOKEN_LIFETIME))
}

fn bytes_of(path: PathBuf) -> Result<Vec<u8>, DevError> {
    fs::read(&path).map_err(|cause| DevError::Unreadable { path, cause })
}

fn https_address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    (uri.scheme_str() == Some("https") && uri.host().is_some()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = r#"{"data_url": "https://127.0.0.1:40001", "audience": "https://localhost",
        "hostname": "localhost", "ca_file": "ca.pem", "token_file": "token", "key_path": "/v0/keys/abc", "pid": 7}"#;

    fn folder_with(description: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("dev.json"), description).expect("a fresh folder is writable");
        fs::write(folder.path().join("ca.pem"), "pem").expect("a fresh folder is writable");
        fs::write(folder.path().join("token"), "a.b.c\n").expect("a fresh folder is writable");
        folder
    }

    #[test]
    fn relative_files_are_found_beside_the_description() {
        let folder = folder_with(DESCRIPTION);
        let server = read(folder.path()).expect("the description is complete");
        assert_eq!(server.token, "a.b.c");
        assert_eq!(server.ca_pem, b"pem");
        assert_eq!(server.key_path, "v0/keys/abc");
        assert_eq!(server.data_url.port_u16(), Some(40001));
    }

    #[test]
    fn what_an_older_server_does_not_say_stays_empty() {
        let folder = folder_with(DESCRIPTION);
        let told = describe(folder.path()).expect("the description is complete");
        assert_eq!((told.audience.as_str(), told.pid), ("https://localhost", 7));
        assert_eq!(told.caller_email, "");
        assert_eq!(told.token_file, folder.path().join("token"));
    }

    #[test]
    fn a_cluster_is_described_by_a_file_of_its_own_and_its_tokens_are_signed_here() {
        let folder = folder_with(DESCRIPTION);
        let more = r#"{"issuer": "https://ekm-cluster.invalid", "issuer_key_file": "issuer.pem", "caller_email": "a@b.example",
            "admin_url": "https://127.0.0.1:9", "operator_cert_file": "pki/o.pem", "operator_key_file": "/k.pem", "#;
        let text = DESCRIPTION.replacen('{', more, 1);
        fs::write(folder.path().join(CLUSTER_FILE), &text).expect("a fresh folder is writable");
        let before = describe(folder.path()).expect("that of ekm dev comes first");
        assert_eq!((before.server.token.as_str(), before.own_issuer_key), ("a.b.c", None));
        let dev = access(folder.path()).expect("a folder is enough");
        assert_eq!(dev, Access::Dev(folder.path().to_owned()));

        fs::remove_file(folder.path().join(DEV_FILE)).expect("it was written above");
        assert!(matches!(describe(folder.path()), Err(DevError::Issuer(_))), "there is no key yet");
        fs::write(folder.path().join("issuer.pem"), Issuer::new_key()).expect("a fresh folder is writable");
        let told = describe(folder.path()).expect("the description is complete");
        assert_eq!(tokens::issuer_of(&told.server.token).as_deref(), Some("https://ekm-cluster.invalid"));
        assert_eq!(told.own_issuer_key, Some(folder.path().join("issuer.pem")));
        let expected = Access::Person {
            url: "https://127.0.0.1:9".to_owned(),
            ca: folder.path().join("ca.pem"),
            certificate: folder.path().join("pki/o.pem"),
            key: PathBuf::from("/k.pem"),
        };
        assert_eq!(access(folder.path()).expect("the description is complete"), expected);
    }

    #[test]
    fn absolute_files_are_taken_as_they_are() {
        let elsewhere = folder_with(DESCRIPTION);
        let token = elsewhere.path().join("token");
        let text = DESCRIPTION.replace(r#""token""#, &format!("{:?}", token.display().to_string()));
        let folder = folder_with(&text);
        fs::remove_file(folder.path().join("token")).expect("the file was written above");
        assert_eq!(read(folder.path()).expect("the token is read from elsewhere").token, "a.b.c");
    }

    #[test]
    fn unusable_descriptions_are_told_apart() {
        let missing = tempfile::tempdir().expect("a temporary folder can be made");
        assert!(matches!(read(missing.path()), Err(DevError::Unreadable { .. })));
        let short = folder_with("{}");
        assert!(matches!(read(short.path()), Err(DevError::Malformed { .. })));
        for address in ["http://127.0.0.1:1", "localhost", "https:///x", ""] {
            let folder = folder_with(&DESCRIPTION.replace("https://127.0.0.1:40001", address));
            assert!(matches!(read(folder.path()), Err(DevError::NoAddress { .. })), "{address} was accepted");
        }
    }
}
