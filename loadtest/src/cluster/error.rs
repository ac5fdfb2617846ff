//! Why a cluster does not start or stop, what to do about it, and which exit status that is.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::client::ClientError;
use crate::ctl::CtlError;
use crate::exit::{UNREACHABLE, USAGE, WRONG_ANSWER};
use crate::issuer::IssuerError;
use crate::verify::judge::Fault;

/// Why a step came to nothing.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The own executable cannot be found.
    #[error("it is not known where this program is; name the folder of ekm and ekmctl with --bin-dir")]
    Unplaced(#[source] io::Error),
    /// The server's programs are not there.
    #[error("{} is not there; build it with `cargo build --release`, or name its folder with --bin-dir", program.display())]
    NoProgram { program: PathBuf },
    /// There is no load balancer.
    #[error("HAProxy is not there; install it with `apt-get install haproxy`, or name the program with --haproxy")]
    NoBalancer,
    /// A program cannot be run.
    #[error("cannot run {}", program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// A port is somebody else's.
    #[error(
        "port {port} of 127.0.0.1, for {process}, cannot be had; end what listens there, or name others with --base-port"
    )]
    PortTaken {
        port: u16,
        process: String,
        #[source]
        cause: io::Error,
    },
    /// No free ports.
    #[error("no free ports can be found")]
    NoPorts(#[source] io::Error),
    /// The row of ports goes beyond the last one.
    #[error(
        "there are fewer than {} ports from {base} on; give --base-port a lower number, or 0 for free ones",
        super::plan::PORTS
    )]
    PortsEnd { base: u16 },
    /// Other ports are asked for than the cluster has.
    #[error("the cluster below {} has ports from {first} on, and a replica's address never changes; leave --base-port away", folder.display())]
    PortsStay { folder: PathBuf, first: u16 },
    /// Somebody else's folder.
    #[error("{} is not empty and was not made by `loadtest cluster start`; name another folder with --dir", folder.display())]
    Foreign { folder: PathBuf },
    /// There is no cluster below the folder.
    #[error("there is no cluster below {}; `loadtest cluster start --dir DIR` makes one", folder.display())]
    NoCluster { folder: PathBuf },
    /// It runs.
    #[error("the cluster below {} runs ({processes} processes); `loadtest cluster stop --dir DIR` stops it", folder.display())]
    Running { folder: PathBuf, processes: usize },
    /// Another start or stop is at work.
    #[error("another `loadtest cluster` is at work on {}; wait for it, or interrupt it", folder.display())]
    Busy { folder: PathBuf },
    /// A file or folder.
    #[error("cannot {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// A file holds something else than this program wrote.
    #[error("{} is not as `loadtest cluster` writes it; put it back, or begin anew in another folder", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    /// The kept plan is none.
    #[error("{} names no ports that a cluster could have; put it back, or begin anew in another folder", path.display())]
    NoPlan { path: PathBuf },
    /// A certificate cannot be made, or a kept key cannot be used.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// An Ed25519 key cannot be made.
    #[error("an Ed25519 key cannot be made")]
    Key(#[source] aws_lc_rs::error::Unspecified),
    /// The issuer's key cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A process ended that should not.
    #[error("{process} ended before it was asked to ({status})")]
    Ended { process: String, status: String },
    /// A process did not come up.
    #[error("{process} did not answer {url} with 200 within {} s; it said last: {last}", waited.as_secs())]
    Late { process: String, url: String, waited: Duration, last: String },
    /// A key store did not say who it is.
    #[error("{} did not appear within {} s", path.display(), waited.as_secs())]
    Absent { path: PathBuf, waited: Duration },
    /// The replicas did not come together.
    #[error("the replicas were not together within {} s: {missing}", waited.as_secs())]
    Apart { waited: Duration, missing: String },
    /// An operator's command failed.
    #[error(transparent)]
    Ctl(#[from] CtlError),
    /// `ekmctl` printed something else than this program knows.
    #[error("`ekmctl {command}` printed no {what}")]
    Unknown { command: &'static str, what: &'static str },
    /// No HTTP client can be made.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
    /// No answer through the load balancer.
    #[error(transparent)]
    Unanswered(#[from] ClientError),
    /// A wrong answer through the load balancer.
    #[error("a wrap through the load balancer was answered wrongly")]
    Wrong(#[from] Fault),
    /// The user, or the system, wants an end.
    #[error("interrupted")]
    Interrupted { code: u8 },
}

impl ClusterError {
    /// That something cannot be done with a file.
    pub fn file(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), cause }
    }

    /// The process whose log says more, if the error is about one.
    pub fn process(&self) -> Option<&str> {
        match self {
            Self::Ended { process, .. } | Self::Late { process, .. } => Some(process),
            _ => None,
        }
    }

    /// The exit status.
    pub const fn code(&self) -> u8 {
        match self {
            Self::PortsEnd { .. }
            | Self::PortsStay { .. }
            | Self::Foreign { .. }
            | Self::NoCluster { .. }
            | Self::Running { .. }
            | Self::Busy { .. }
            | Self::File { .. }
            | Self::Malformed { .. }
            | Self::NoPlan { .. }
            | Self::Certificate(_)
            | Self::Key(_)
            | Self::Issuer(_) => USAGE,
            Self::Unplaced(_)
            | Self::NoProgram { .. }
            | Self::NoBalancer
            | Self::Spawn { .. }
            | Self::PortTaken { .. }
            | Self::NoPorts(_)
            | Self::Ended { .. }
            | Self::Late { .. }
            | Self::Absent { .. }
            | Self::Apart { .. }
            | Self::Client(_)
            | Self::Unanswered(_) => UNREACHABLE,
            Self::Ctl(_) | Self::Unknown { .. } | Self::Wrong(_) => WRONG_ANSWER,
            Self::Interrupted { code } => *code,
        }
    }
}
