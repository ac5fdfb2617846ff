//! What `ekm dev` is told.

use std::path::PathBuf;

use crate::edge::service::DataSettings;

/// What `ekm dev` is told.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The data port, admin and health follow it; 0 takes three free ones; `None` those of the last start, or 8443 to 8445.
    pub port: Option<u16>,
    /// A file that appears when it serves.
    pub ready_file: Option<PathBuf>,
    /// The dialect's own settings.
    pub dialect: DataSettings,
}
