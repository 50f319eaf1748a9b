//! The emulated card of a bench: in this process, behind a socket, so that what reaches it is counted
//! here and not by the terminal that is judged.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

struct Shared {
    card: card_sim::Card,
    commands: usize,
    stopped: bool,
}

/// A card at a socket; it ends when dropped.
pub(crate) struct Card {
    path: PathBuf,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Card {
    /// Listens at `path`, for one terminal at a time.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn start(path: &Path, card: card_sim::Card) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let shared = Arc::new(Mutex::new(Shared {
            card,
            commands: 0,
            stopped: false,
        }));
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("test-card".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if lock(&served).stopped {
                        return;
                    }
                    // A connection that breaks is the card taken away.
                    let _served = stream.and_then(|stream| serve(stream, &served));
                    lock(&served).card.reset();
                }
            })?;
        Ok(Self {
            path: path.to_owned(),
            shared,
            thread: Some(thread),
        })
    }

    /// What `--reader` takes.
    pub(crate) fn spec(&self) -> String {
        format!("emulated:{}", self.path.display())
    }

    /// Commands that have reached the card so far.
    pub(crate) fn commands(&self) -> usize {
        lock(&self.shared).commands
    }
}

impl core::fmt::Debug for Card {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Card")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        lock(&self.shared).stopped = true;
        // Wakes the thread, which then sees that it is over.
        drop(UnixStream::connect(&self.path));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both ways: length 2, big-endian, then that many bytes.
fn serve(mut stream: UnixStream, shared: &Mutex<Shared>) -> io::Result<()> {
    loop {
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut command = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut command)?;
        let answer = {
            let mut shared = lock(shared);
            shared.commands += 1;
            shared.card.transmit(&command).answer
        };
        let len = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        stream.write_all(&[&len.to_be_bytes(), answer.as_slice()].concat())?;
    }
}
