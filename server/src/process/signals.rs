//! What the process is told by signals: SIGTERM and SIGINT end it, SIGHUP has certificates looked at.
//!
//! A terminal that was closed sends SIGHUP too: whoever started the process there does not leave it behind.

use std::io::{IsTerminal as _, stdin};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::ProcessError;

/// From now on SIGHUP ends the process no longer. Taken before anything takes time: a reload right after a start is no end.
///
/// # Errors
/// [`ProcessError::Signals`].
pub fn hang_ups(on: &Handle) -> Result<Signal, ProcessError> {
    let _entered = on.enter();
    signal(SignalKind::hangup()).map_err(ProcessError::Signals)
}

/// Ends when somebody asks the process to end. As long as it is awaited, SIGHUP notifies `look`. Must be called within a runtime.
///
/// # Errors
/// [`ProcessError::Signals`].
pub fn stop_asked(hung_up: Signal, look: Arc<Notify>) -> Result<impl Future<Output = ()>, ProcessError> {
    let on = |kind: SignalKind| signal(kind).map_err(ProcessError::Signals);
    let (mut terminated, mut interrupted) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let had_terminal = stdin().is_terminal();
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            () = left_behind(hung_up, had_terminal.then_some(()), look) => {}
        }
    })
}

/// Ends when the terminal is gone that there was.
async fn left_behind(mut hung_up: Signal, terminal: Option<()>, look: Arc<Notify>) {
    while hung_up.recv().await.is_some() {
        if terminal.is_some() && !stdin().is_terminal() {
            return;
        }
        look.notify_one();
    }
    std::future::pending::<()>().await;
}
