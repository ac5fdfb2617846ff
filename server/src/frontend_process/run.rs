//! The assembly of `ekm frontend`, and the order of its start and its end.
//!
//! Start: settings, memory, health listener, feed, data listener, probe; ready once the probe is good and everything is loaded.
//! End: unready; the data listener drains; background; health; feed; audit.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use tokio::signal::unix::Signal;

use crate::process::files::{self, Readers};
use crate::process::open_files;
use crate::process::runtimes::{Planes, Runtimes};
use crate::process::signals::{hang_ups, stop_asked};
use crate::settings::frontend::FrontendSettings;
use crate::tasks::Panics;

use super::error::FrontendProcessError;
use super::prepared::{Prepared, prepare};
use super::serving::Serving;

/// What `ekm frontend` is told on its command line.
#[derive(Debug, Clone)]
pub struct FrontendOptions {
    /// The settings file.
    pub settings_file: PathBuf,
    /// A file that appears when it is ready for the first time.
    pub ready_file: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT; SIGHUP has certificates looked at.
///
/// # Errors
/// See [`FrontendProcessError`].
pub fn run(options: &FrontendOptions) -> Result<(), FrontendProcessError> {
    let settings = FrontendSettings::load(&options.settings_file)?;
    let runtimes = Runtimes::start_hardened()?;
    let hung_up = hang_ups(runtimes.control.handle())?;
    open_files::allow(settings.connections_max());
    let prepared = prepare(options, settings)?;
    let ended = runtimes.control.block_on(serve(options, &prepared, hung_up, &runtimes));
    runtimes.end();
    ended
}

async fn serve(
    options: &FrontendOptions,
    prepared: &Prepared,
    hung_up: Signal,
    runtimes: &Runtimes,
) -> Result<(), FrontendProcessError> {
    let mut panics = Panics::default();
    let planes = Planes::new(&panics, runtimes);
    let stop = pin!(stop_asked(hung_up, Arc::clone(&prepared.look_at_certificates))?);
    let serving = match Serving::start(prepared, runtimes, &planes) {
        Ok(serving) => serving,
        Err(error) => {
            planes.stop().await;
            return Err(error);
        }
    };
    let ended = tokio::select! {
        () = stop => Ok(()),
        panicked = panics.next() => Err(panicked.into()),
        ended = announce(&serving, options) => ended,
    };
    tracing::info!("stopping: what is in progress gets a few seconds to end");
    serving.readiness.drain();
    planes.stop().await;
    serving.frontend.finish().await;
    ended
}

/// Says once that it is ready, and goes on for ever.
async fn announce(serving: &Serving, options: &FrontendOptions) -> Result<(), FrontendProcessError> {
    serving.readiness.passed().await;
    tracing::info!("ready");
    if let Some(ready) = &options.ready_file {
        files::write(ready, b"ready\n", Readers::All)?;
    }
    std::future::pending().await
}
