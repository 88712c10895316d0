//! Reading one HTTP/1.1 request, header order and repeats kept.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

/// Bytes of a request head that an origin reads.
const HEAD_BYTES: usize = 1024 * 1024;

/// Bytes of a request body that an origin reads.
const BODY_BYTES: usize = 128 * 1024 * 1024;

/// How long an early path waits for a body.
const EARLY: Duration = Duration::from_millis(100);

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The method with its case.
    pub(super) method: String,
    /// The target as it stands in the request line.
    pub(super) target: String,
    /// Names and values in order, bytes as Latin-1.
    pub(super) headers: Vec<(String, String)>,
    /// The body without its framing.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The values of a header.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads a request. Where `early` says so of its path, the body is what comes within [`EARLY`]. `None` at the end of the
/// input, and when what comes is no request or breaks off.
pub(super) async fn read_request(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    early: impl Fn(&str) -> bool,
) -> Option<Request> {
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        let is_tls = buffer.first() == Some(&super::TLS_HANDSHAKE);
        if is_tls || buffer.len() > HEAD_BYTES || input.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let mut request = parse_head(&buffer.split_to(end))?;
    if early(request.path()) {
        request.body = match timeout(EARLY, read_body(&request, input, buffer)).await {
            Ok(body) => body?,
            Err(_) => buffer.split().to_vec(),
        };
    } else {
        request.body = read_body(&request, input, buffer).await?;
    }
    Some(request)
}

async fn read_body(request: &Request, input: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Option<Vec<u8>> {
    let chunked = request.values("transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked"));
    match request.values("content-length").next() {
        _ if chunked => read_chunks(input, buffer).await,
        Some(length) => {
            let length = length.parse().ok().filter(|&length| length <= BODY_BYTES)?;
            read_exactly(input, buffer, length).await
        }
        None => Some(Vec::new()),
    }
}

fn parse_head(head: &[u8]) -> Option<Request> {
    let text: String = head.iter().map(|&byte| char::from(byte)).collect();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Some(Request { method, target, headers: headers.collect(), body: Vec::new() })
}

async fn read_exactly(input: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, length: usize) -> Option<Vec<u8>> {
    while buffer.len() < length {
        if input.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.split_to(length).to_vec())
}

async fn read_line(input: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Option<String> {
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n") {
            break end;
        }
        if buffer.len() > HEAD_BYTES || input.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let line = buffer.split_to(end + 2);
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}

async fn read_chunks(input: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(input, buffer).await?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if body.len().saturating_add(size) > BODY_BYTES {
            return None;
        }
        if size == 0 {
            // Trailers end with an empty line.
            while !read_line(input, buffer).await?.is_empty() {}
            return Some(body);
        }
        body.extend(read_exactly(input, buffer, size).await?);
        read_line(input, buffer).await?;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn read(bytes: &[u8]) -> (Option<Request>, usize) {
        let mut buffer = BytesMut::new();
        // An early request has no end; the others break off.
        let (mut sender, mut receiver) = tokio::io::duplex(bytes.len());
        sender.write_all(bytes).await.expect("they fit");
        let sender = Some(sender).filter(|_| bytes.windows(6).any(|bytes| bytes == b"/early"));
        let request = read_request(&mut receiver, &mut buffer, |path| path == "/early").await;
        drop(sender);
        let mut rest = Vec::new();
        receiver.read_to_end(&mut rest).await.expect("memory reads");
        (request, buffer.len() + rest.len())
    }

    #[tokio::test]
    async fn heads_keep_order_and_bodies_their_bytes() {
        let (request, rest) =
            read(b"POST /a?b HTTP/1.1\r\nX: 1\r\ny:\xe9\r\nx: 2\r\nContent-Length: 3\r\n\r\nabcGET").await;
        let request = request.expect("a request");
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            request.headers,
            [header("X", "1"), header("y", "é"), header("x", "2"), header("Content-Length", "3")]
        );
        assert_eq!((request.path(), request.target.as_str(), request.body.as_slice()), ("/a", "/a?b", &b"abc"[..]));
        assert_eq!(rest, 3);
        let chunked = b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\nt: 1\r\n\r\n!";
        let (request, rest) = read(chunked).await;
        assert_eq!((request.map(|request| request.body), rest), (Some(b"abc".to_vec()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_path_takes_what_came_and_a_broken_request_is_none() {
        let (request, rest) = read(b"PUT /early HTTP/1.1\r\ncontent-length: 3\r\n\r\nab").await;
        assert_eq!((request.map(|request| request.body), rest), (Some(b"ab".to_vec()), 0));
        assert_eq!(read(b"PUT / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab").await.0, None);
        assert_eq!(read(b"GET / HTTP/1.1\r\n").await.0, None);
    }
}
