//! The wish that the process end: SIGTERM from a supervisor, Ctrl-C from a terminal.

use crate::failure::Failure;
use tokio::signal::unix::{SignalKind, signal};

/// A future that ends at the first SIGTERM or SIGINT from now on. Must be called within a runtime.
pub(crate) fn asked() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    asked_times(1)
}

/// A future that ends at the second one: the first was not fast enough for somebody.
pub(crate) fn asked_twice() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    asked_times(2)
}

fn asked_times(times: usize) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let refused = |error| Failure::failed(format!("the system does not deliver signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    Ok(async move {
        for _ in 0..times {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}
