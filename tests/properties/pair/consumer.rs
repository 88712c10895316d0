//! Who makes the calls and reads the bodies.

use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{Body, CallError, Client};
use exec_http::protocol::stream::Outcome;
use http::Request;

use super::Call;

/// What one consumer saw.
#[derive(Debug)]
pub(super) struct Record {
    /// The status, or why there was no response.
    pub(super) head: Result<u16, CallError>,
    /// All bytes of the body.
    pub(super) body: Vec<u8>,
    /// The end of the body; `None` when the consumer left before it, and when there was no response.
    pub(super) end: Option<Outcome>,
}

/// Makes one call, and reads its body at its pace.
pub(super) async fn consume(client: Client, number: usize, call: Call) -> Record {
    tokio::time::sleep(Duration::from_millis(call.start)).await;
    let request = Request::get(format!("http://origin.test/{number}")).body(Bytes::new()).expect("a legal request");
    if !call.stream {
        return match client.request(request).await {
            Ok(response) => {
                Record { head: Ok(response.status().as_u16()), body: response.into_body().into(), end: Some(Ok(())) }
            }
            Err(error) => Record { head: Err(error), body: Vec::new(), end: None },
        };
    }
    match client.stream(request).await {
        Ok(response) => {
            let head = Ok(response.status().as_u16());
            // What keeps the connection open from here on is the body.
            drop(client);
            let (body, end) = read(response.into_body(), &call).await;
            Record { head, body, end }
        }
        Err(error) => Record { head: Err(error), body: Vec::new(), end: None },
    }
}

async fn read(mut body: Body, call: &Call) -> (Vec<u8>, Option<Outcome>) {
    let mut bytes = Vec::new();
    for piece in 0.. {
        if call.leave == Some(piece) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(call.reader_pace)).await;
        match body.chunk().await {
            Some(Ok(chunk)) => {
                assert!(!chunk.is_empty(), "a piece has bytes");
                bytes.extend_from_slice(&chunk);
            }
            end => {
                for _ in 0..3 {
                    assert_eq!(body.chunk().await, end, "the end stays");
                }
                return (bytes, Some(end.map_or(Ok(()), |error| Err(error.expect_err("no data here")))));
            }
        }
    }
    (bytes, None)
}
