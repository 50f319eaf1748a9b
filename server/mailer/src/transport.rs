//! Where a composed mail goes: a directory (default, needs no set-up) or an SMTP server.

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor, address::Envelope,
    transport::smtp::authentication::Credentials,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Longest one delivery may take before it counts as failed for now.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// In the clear: for a relay on this host or a private network only.
    None,
    /// STARTTLS required (RFC 3207); a server that does not offer it is refused.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
}

/// An SMTP relay.
#[derive(Clone)]
pub struct SmtpConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection of the connection.
    pub tls: SmtpTls,
    /// User and password for AUTH (RFC 4954).
    pub credentials: Option<(String, String)>,
}

impl core::fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SmtpConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field(
                "credentials",
                &self.credentials.as_ref().map(|_| "[redacted]"),
            )
            .finish()
    }
}

/// A way to hand over mails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// One `<message id>.eml` file per mail.
    Directory(PathBuf),
    /// A relay with a connection pool.
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    /// Somebody else's way, as the simulation's.
    Other(Arc<dyn Delivery>),
}

/// A way to hand over mails that is none of ours.
pub trait Delivery: core::fmt::Debug + Send + Sync {
    /// Takes one composed mail, see [`Transport::send`].
    ///
    /// # Errors
    /// [`SendError::Retry`] or [`SendError::Permanent`].
    fn deliver(&self, to: &str, message_id: &str, mail: Vec<u8>) -> Result<(), SendError>;
}

/// The transport could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// TLS parameters for this host were refused.
    #[error("SMTP set-up for the relay failed")]
    Smtp(#[source] lettre::transport::smtp::Error),
    /// The mail directory cannot be made.
    #[error("the mail directory cannot be used")]
    Directory(#[source] std::io::Error),
}

/// One delivery failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Try again later: server unreachable, 4xx, disk full.
    #[error("delivery failed for now")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Do not try again: 5xx or an address that is none.
    #[error("delivery was refused for good")]
    Permanent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Transport {
    /// Mails as files below `dir`, which is made if absent.
    ///
    /// # Errors
    /// [`TransportError::Directory`] if it can be neither found nor made.
    pub fn directory(dir: &Path) -> Result<Self, TransportError> {
        std::fs::create_dir_all(dir).map_err(TransportError::Directory)?;
        Ok(Self::Directory(dir.to_owned()))
    }

    /// Mails to an SMTP relay. No connection is made yet.
    ///
    /// # Errors
    /// [`TransportError::Smtp`] if TLS parameters for the host cannot be made.
    pub fn smtp(config: &SmtpConfig) -> Result<Self, TransportError> {
        type Smtp = AsyncSmtpTransport<Tokio1Executor>;
        let builder = match config.tls {
            SmtpTls::None => Smtp::builder_dangerous(&config.host),
            SmtpTls::StartTls => {
                Smtp::starttls_relay(&config.host).map_err(TransportError::Smtp)?
            }
            SmtpTls::Implicit => Smtp::relay(&config.host).map_err(TransportError::Smtp)?,
        };
        let builder = builder.port(config.port).timeout(Some(SEND_TIMEOUT));
        let builder = match &config.credentials {
            Some((user, password)) => {
                builder.credentials(Credentials::new(user.clone(), password.clone()))
            }
            None => builder,
        };
        Ok(Self::Smtp(Box::new(builder.build())))
    }

    /// Hands over one composed mail. Repeating it is safe: a directory keeps one file per
    /// Message-ID, and mail readers fold equal Message-IDs.
    ///
    /// # Errors
    /// [`SendError::Retry`] or [`SendError::Permanent`], decided where the cause is known.
    pub async fn send(
        &self,
        from: &str,
        to: &str,
        message_id: &str,
        mail: Vec<u8>,
    ) -> Result<(), SendError> {
        match self {
            Self::Directory(dir) => {
                let target = dir.join(format!("{}.eml", safe_name(message_id)));
                tokio::task::spawn_blocking(move || write_whole(&target, &mail))
                    .await
                    .map_err(|e| SendError::Retry(e.into()))?
                    .map_err(|e| SendError::Retry(e.into()))
            }
            Self::Other(delivery) => delivery.deliver(to, message_id, mail),
            Self::Smtp(smtp) => {
                let envelope = envelope(from, to)?;
                match smtp.send_raw(&envelope, &mail).await {
                    Ok(_) => Ok(()),
                    Err(e) if e.is_permanent() => Err(SendError::Permanent(e.into())),
                    Err(e) => Err(SendError::Retry(e.into())),
                }
            }
        }
    }
}

fn envelope(from: &str, to: &str) -> Result<Envelope, SendError> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|e| SendError::Permanent(e.into()))
    };
    Envelope::new(Some(address(from)?), vec![address(to)?])
        .map_err(|e| SendError::Permanent(e.into()))
}

