//! What `ekm dev` is told on its command line, and how that goes together with its settings file.
//!
//! A flag counts for the start that it was given to. The start that makes the file keeps its flags in it; from then on the
//! file belongs to whoever edits it, and is never written again.

use std::path::PathBuf;

use crate::settings::mistake::SettingsError;
use crate::settings::parts::UrlPath;
use crate::settings::reader::ReadBy;
use crate::wire::ErrorShape;

use super::file::DevFile;
use super::folder::Folder;
use super::ports::Ports;
use super::settings::{DevSettings, SETTINGS_FILE};

/// What `ekm dev` is told on its command line.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// A file that appears when it serves.
    pub ready_file: Option<PathBuf>,
    /// What overrides the settings file.
    pub flags: Flags,
}

/// What overrides the settings file for one start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// The data port, admin and health follow it; 0 takes three free ones.
    pub port: Option<u16>,
    /// How an error body is laid out.
    pub error_shape: Option<ErrorShape>,
    /// Paths on which GET is getInfo, in place of those of the file; none leaves the file's.
    pub info_paths: Vec<UrlPath>,
}

impl Flags {
    fn over(&self, settings: &mut DevSettings) {
        if let Some(port) = self.port {
            settings.ports = Ports::asked(port);
        }
        if let Some(shape) = self.error_shape {
            settings.data.dialect.error_shape = shape;
        }
        if !self.info_paths.is_empty() {
            settings.data.dialect.info_paths = self.info_paths.iter().cloned().map(String::from).collect();
        }
    }
}

/// Whether this start is the one that makes the settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingsFile {
    /// It is there, and stays as it is.
    IsThere,
    /// It is to be made once the ports are known.
    ToBeMade,
}

/// The settings of this start.
pub(super) fn settings_of(folder: &Folder, flags: &Flags) -> Result<(DevSettings, SettingsFile), SettingsError> {
    let path = folder.at(SETTINGS_FILE);
    // a link that leads nowhere is there, and is refused
    let (mut settings, file) = if path.symlink_metadata().is_ok() {
        (DevSettings::load(&path, ReadBy::Dev)?, SettingsFile::IsThere)
    } else {
        let mut settings = DevSettings::default();
        // a directory of a release without settings files keeps its ports
        if let Some(ports) = DevFile::load(folder.root()).ok().as_ref().and_then(Ports::of) {
            settings.ports = ports;
        }
        (settings, SettingsFile::ToBeMade)
    };
    flags.over(&mut settings);
    Ok((settings, file))
}
