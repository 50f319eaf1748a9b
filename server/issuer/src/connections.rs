//! Connections: how many at once, how long each may take to ask, and their end when the server stops.
//!
//! What a request may take once its headers are here is limited in [`crate::http`].

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    serve::Listener,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{
    convert::Infallible,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix,
    sync::Semaphore,
};
use tower::ServiceExt;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait unaccepted.
    pub connections: usize,
    /// Longest from one request's end (or the connection's begin) to the end of the next headers.
    pub headers: Duration,
    /// Longest that running requests may take once the server is to stop.
    pub farewell: Duration,
}

impl Limits {
    /// Those of a server. 1024 files is what a process may open by default on most systems, the
    /// database's included; half of that leaves a margin. Ten seconds are what the whole of a
    /// request gets too, and twice that is more than any request that is running may still need.
    pub const SERVER: Self = Self {
        connections: 512,
        headers: Duration::from_secs(10),
        farewell: Duration::from_secs(20),
    };
}

/// Where a connection comes from.
pub trait Peer {
    /// Its address; a local socket's is loopback.
    fn address(&self) -> SocketAddr;
}

impl Peer for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

impl Peer for unix::SocketAddr {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }
}

/// Answers connections until `stop` ends, then lets running requests finish.
pub async fn serve<L>(
    mut listener: L,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) where
    L: Listener,
    L::Addr: Peer,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let running = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            // errors of accepting are survived there, with a pause when files run out
            (place, listener.accept().await)
        };
        let (place, (stream, peer)) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let connection = running.watch(connection(
            stream,
            peer.address(),
            router.clone(),
            limits.headers,
        ));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.farewell, running.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were cut off: they took too long to end");
    }
}

fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    headers: Duration,
) -> http1::Connection<
    TokioIo<S>,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> + Send,
> {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .serve_connection(TokioIo::new(stream), service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::{Notify, oneshot},
        task::JoinHandle,
    };

    /// Only met by a test that fails.
    const PATIENCE: Duration = Duration::from_secs(20);

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    async fn start(router: Router, limits: Limits) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { stopped.await.unwrap_or(()) };
        let server = tokio::spawn(serve(listener, router, limits, stopped));
        Running {
            address,
            stop,
            server,
        }
    }

    /// Sends `bytes` and reads until the server closes.
    async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        answer
    }

    #[tokio::test]
    async fn half_a_request_does_not_hold_its_connection() {
        let limits = Limits {
            headers: Duration::from_millis(20),
            ..Limits::SERVER
        };
        let running = start(Router::new(), limits).await;
        talk(running.address, b"GET / HTTP/1.1\r\nhost:").await;
        talk(running.address, b"").await;
    }

    #[tokio::test]
    async fn no_more_connections_than_allowed_are_answered_at_once() {
        let most = Arc::new(AtomicUsize::new(0));
        let now = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        let handler = move || async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
        };
        let limits = Limits {
            connections: 2,
            ..Limits::SERVER
        };
        let running = start(Router::new().route("/", get(handler)), limits).await;
        let calls: Vec<_> = (0..8)
            .map(|_| tokio::spawn(talk(running.address, ASK)))
            .collect();
        for call in calls {
            assert!(call.await.unwrap().starts_with("HTTP/1.1 200"));
        }
        assert_eq!(seen.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_running_request_is_finished_when_the_server_stops() {
        let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes_on) = (Arc::clone(&began), Arc::clone(&go_on));
        let handler = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            begins.notify_one();
            goes_on.notified().await;
            peer.ip().to_string()
        };
        let running = start(Router::new().route("/", get(handler)), Limits::SERVER).await;
        let call = tokio::spawn(talk(running.address, ASK));
        began.notified().await;
        running.stop.send(()).unwrap();
        while TcpStream::connect(running.address).await.is_ok() {}
        assert!(!running.server.is_finished());
        go_on.notify_one();
        assert!(call.await.unwrap().ends_with("127.0.0.1"));
        running.server.await.unwrap();
    }
}
