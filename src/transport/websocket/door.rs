//! Who may come in: what is answered to each HTTP request before there is a websocket.
//!
//! | looked at, in this order | refused with |
//! |---|---|
//! | one valid `Host` (RFC 9112, section 3.2) | 400 |
//! | no `Origin` | 403 |
//! | on a loopback address: a host that names it | 403 |
//! | the bearer token, if there is one; `/readyz` needs none | 401 |
//! | path, method, the headers of an upgrade | 404, 405, 426 |
//! | an executor that goes on serving, and a free place | 503 |

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::header_has;
use super::observer::Observer;
use super::token::TokenHash;

/// What is said of an executor that ends.
const DRAINING: &str = "shutting down\n";

/// What Prometheus calls its text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The right to hold one of a listener's connections; dropping it frees the place.
pub(super) type Place = OwnedSemaphorePermit;

/// What a listener asks of those who come.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// What they must show, if anything.
    token: Option<TokenHash>,
    /// The listener's address is a loopback one. A web page can give a name of its own that address (DNS rebinding), and then
    /// the browser sends no `Origin` with some requests; but it sends that name as `Host`.
    loopback: bool,
    /// Free places for connections.
    places: Arc<Semaphore>,
    /// Who is behind the door, if anybody wants to know.
    observer: Option<Arc<dyn Observer>>,
}

/// Who was let in.
#[derive(Debug)]
pub(super) enum Entry {
    /// `GET /readyz`, and whether it is.
    Readiness(bool),
    /// `GET /metrics`, and the text.
    Metrics(String),
    /// A websocket: the value of `sec-websocket-accept`, and its place.
    WebSocket(HeaderValue, Place),
}

/// Why a listener refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not exactly one `Host`, or one that is not valid.
    BadHost,
    /// A web page sent it.
    Origin,
    /// A host that is not this machine's own.
    ForeignHost,
    /// Not the token.
    Token,
    /// An unknown path.
    Path,
    /// Another method than GET.
    Method,
    /// No websocket is asked for.
    NotWebSocket,
    /// As many connections are open as may be.
    Full,
    /// Nothing new is served any more.
    Draining,
}

impl Door {
    /// For a listener on a loopback address or not, with so many places.
    pub(super) fn new(token: Option<TokenHash>, loopback: bool, places: usize) -> Self {
        Self { token, loopback, places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), observer: None }
    }

    /// The same with somebody behind it.
    pub(super) fn observe(&mut self, observer: Arc<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// Lets a request in, or says why not, to whoever is behind the door as well.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<Entry, Refusal> {
        let entry = self.look(request);
        if let Err(why) = entry {
            tracing::debug!(reason = why.as_str(), "request refused");
            self.observer.iter().for_each(|observer| observer.refused(why));
        }
        entry
    }

    fn look<B>(&self, request: &Request<B>) -> Result<Entry, Refusal> {
        let headers = request.headers();
        let host = host(request)?;
        if headers.contains_key(ORIGIN) {
            return Err(Refusal::Origin);
        }
        if self.loopback && !names_loopback(&host) {
            return Err(Refusal::ForeignHost);
        }
        let path = request.uri().path();
        // It says nothing that an open port does not say, and those who ask whether a process lives have no tokens.
        if path != "/readyz" && self.token.as_ref().is_some_and(|token| !token.admits(headers)) {
            return Err(Refusal::Token);
        }
        match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/readyz") => Ok(Entry::Readiness(self.is_ready())),
            (&Method::GET | &Method::HEAD, "/metrics") => {
                self.observer.as_ref().map(|observer| Entry::Metrics(observer.metrics())).ok_or(Refusal::Path)
            }
            (&Method::GET, "/") => {
                let accept = accept(headers).ok_or(Refusal::NotWebSocket)?;
                if !self.is_ready() {
                    return Err(Refusal::Draining);
                }
                let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Full)?;
                Ok(Entry::WebSocket(accept, place))
            }
            (_, "/" | "/readyz" | "/metrics") => Err(Refusal::Method),
            _ => Err(Refusal::Path),
        }
    }

    fn is_ready(&self) -> bool {
        self.observer.as_ref().is_none_or(|observer| observer.is_ready())
    }
}

