//! The runtime under those subcommands that wait for a network.

use crate::exit::Failure;

/// Runs to the end. What still runs in the background then, such as a read from a terminal, is not waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("threads cannot be started: {error}")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}
