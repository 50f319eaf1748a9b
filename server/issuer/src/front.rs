//! The front of a server in two processes: HTTP at the edge, handed on to the core over a Unix socket.
//!
//! It has no key, no database and no say: what it cannot hand on it answers with `unavailable`, and
//! whoever asked asks again with the same idempotency key. It takes a request whole, under the limits
//! of the core, before the core hears of it, so a slow caller costs the core nothing.

use crate::{
    caller,
    clock::{Clock, SystemClock, SystemRandom, id_parts},
    http::{
        body::{self, JSON_LEN_MAX},
        finished,
        problem::Refused,
    },
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use ledger::MailId;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::UnixStream, time::timeout};
use wire::{api::ProblemCode, exchange::REQUEST_LEN_MAX};

/// Most bytes of a body: the most that any endpoint of the core takes.
const BODY_LEN_MAX: usize = if REQUEST_LEN_MAX > JSON_LEN_MAX {
    REQUEST_LEN_MAX
} else {
    JSON_LEN_MAX
};

/// Longest that a caller may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest that the core may take for its whole answer: more than it gives itself, so that its own answer
/// to a slow request comes first.
const CORE_TIMEOUT: Duration = Duration::from_secs(15);

/// Most bytes of an answer of the core. The longest are a program, at most 64 KiB, and a list of 100
/// orders, each far below 2 KiB.
const ANSWER_LEN_MAX: usize = 256 * 1024;

/// Headers between two hops, which are never handed on, like those that `Connection` names (RFC 9110
/// section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Who called, as the core reads it: it believes this header of its front alone.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Said to people, in both languages, while the core does not answer.
const CLOSED: &str = "This service is not available for a moment. Nothing was lost: try again in a few \
                      seconds; sending the same form again counts once.\n\
                      ただいまご利用いただけません。何も失われていません。数秒後にもう一度お試しください。\
                      同じフォームを再送信しても、一度だけ処理されます。\n";

/// A front.
#[derive(Debug)]
pub struct Front {
    /// The core's socket.
    pub core: PathBuf,
    /// Proxies of ours in front, each of which adds to `X-Forwarded-For`.
    pub trusted_hops: u8,
    patience: Duration,
    clock: SystemClock,
}

impl Front {
    /// A front of the core that listens at `core`.
    #[must_use]
    pub fn new(core: PathBuf, trusted_hops: u8) -> Self {
        Self {
            core,
            trusted_hops,
            patience: CORE_TIMEOUT,
            clock: SystemClock::default(),
        }
    }
}

/// Everything goes to the core, except the question whether the front itself is alive.
pub fn router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .fallback(forward)
        .with_state(front)
}

async fn forward(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let for_programs = is_for_programs(parts.uri.path());
    let (ms, bits) = id_parts(front.clock.now(), &SystemRandom);
    let id = MailId::new(ms, bits).to_string();
    let refused = match timeout(BODY_TIMEOUT, body::read(body, BODY_LEN_MAX)).await {
        Err(_) => return finished(StatusCode::REQUEST_TIMEOUT.into_response(), &id),
        Ok(Err(refused)) => refused,
        Ok(Ok(bytes)) => match timeout(front.patience, ask(&front, parts, bytes)).await {
            Ok(Ok(response)) => return response,
            Ok(Err(error)) => closed(&*error),
            Err(late) => closed(&late),
        },
    };
    if !for_programs && matches!(refused.code, ProblemCode::Unavailable) {
        let answer = (StatusCode::SERVICE_UNAVAILABLE, CLOSED).into_response();
        let answer = with_headers(answer, refused.into_response().headers());
        return finished(answer, &id);
    }
    finished(refused.into_response(), &id)
}

/// The pages speak to people; all else is read by programs.
fn is_for_programs(path: &str) -> bool {
    ["/v1/", "/.well-known/", "/readyz"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

fn closed(error: &dyn std::error::Error) -> Refused {
    tracing::error!(%error, "the core did not answer");
    let detail = "the server is being serviced; nothing was lost, send the same request again";
    Refused::with(ProblemCode::Unavailable, detail)
}

fn with_headers(mut response: Response, from: &HeaderMap) -> Response {
    if let Some(after) = from.get(header::RETRY_AFTER) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, after.clone());
    }
    response
}

