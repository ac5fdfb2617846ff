//! The one place where a frontend meets its key stores: everything in its directory and every tenant key come through here.
//!
//! Never on the request path.

use std::sync::Arc;

use replication::feed::KeyStoreAt;
use replication::peers::identity::FrontendIdentity;
use replication::peers::tls::FrontendTls;

use crate::edge::tls::TlsFiles;
use crate::following::{Fed, following};
use crate::process::credential_files::CredentialFiles;
use crate::settings::frontend::FollowedSettings;
use crate::tasks::Tasks;

use super::error::FrontendProcessError;
use super::prepared::Prepared;

/// Follows the key stores of the settings from now on: fills the directory and the tenant keys, and keeps both fresh.
pub(super) fn follow(prepared: &Prepared, tasks: &Tasks) -> Result<(), FrontendProcessError> {
    let settings = &prepared.settings;
    let FollowedSettings { key_stores, credentials, authority } = &settings.feed;
    let own = FrontendIdentity { lineage: settings.lineage, name: settings.name.clone() };
    let files = TlsFiles {
        certificate: credentials.certificate.clone(),
        key: credentials.key.clone(),
        client_authority: Some(authority.clone()),
    };
    let present = |credentials| FrontendTls::new(own, credentials);
    let files = CredentialFiles::load(files, "key stores", prepared.clock.wall(), present)?;
    let place = |known: &crate::settings::names::KeyStoreAddress| KeyStoreAt {
        replica: known.replica,
        address: known.address.clone(),
    };
    let places: Vec<KeyStoreAt> = key_stores.iter().map(place).collect();
    let fed = Fed {
        directory: Arc::clone(&prepared.directory),
        tenant_keys: Arc::clone(&prepared.tenant_keys),
        arena: Arc::clone(&prepared.arena),
        clock_verdict: prepared.clock_verdict.clone(),
    };
    let clock = Arc::clone(&prepared.clock);
    let following = following(files.tls(), &places, fed, prepared.entropy.as_ref(), clock)?;
    tasks.spawn_endless("certificate for key stores", files.keep(settings.look_every, Arc::clone(&prepared.clock)));
    tasks.spawn_endless("feed", following.run());
    Ok(())
}
