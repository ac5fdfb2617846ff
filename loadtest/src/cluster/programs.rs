//! The programs of a cluster: the server's, beside this one, and HAProxy, found before anything is made.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::StartArgs;
use super::error::ClusterError;

/// Where HAProxy is looked for. Debian puts it where the path of most users does not lead.
const BALANCERS: [&str; 3] = ["haproxy", "/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];

/// Programs that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    pub ekm: PathBuf,
    pub ekmctl: PathBuf,
    pub haproxy: PathBuf,
}

impl Programs {
    /// Finds them all.
    ///
    /// # Errors
    /// [`ClusterError::NoBalancer`] or [`ClusterError::NoProgram`], naming what is missing.
    pub async fn find(args: &StartArgs) -> Result<Self, ClusterError> {
        let folder = match &args.bin_dir {
            Some(folder) => folder.clone(),
            None => std::env::current_exe().map_err(ClusterError::Unplaced)?.with_file_name(""),
        };
        let [ekm, ekmctl] = ["ekm", "ekmctl"].map(|name| folder.join(name));
        if let Some(program) = [&ekm, &ekmctl].into_iter().find(|program| !program.is_file()) {
            return Err(ClusterError::NoProgram { program: program.clone() });
        }
        Ok(Self { ekm, ekmctl, haproxy: balancer(args.haproxy.as_deref()).await? })
    }
}

/// The program that is named, or the first that is there.
async fn balancer(named: Option<&Path>) -> Result<PathBuf, ClusterError> {
    let candidates = match named {
        Some(named) => vec![named],
        None => BALANCERS.map(Path::new).to_vec(),
    };
    for program in candidates {
        let version = Command::new(program).arg("-v").stdin(Stdio::null()).kill_on_drop(true).output().await;
        match version {
            Ok(said) if said.status.success() => return Ok(program.to_owned()),
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(ClusterError::Spawn { program: program.to_owned(), cause });
            }
            Ok(_) | Err(_) => {}
        }
    }
    Err(ClusterError::NoBalancer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::UNREACHABLE;

    #[tokio::test]
    async fn what_is_no_load_balancer_is_told_with_the_way_to_get_one() {
        for named in ["/nowhere/haproxy", "/bin/false"] {
            let error = balancer(Some(Path::new(named))).await.expect_err("it is none");
            assert!(error.to_string().contains("`apt-get install haproxy`"), "{error}");
            assert_eq!(error.code(), UNREACHABLE);
        }
    }

    #[tokio::test]
    async fn a_folder_without_the_programs_is_told_by_the_first_that_is_missing() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let args = StartArgs {
            dir: folder.path().join("cluster"),
            base_port: None,
            bin_dir: Some(folder.path().to_owned()),
            haproxy: None,
        };
        let error = Programs::find(&args).await.expect_err("the folder is empty");
        assert!(matches!(&error, ClusterError::NoProgram { program } if program.ends_with("ekm")), "{error}");
        assert!(!args.dir.exists());
    }
}
