//! Which cluster a command is for, and as whom.

use std::path::PathBuf;

use clap::Args;
use replication::ids::SignerId;

/// Which cluster, and as whom: a data directory of `ekm dev`, or the four parts by themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The data directory of a running `ekm dev`; it says the rest.
    #[arg(long, value_name = "DIR", env = "EKM_DEV", global = true, conflicts_with_all = ["url", "ca", "cert", "key_file"])]
    pub dev: Option<PathBuf>,
    /// With --dev: act as one of the people that it lists; its operator if not said.
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub person: Option<SignerId>,
    /// The admin API, for example `https://ekm.example.com:8444`.
    #[arg(long, env = "EKM_ADMIN_URL", global = true)]
    pub url: Option<String>,
    /// Certificates that the admin API's own must descend from, PEM.
    #[arg(long, value_name = "FILE", env = "EKM_ADMIN_CA", global = true)]
    pub ca: Option<PathBuf>,
    /// The operator's certificate, PEM; its common name is the operator's.
    #[arg(long, value_name = "FILE", env = "EKM_OPERATOR_CERT", global = true)]
    pub cert: Option<PathBuf>,
    /// The operator's Ed25519 key, PKCS#8 PEM; it also signs requests.
    #[arg(long = "cert-key", value_name = "FILE", env = "EKM_OPERATOR_KEY", global = true)]
    pub key_file: Option<PathBuf>,
}
