//! `loadtest cluster token`: a fresh token for the demo key, since no process of a cluster renews one.

use std::path::Path;

use super::error::ClusterError;
use super::layout::Layout;
use super::prepare;

/// Writes and gives a token of an hour.
///
/// # Errors
/// If there is no cluster below the folder, or it has no issuer's key.
pub fn renew(folder: &Path) -> Result<String, ClusterError> {
    let absent = || ClusterError::NoCluster { folder: folder.to_owned() };
    let layout = Layout::of(folder).map_err(|_| absent())?;
    if !layout.plan().exists() {
        return Err(absent());
    }
    prepare::token(&layout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::Issuer;
    use crate::load::tokens::issuer_of;

    #[test]
    fn a_token_is_written_and_given_and_names_the_clusters_issuer() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert!(matches!(renew(folder.path()), Err(ClusterError::NoCluster { .. })));
        let layout = Layout::of(folder.path()).expect("the folder is there");
        std::fs::write(layout.plan(), "{}").expect("the folder is writable");
        assert!(matches!(renew(folder.path()), Err(ClusterError::Issuer(_))));
        std::fs::create_dir(folder.path().join("issuer")).expect("the folder is writable");
        std::fs::write(layout.issuer_key(), Issuer::new_key()).expect("the folder is writable");
        let token = renew(folder.path()).expect("there is a key");
        assert_eq!(std::fs::read_to_string(layout.token()).expect("it was written"), token);
        assert_eq!(issuer_of(&token).as_deref(), Some("https://ekm-cluster.invalid"));
    }
}