/// Keeps letters, digits, `-`, `_`, `@`, and dots that do not lead, so that a name stays one file.
fn safe_name(text: &str) -> String {
    text.chars()
        .enumerate()
        .map(|(i, c)| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '@' => c,
            '.' if i > 0 => c,
            _ => '_',
        })
        .collect()
}

/// A reader of the directory sees the whole mail or none of it.
fn write_whole(target: &Path, mail: &[u8]) -> std::io::Result<()> {
    let dir = target.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(mail)?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::TcpListener,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>, u16);

    impl mailin_embedded::Handler for Sink {
        fn rcpt(&mut self, _to: &str) -> mailin_embedded::Response {
            match self.1 {
                550 => mailin_embedded::response::NO_MAILBOX,
                451 => mailin_embedded::response::INTERNAL_ERROR,
                _ => mailin_embedded::response::OK,
            }
        }

        fn data(&mut self, buf: &[u8]) -> std::io::Result<()> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(())
        }
    }

    fn serve(sink: Sink) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = mailin_embedded::Server::new(sink);
        server.with_name("sink.example").with_tcp_listener(listener);
        std::thread::spawn(move || server.serve().unwrap());
        port
    }

    async fn deliver(sink: Sink) -> Result<(), SendError> {
        let config = SmtpConfig {
            host: "127.0.0.1".into(),
            port: serve(sink),
            tls: SmtpTls::None,
            credentials: None,
        };
        let mail = b"Subject: x\r\n\r\nhello\r\n".to_vec();
        Transport::smtp(&config)
            .unwrap()
            .send("a@x.example", "b@y.example", "1@x", mail)
            .await
    }

    #[tokio::test]
    async fn a_mail_reaches_an_smtp_server_whole() {
        let sink = Sink::default();
        deliver(sink.clone()).await.unwrap();
        let seen = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        // SMTP ends the data with a line break of its own (RFC 5321 section 4.1.1.4).
        assert_eq!(seen.trim_end(), "Subject: x\r\n\r\nhello");
    }

    #[tokio::test]
    async fn a_5xx_is_final_and_a_4xx_or_a_dead_server_is_not() {
        let refused = deliver(Sink(Arc::default(), 550)).await;
        assert!(
            matches!(refused, Err(SendError::Permanent(_))),
            "{refused:?}"
        );
        let later = deliver(Sink(Arc::default(), 451)).await;
        assert!(matches!(later, Err(SendError::Retry(_))), "{later:?}");

        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = SmtpConfig {
            host: "127.0.0.1".into(),
            port: free,
            tls: SmtpTls::None,
            credentials: None,
        };
        let dead = Transport::smtp(&config).unwrap();
        let outcome = dead
            .send("a@x.example", "b@y.example", "1@x", Vec::new())
            .await;
        assert!(matches!(outcome, Err(SendError::Retry(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn starttls_is_never_silently_skipped() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let sink = Sink::default();
        let config = SmtpConfig {
            host: "127.0.0.1".into(),
            port: serve(sink.clone()),
            tls: SmtpTls::StartTls,
            credentials: Some(("user".into(), "secret".into())),
        };
        assert!(!format!("{config:?}").contains("secret"));
        let transport = Transport::smtp(&config).unwrap();
        let outcome = transport
            .send("a@x.example", "b@y.example", "1@x", b"x".to_vec())
            .await;
        assert!(outcome.is_err(), "this server offers no STARTTLS");
        assert!(sink.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_directory_keeps_one_file_per_message_id() {
        let dir = tempfile::tempdir().unwrap();
        let transport = Transport::directory(&dir.path().join("mail")).unwrap();
        for _ in 0..2 {
            transport
                .send(
                    "a@x.example",
                    "b@y.example",
                    "../1@x.example",
                    b"hello".to_vec(),
                )
                .await
                .unwrap();
        }
        let names: Vec<_> = std::fs::read_dir(dir.path().join("mail"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["_./1@x.example.eml".replace('/', "_")]);
    }
}
