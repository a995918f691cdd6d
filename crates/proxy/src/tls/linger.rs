//! The lingering close: a refused peer gets its alert even if it has sent more than was read.
//!
//! Closing a socket with unread octets sends a reset, and the alert is lost on its way. So: FIN, then what still comes is read and thrown away,
//! for a short time and up to a bound. Who has not sent a whole ClientHello is not waited for.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest time that a refused connection lingers.
const TIME: Duration = Duration::from_millis(1500);
/// The most octets that are read and thrown away.
const OCTETS: u64 = 1024 * 1024;

/// Ends a connection so that what was written to it arrives.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let drained = async {
        stream.shutdown().await?;
        let mut thrown_away = tokio::io::sink();
        tokio::io::copy(&mut (&mut stream).take(OCTETS), &mut thrown_away).await
    };
    // Whatever ends it, it is over.
    drop(tokio::time::timeout(TIME, drained).await);
}
