//! A real SMTP server on loopback that keeps every mail it receives.

use std::{
    net::TcpListener,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// Mails received so far, oldest first, and a bell for those who wait for the next.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    mails: Arc<(Mutex<Vec<Vec<u8>>>, Condvar)>,
}

/// One SMTP connection of the sink.
#[derive(Clone)]
struct Session {
    sink: Sink,
    mail: Vec<u8>,
}

impl mailin_embedded::Handler for Session {
    fn data(&mut self, buf: &[u8]) -> std::io::Result<()> {
        self.mail.extend_from_slice(buf);
        Ok(())
    }

    fn data_end(&mut self) -> mailin_embedded::Response {
        let (mails, bell) = &*self.sink.mails;
        mails
            .lock()
            .expect("no holder panics")
            .push(std::mem::take(&mut self.mail));
        bell.notify_all();
        mailin_embedded::response::OK
    }
}

impl Sink {
    /// How many mails have come.
    ///
    /// # Panics
    /// If a thread of the sink panicked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.mails.0.lock().expect("no holder panics").len()
    }

    /// Starts the server on a free port of 127.0.0.1 and returns it with the port.
    ///
    /// # Errors
    /// The listener's error, if no port can be bound.
    ///
    /// # Panics
    /// The serving thread panics if the listener fails later; the waiter then times out.
    pub fn start() -> std::io::Result<(Self, u16)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let sink = Self::default();
        let session = Session {
            sink: sink.clone(),
            mail: Vec::new(),
        };
        let mut server = mailin_embedded::Server::new(session);
        server.with_name("sink.example").with_tcp_listener(listener);
        std::thread::spawn(move || server.serve().expect("the sink's listener works"));
        Ok((sink, port))
    }

    /// Waits until `count` mails are there (at most `limit`) and returns the newest of them.
    ///
    /// # Panics
    /// If another user of the sink panicked while holding it.
    #[must_use]
    pub fn wait_for(&self, count: usize, limit: Duration) -> Option<Vec<u8>> {
        let (mails, bell) = &*self.mails;
        let guard = mails.lock().expect("no holder panics");
        let (guard, _) = bell
            .wait_timeout_while(guard, limit, |mails| mails.len() < count)
            .expect("no holder panics");
        count
            .checked_sub(1)
            .and_then(|last| guard.get(last).cloned())
    }
}
