//! What a start makes before anything listens: folder, certificates, memory for keys, the probe's issuer.
//!
//! Never binds an address and never starts a task.

use std::sync::Arc;

use replication::clock::Clock;
use tokio::sync::Notify;

use crate::admin::client::Operator;
use crate::authn::ProbeIssuer;
use crate::clock::SystemClock;
use crate::crypto::{Arena, Entropy, LockPolicy};
use crate::keystore::Person;
use crate::metrics::Metrics;

use super::DevRole;
use super::error::DevError;
use super::folder::Folder;
use super::options::{DevOptions, SettingsFile, settings_of};
use super::pki::Pki;
use super::settings::DevSettings;
use crate::process::{files, key_memory};

/// Everything that a start makes before anything listens.
pub(super) struct Prepared {
    pub(super) folder: Folder,
    pub(super) settings: DevSettings,
    pub(super) settings_file: SettingsFile,
    pub(super) pki: Pki,
    pub(super) operator: Operator,
    pub(super) officers: Vec<Operator>,
    pub(super) arena: Arc<Arena>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) probe: Arc<ProbeIssuer>,
    /// Told when somebody wants the files of certificates looked at now.
    pub(super) look_at_certificates: Arc<Notify>,
}

impl Prepared {
    /// The people whom a first start enrols.
    pub(super) fn people(&self) -> Vec<Person> {
        let enrolments = std::iter::once(&self.operator).chain(&self.officers).map(Operator::enrolment);
        let person =
            |((signer, public_key), one): (_, DevRole)| Person { signer, public_key, roles: [one.role].into() };
        enrolments.zip(super::PEOPLE).map(person).collect()
    }
}

/// Makes all of it, or what is missing of it.
pub(super) fn prepare(options: &DevOptions, entropy: Arc<dyn Entropy>) -> Result<Prepared, DevError> {
    prepare_with(options, entropy, Arc::new(ProbeIssuer::generate()?))
}

/// The same with a probe's issuer that is there already.
pub(super) fn prepare_with(
    options: &DevOptions,
    entropy: Arc<dyn Entropy>,
    probe: Arc<ProbeIssuer>,
) -> Result<Prepared, DevError> {
    let folder = Folder::take(&options.data_dir)?;
    folder.holds_its_groups()?;
    let (settings, settings_file) = settings_of(&folder, &options.flags)?;
    if let Some(ready) = &options.ready_file {
        // what a start before this one left says nothing about this one
        files::remove(ready)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let pki = Pki::ensure(&folder.at("pki"), clock.wall())?;
    let operator = Operator::load(&pki.operator.certificate, &pki.operator.key)?;
    let officers = pki.officers.iter().map(|files| Operator::load(&files.certificate, &files.key));
    let officers = officers.collect::<Result<_, _>>()?;
    let arena = key_memory::of(settings.data.unsealed_max, LockPolicy::Warn)?;
    let metrics = Arc::new(Metrics::new(clock.wall(), env!("CARGO_PKG_VERSION")));
    let look_at_certificates = Arc::default();
    Ok(Prepared {
        folder,
        settings,
        settings_file,
        pki,
        operator,
        officers,
        arena,
        entropy,
        clock,
        metrics,
        probe,
        look_at_certificates,
    })
}
