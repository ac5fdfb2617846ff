//! Reads what `ekm dev` says about itself in `dev.json`: where it listens, whom to trust, which token to show.
//! Never writes below the folder, and never reads the issuer's or the operator's keys: an outsider has none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http::Uri;
use serde::Deserialize;
use thiserror::Error;

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
    #[serde(default)]
    pid: u32,
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
}

/// Reads `<folder>/dev.json` and the files it names; relative names are relative to the folder.
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
    let path = folder.join("dev.json");
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
    let token = bytes_of(token_file.clone())?;
    let server = DevServer {
        data_url,
        hostname: file.hostname,
        ca_pem,
        token: String::from_utf8_lossy(&token).trim().to_owned(),
        key_path: file.key_path.trim_start_matches('/').to_owned(),
    };
    Ok(DevDescription {
        server,
        audience: file.audience,
        caller_email: file.caller_email,
        token_file,
        issuer_key_file: file.issuer_key_file.map(|file| folder.join(file)),
        pid: file.pid,
    })
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
