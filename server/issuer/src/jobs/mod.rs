//! Work that nobody asks for: what expired goes back, mails go out, the bank is asked, the audit log is
//! sealed, endpoints are told.

pub mod addresses;
pub mod bank;
pub mod expiry;
pub mod invitations;
pub mod outbox;
pub mod sealer;
pub mod webhooks;

use std::time::Duration;
use tokio::sync::watch;

/// Waits for the next turn of a job; false when the server stops.
async fn pause(stopped: &mut watch::Receiver<bool>, length: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(length) => true,
        _ = stopped.wait_for(|stop| *stop) => false,
    }
}
