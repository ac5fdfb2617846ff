//! From flags to a connection as one person.

use std::path::{Path, PathBuf};

use replication::ids::SignerId;

use crate::admin::client::{AdminClient, Operator};
use crate::ctl::args::Connection;
use crate::ctl::error::CtlError;
use crate::dev::{DEV_FILE, DevFile};

/// Where a cluster is, and as whom.
pub(super) struct Reach {
    pub(super) url: String,
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Reach {
    pub(super) fn client(&self) -> Result<AdminClient, CtlError> {
        Ok(AdminClient::new(&self.url, &self.ca, Operator::load(&self.certificate, &self.key)?)?)
    }
}

pub(super) fn client(connection: &Connection) -> Result<AdminClient, CtlError> {
    match connection {
        Connection { dev: Some(folder), person, url: None, ca: None, cert: None, key_file: None } => {
            of_dev(folder, &DevFile::load(folder)?, person.as_ref())?.client()
        }
        Connection { dev: None, person: None, url: Some(url), ca: Some(ca), cert: Some(cert), key_file: Some(key) } => {
            let reach = Reach { url: url.clone(), ca: ca.clone(), certificate: cert.clone(), key: key.clone() };
            reach.client()
        }
        // the parser sees the conflict only between flags on the same side of the subcommand
        Connection { dev: Some(_), .. } => Err(CtlError::TwoConnections),
        Connection { dev: None, person: Some(_), .. } => Err(CtlError::AsWithoutDev),
        Connection { dev: None, .. } => Err(CtlError::NoConnection),
    }
}

/// What `dev.json` says, for one of the people that it lists.
pub(super) fn of_dev(folder: &Path, dev: &DevFile, person: Option<&SignerId>) -> Result<Reach, CtlError> {
    let (certificate, key) = match person {
        None => (dev.operator_cert_file.clone(), dev.operator_key_file.clone()),
        Some(name) => {
            let found = dev.people.iter().find(|person| person.name == *name);
            let found = found.ok_or_else(|| CtlError::NobodyOfThisName {
                name: name.to_string(),
                file: folder.join(DEV_FILE),
                people: dev.people.iter().map(|person| person.name.to_string()).collect(),
            })?;
            (found.cert_file.clone(), found.key_file.clone())
        }
    };
    Ok(Reach { url: dev.admin_url.clone(), ca: dev.ca_file.clone(), certificate, key })
}
