//! `dev.json`: what a running `ekm dev` says about itself, for the tools that stand around it.

use std::path::{Path, PathBuf};

use replication::ids::SignerId;
use serde::{Deserialize, Serialize};

/// The name of the file in the data directory.
pub const DEV_FILE: &str = "dev.json";

/// What `dev.json` holds. Relative paths are relative to the data directory; [`DevFile::load`] gives them joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevFile {
    /// The data listener, `https://localhost:port`.
    pub data_url: String,
    /// What tokens must name as their audience.
    pub audience: String,
    /// The name on the server's certificate.
    pub hostname: String,
    /// The certificate authority of the servers, PEM.
    pub ca_file: PathBuf,
    /// Liveness and readiness: add `/livez` or `/readyz`.
    pub health_url: String,
    /// Prometheus metrics.
    pub metrics_url: String,
    /// The admin API.
    pub admin_url: String,
    /// The operator's certificate, PEM.
    pub operator_cert_file: PathBuf,
    /// The operator's key, PEM.
    pub operator_key_file: PathBuf,
    /// Everybody whom the first start enrolled, the operator first.
    #[serde(default)]
    pub people: Vec<DevPerson>,
    /// The demo key's path, without a leading slash.
    pub key_path: String,
    /// The demo crypto space's path, without a leading slash.
    pub cryptospace_path: String,
    /// The caller that the demo grant admits.
    pub caller_email: String,
    /// A token of that caller, renewed while the server runs.
    pub token_file: PathBuf,
    /// The token issuer's public keys.
    pub jwks_file: PathBuf,
    /// The token issuer's private key, PEM.
    pub issuer_key_file: PathBuf,
    /// The server's process id.
    pub pid: u32,
}

/// One whom the first start enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevPerson {
    /// Their name.
    pub name: SignerId,
    /// Their certificate, PEM.
    pub cert_file: PathBuf,
    /// Their key, PEM.
    pub key_file: PathBuf,
}

/// `dev.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DevFileError {
    /// It cannot be read.
    #[error("cannot read {}; is it the data directory of an `ekm dev` that runs?", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is none of ours.
    #[error("{} is not a dev.json of this release", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl DevFile {
    /// Reads `<folder>/dev.json`, its paths joined to the folder.
    ///
    /// # Errors
    /// [`DevFileError`], naming the file.
    pub fn load(folder: &Path) -> Result<Self, DevFileError> {
        let path = folder.join(DEV_FILE);
        let text = std::fs::read(&path).map_err(|source| DevFileError::Read { path: path.clone(), source })?;
        let file: Self = serde_json::from_slice(&text).map_err(|source| DevFileError::Parse { path, source })?;
        Ok(file.joined(folder))
    }

    /// The same with its paths joined to the folder.
    #[must_use]
    pub fn joined(mut self, folder: &Path) -> Self {
        for path in [
            &mut self.ca_file,
            &mut self.operator_cert_file,
            &mut self.operator_key_file,
            &mut self.token_file,
            &mut self.jwks_file,
            &mut self.issuer_key_file,
        ] {
            *path = folder.join(&*path);
        }
        for person in &mut self.people {
            person.cert_file = folder.join(&person.cert_file);
            person.key_file = folder.join(&person.key_file);
        }
        self
    }

    /// The file's content.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("dev.json holds only what JSON can write")
    }
}