/// The host that a request is for. An absolute target counts more than `Host`, which has to be there all the same.
fn host<B>(request: &Request<B>) -> Result<Authority, Refusal> {
    let mut values = request.headers().get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refusal::BadHost) };
    let host = Authority::try_from(value.as_bytes()).map_err(|_| Refusal::BadHost)?;
    for authority in [Some(&host), request.uri().authority()].into_iter().flatten() {
        let host = Some(authority.host()).filter(|host| !host.is_empty());
        let port = host.and_then(|host| authority.as_str().strip_prefix(host)).ok_or(Refusal::BadHost)?;
        let port = port.strip_prefix(':').unwrap_or(port);
        // User information would stand before the host.
        if !port.is_empty() && (!port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err()) {
            return Err(Refusal::BadHost);
        }
    }
    Ok(request.uri().authority().cloned().unwrap_or(host))
}

/// `localhost`, or a literal loopback address.
fn names_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    match address {
        Some(address) => is_loopback(address),
        None => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether nobody outside this machine reaches it; `::ffff:127.0.0.1` is `127.0.0.1`.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The value of `sec-websocket-accept`, if the headers ask for a websocket.
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let asks = version && header_has(headers, CONNECTION, "upgrade") && header_has(headers, UPGRADE, "websocket");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::BadHost,
        Self::Origin,
        Self::ForeignHost,
        Self::Token,
        Self::Path,
        Self::Method,
        Self::NotWebSocket,
        Self::Full,
        Self::Draining,
    ];

    /// One word for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadHost => "bad-host",
            Self::Origin => "origin",
            Self::ForeignHost => "foreign-host",
            Self::Token => "token",
            Self::Path => "path",
            Self::Method => "method",
            Self::NotWebSocket => "not-websocket",
            Self::Full => "full",
            Self::Draining => "draining",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::BadHost => StatusCode::BAD_REQUEST,
            Self::Origin | Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Full | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::BadHost => "exactly one valid Host header is needed\n",
            Self::Origin => "requests of web pages are refused\n",
            Self::ForeignHost => "Host must be localhost or a loopback address\n",
            Self::Token => "a bearer token is needed\n",
            Self::Path => "the websocket is at /\n",
            Self::Method => "only GET\n",
            Self::NotWebSocket => "this is a websocket endpoint\n",
            Self::Full => "too many connections\n",
            Self::Draining => DRAINING,
        }
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        // Closed, so that it takes up the time of no other handshake.
        let close = (CONNECTION, "close");
        let headers: &[(HeaderName, &'static str)] = match self {
            Self::Token => &[close, (WWW_AUTHENTICATE, "Bearer")],
            Self::Method => &[close, (ALLOW, "GET")],
            Self::NotWebSocket => {
                &[(CONNECTION, "Upgrade, close"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")]
            }
            _ => &[close],
        };
        text(self.status(), headers, self.text())
    }
}

impl Entry {
    /// What is answered, and the place of the websocket if it is one.
    pub(super) fn response(self) -> (Response<Full<Bytes>>, Option<Place>) {
        match self {
            Self::Readiness(true) => (text(StatusCode::OK, &[], "ready\n"), None),
            Self::Readiness(false) => (text(StatusCode::SERVICE_UNAVAILABLE, &[], DRAINING), None),
            Self::Metrics(metrics) => (text(StatusCode::OK, &[(CONTENT_TYPE, METRICS_TYPE)], metrics), None),
            Self::WebSocket(accept, place) => {
                let headers = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket")];
                let mut response = text(StatusCode::SWITCHING_PROTOCOLS, &headers, "");
                response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
                (response, Some(place))
            }
        }
    }
}

fn text(status: StatusCode, headers: &[(HeaderName, &'static str)], text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(door: &Door, target: &str, headers: &[(&str, &str)]) -> Option<Refusal> {
        let headers = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        door.admit(&headers.body(()).expect("legal")).err()
    }

    #[test]
    fn on_a_loopback_address_only_names_of_loopback_are_answered() {
        let (near, far) = (Door::new(None, true, 1), Door::new(None, false, 1));
        let check = |host: &str, expected| {
            assert_eq!(refusal(&near, "/readyz", &[("host", host)]), expected, "{host}");
            assert_eq!(refusal(&far, "/readyz", &[("host", host)]), expected.filter(|why| *why == Refusal::BadHost));
        };
        for own in [
            "localhost",
            "LocalHost:1",
            "localhost:",
            "127.0.0.1",
            "127.9.9.9:65535",
            "[::1]",
            "[::1]:9",
            "[0:0:0:0:0:0:0:1]:9",
            "[::ffff:127.0.0.1]:9",
        ] {
            check(own, None);
        }
        for foreign in [
            "example.com",
            "localhost.example.com:9",
            "127.0.0.1.example.com",
            "localhost.",
            "10.0.0.1:9",
            "0.0.0.0",
            "[::]",
            "[::2]:9",
            "[localhost]",
            "127.1",
            "2130706433",
            "[127.0.0.1]",
        ] {
            check(foreign, Some(Refusal::ForeignHost));
        }
        for bad in [
            "",
            ":9",
            "localhost:x",
            "localhost:+9",
            "localhost:65536",
            "::1",
            "a@localhost",
            "local host",
            "localhost/",
        ] {
            check(bad, Some(Refusal::BadHost));
        }
    }

    #[test]
    fn exactly_one_host_is_needed_and_an_absolute_target_counts_more() {
        let door = Door::new(None, true, 1);
        assert_eq!(refusal(&door, "/readyz", &[]), Some(Refusal::BadHost));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(refusal(&door, "/readyz", &twice), Some(Refusal::BadHost));
        let own = [("host", "localhost")];
        assert_eq!(refusal(&door, "http://127.0.0.1:9/readyz", &own), None);
        assert_eq!(refusal(&door, "http://127.0.0.1:9/readyz", &[("host", "example.com")]), None);
        assert_eq!(refusal(&door, "http://example.com/readyz", &own), Some(Refusal::ForeignHost));
        assert_eq!(refusal(&door, "http://localhost@example.com/readyz", &own), Some(Refusal::BadHost));
        assert_eq!(refusal(&door, "http://example.com@localhost/readyz", &own), Some(Refusal::BadHost));
        assert_eq!(refusal(&door, "http://127.0.0.1/readyz", &[]), Some(Refusal::BadHost));
    }

    #[test]
    fn all_but_readiness_wants_the_token_and_origins_are_refused_before_it() {
        let door = Door::new(TokenHash::of("sesame").ok(), true, 1);
        let host = ("host", "localhost");
        let token = ("authorization", "Bearer sesame");
        assert_eq!(refusal(&door, "/readyz", &[host]), None);
        for path in ["/", "/other", "/readyz/"] {
            assert_eq!(refusal(&door, path, &[host]), Some(Refusal::Token), "{path}");
        }
        assert_eq!(refusal(&door, "/other", &[host, token]), Some(Refusal::Path));
        assert_eq!(refusal(&door, "/", &[host, token]), Some(Refusal::NotWebSocket));
        assert_eq!(refusal(&door, "/", &[host, token, ("origin", "http://localhost")]), Some(Refusal::Origin));
        let response = Refusal::Token.response();
        assert_eq!(
            (response.status(), &response.headers()[WWW_AUTHENTICATE]),
            (StatusCode::UNAUTHORIZED, &HeaderValue::from_static("Bearer"))
        );
    }
}