/// Hands a whole request to the core on a connection of its own, and takes the whole answer: a caller gets
/// all of it or hears that there is none, and one who reads slowly does not keep the core.
async fn ask(
    front: &Front,
    parts: Parts,
    body: Vec<u8>,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let stream = UnixStream::connect(&front.core).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the core broke");
        }
    });
    let request = Request::from_parts(handed_on(front, parts)?, Full::new(Bytes::from(body)));
    let (mut parts, body) = sender.send_request(request).await?.into_parts();
    let bytes = Limited::new(body, ANSWER_LEN_MAX).collect().await?;
    remove_hop_headers(&mut parts.headers);
    // written anew for the body that was read
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(bytes.to_bytes())))
}

/// Takes out what counts between two hops only: the known headers, and those that a hop names itself.
fn remove_hop_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// The head of a request as the core gets it.
fn handed_on(front: &Front, mut parts: Parts) -> Result<Parts, axum::http::Error> {
    let caller = caller::address(&parts.headers, &parts.extensions, front.trusted_hops);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::builder().path_and_query(path).build()?;
    parts.extensions = axum::http::Extensions::default();
    remove_hop_headers(&mut parts.headers);
    // written anew for the body that was read
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::EXPECT);
    let caller = HeaderValue::from_str(&caller.to_string())?;
    parts.headers.insert(FORWARDED_FOR, caller);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("http://money.example/v1/orders?cursor=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_caller_cannot_say_who_he_is_and_hops_end_here() {
        let sent = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "192.0.2.2"),
            ("connection", "upgrade, X-Hop"),
            ("connection", "accept-language"),
            ("x-hop", "1"),
            ("accept-language", "ja"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("authorization", "Bearer t"),
        ];
        let front = Front::new(PathBuf::from("s"), 0);
        let on = handed_on(&front, parts(&sent)).unwrap();
        assert_eq!(on.uri, "/v1/orders?cursor=1");
        let names: Vec<_> = on.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(on.headers["authorization"], "Bearer t");
        let all: Vec<_> = on.headers.get_all(FORWARDED_FOR).iter().collect();
        assert_eq!(all, ["0.0.0.0"]);
        let front = Front::new(PathBuf::from("s"), 1);
        let on = handed_on(&front, parts(&sent)).unwrap();
        assert_eq!(on.headers[FORWARDED_FOR], "192.0.2.2");
    }

    /// A core that answers one request with these bytes, and then keeps the connection without a word.
    fn core(folder: &Path, answer: Vec<u8>) -> Front {
        let path = folder.join("core");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(&answer).await.unwrap();
            // ends with the front
            let _ = stream.read(&mut request).await;
        });
        Front::new(path, 0)
    }

    async fn asked(front: Front) -> (StatusCode, HeaderMap, usize) {
        let request = Request::get("/v1/orders").body(Body::empty()).unwrap();
        let answer = forward(State(Arc::new(front)), request).await;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, bytes.len())
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let head = "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nx-end: 2\r\ncontent-length: 9\r\n\r\n";
        let whole = core(dir.path(), format!("{head}123456789").into());
        let (status, headers, len) = asked(whole).await;
        assert_eq!((status, len), (StatusCode::OK, 9));
        assert!(headers.contains_key("x-end") && !headers.contains_key("x-hop"));

        let dir = tempfile::tempdir().unwrap();
        let mut cut = core(dir.path(), format!("{head}1234").into());
        cut.patience = Duration::from_millis(50);
        assert_eq!(asked(cut).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn an_answer_is_taken_up_to_its_limit_and_not_past_it() {
        for (len, expected) in [
            (ANSWER_LEN_MAX, StatusCode::OK),
            (ANSWER_LEN_MAX + 1, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n").into_bytes();
            answer.resize(answer.len() + len, b'x');
            assert_eq!(asked(core(dir.path(), answer)).await.0, expected, "{len}");
        }
    }
}
