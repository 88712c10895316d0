//! What both halves send, and in which order, over streams that hold as many bytes as a test wants.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use super::super::framing::{Decoder, Event};
use super::super::{Halves, connection};
use crate::protocol::batch::Batch;
use crate::transport::websocket::framing::{Head, Opcode, Role, mask};
use crate::transport::{CloseReason, Connection, TransportError};

const KEY: [u8; 4] = [1, 2, 3, 4];

/// A server, and the stream to it that takes and gives so many bytes before it waits.
fn server(bytes: usize) -> (Connection, DuplexStream) {
    let (near, far) = tokio::io::duplex(bytes);
    let (input, output) = tokio::io::split(near);
    let halves: Halves = (Box::new(input), Box::new(output));
    (connection(halves, &[], Role::Server, None), far)
}

/// A frame of a client.
fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Head::new(opcode, payload.len(), Some(KEY)).as_bytes().to_vec();
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[start..], KEY);
    frame
}

/// Frames that come from the server.
struct Client {
    stream: DuplexStream,
    decoder: Decoder,
}

impl Client {
    fn new(stream: DuplexStream) -> Self {
        Self { stream, decoder: Decoder::new(Role::Client, usize::MAX) }
    }

    async fn next(&mut self) -> (Event, Vec<u8>) {
        loop {
            if let Some(event) = self.decoder.poll_event().expect("legal frames") {
                return (event, self.decoder.payload().to_vec());
            }
            let read = self.stream.read_buf(self.decoder.buffer_mut());
            assert_ne!(timeout(Duration::from_secs(5), read).await.expect("more comes").expect("open"), 0, "the end");
        }
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.stream.write_all(&frame(opcode, payload)).await.expect("open");
    }
}

fn message(payload: &[u8]) -> (Event, Vec<u8>) {
    (Event::Message { is_text: true }, payload.to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_while_the_writer_is_idle_and_counts_as_activity() {
    let (mut server, far) = server(1000);
    let mut client = Client::new(far);
    client.send(Opcode::Ping, b"here?").await;
    client.send(Opcode::Text, b"{}").await;
    assert_eq!(server.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
    assert_eq!(client.next().await, (Event::Pong, b"here?".to_vec()));
    assert_eq!(server.reader.activity(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_reader_does_not_wait_for_a_blocked_writer_and_the_latest_ping_is_answered_between_frames() {
    let (mut server, far) = server(16);
    let mut client = Client::new(far);
    // More than a block.
    let large = vec![b'x'; 300_000];
    let mut batch: Batch = [&large[..], b"{}"].into_iter().collect();
    let mut sending = Box::pin(server.writer.send_batch(&mut batch));
    assert!(timeout(Duration::from_millis(1), &mut sending).await.is_err(), "nobody reads");
    for ping in [b"1", b"2", b"3"] {
        client.send(Opcode::Ping, ping).await;
        client.send(Opcode::Text, ping).await;
        assert_eq!(server.reader.next().await.expect("open").as_deref(), Some(&ping[..]));
    }
    let (sent, received) =
        tokio::join!(sending, async { [client.next().await, client.next().await, client.next().await] });
    sent.expect("open");
    assert_eq!(received, [message(&large), (Event::Pong, b"3".to_vec()), message(b"{}")]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_finds_no_room_is_sent_by_the_reader_when_there_is() {
    let (mut server, far) = server(16);
    let mut client = Client::new(far);
    for _ in 0..3 {
        client.send(Opcode::Ping, b"12345678").await;
        // The answers are ten bytes each.
        let _nothing = timeout(Duration::from_millis(1), server.reader.next()).await;
    }
    let (received, _) = tokio::join!(
        async { [client.next().await, client.next().await, client.next().await] },
        timeout(Duration::from_millis(1), server.reader.next())
    );
    assert_eq!(received, [0; 3].map(|_| (Event::Pong, b"12345678".to_vec())));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_half_sent_is_finished_by_the_writer() {
    let (mut server, far) = server(16);
    let mut client = Client::new(far);
    for _ in 0..2 {
        client.send(Opcode::Ping, b"12345678").await;
        let _nothing = timeout(Duration::from_millis(1), server.reader.next()).await;
    }
    let (sent, received) = tokio::join!(server.writer.send(vec!["{}".into()]), async {
        [client.next().await, client.next().await, client.next().await]
    });
    sent.expect("open");
    let pong = (Event::Pong, b"12345678".to_vec());
    assert_eq!(received, [pong.clone(), pong, message(b"{}")]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_leaves_whole_frames() {
    for first in [&[b'x'; 40][..], &[b'y'; 100_000]] {
        let (mut server, far) = server(16);
        let mut client = Client::new(far);
        let mut batch: Batch = [first, b"{}"].into_iter().collect();
        timeout(Duration::from_millis(1), server.writer.send_batch(&mut batch)).await.expect_err("nobody reads");
        let ((), received) = tokio::join!(server.writer.close(CloseReason::TooLong), async {
            let mut received = vec![client.next().await];
            while received.last().is_some_and(|(event, _)| *event != Event::Close) {
                received.push(client.next().await);
            }
            received
        });
        assert_eq!(received, [message(first), message(b"{}"), (Event::Close, b"\x03\xf1".to_vec())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_is_answered_once_and_nothing_follows_it() {
    let (mut server, far) = server(1000);
    let mut client = Client::new(far);
    client.send(Opcode::Close, b"\x0f\xa0bye").await;
    client.send(Opcode::Text, b"{}").await;
    assert_eq!(server.reader.next().await.expect("a good end"), None);
    assert_eq!(server.reader.next().await.expect("a good end"), None);
    assert_eq!(client.next().await, (Event::Close, b"\x0f\xa0bye".to_vec()));
    for _ in 0..2 {
        let refused = server.writer.send(vec!["{}".into()]).await;
        assert!(matches!(refused, Err(TransportError::WebSocket("already closed"))), "{refused:?}");
    }
    server.writer.ping().await.expect_err("closed");
    server.writer.close(CloseReason::Done).await;
    drop(server);
    assert_eq!(client.stream.read(&mut [0]).await.expect("no failure"), 0, "one close frame");
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_our_close_frame_is_read_and_pings_are_not_answered() {
    let (mut server, far) = server(1000);
    let mut client = Client::new(far);
    server.writer.close(CloseReason::Violation).await;
    assert_eq!(client.next().await, (Event::Close, b"\x03\xea".to_vec()));
    client.send(Opcode::Ping, b"").await;
    client.send(Opcode::Text, b"{}").await;
    client.send(Opcode::Close, b"\x03\xea").await;
    assert_eq!(server.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
    assert_eq!(server.reader.next().await.expect("a good end"), None);
    drop(server);
    assert_eq!(client.stream.read(&mut [0]).await.expect("no failure"), 0, "nothing follows a close frame");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_small_and_large_frames_arrives_in_order_masked_or_not() {
    for role in [Role::Server, Role::Client] {
        let (near, mut far) = tokio::io::duplex(5000);
        let (input, output) = tokio::io::split(near);
        let mut near = connection((Box::new(input), Box::new(output)), &[], role, None);
        let frames: Vec<_> = (0..300).map(|at| vec![b'a' + (at % 26) as u8; at * at % 10_000]).collect();
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let mut decoder = Decoder::new(peer, usize::MAX);
        let receiving = async {
            let mut received = Vec::new();
            while received.len() < frames.len() {
                match decoder.poll_event().expect("legal frames") {
                    Some(_) => received.push(decoder.payload().to_vec()),
                    None => _ = far.read_buf(decoder.buffer_mut()).await.expect("open"),
                }
            }
            received
        };
        let mut batch: Batch = frames.iter().collect();
        let mut receiving = pin!(receiving);
        let (sent, received) = tokio::join!(near.writer.send_batch(&mut batch), &mut receiving);
        sent.expect("open");
        assert!(received == frames, "{role:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_is_dropped_loses_nothing_and_an_end_without_a_close_frame_is_an_error() {
    let (mut server, mut far) = server(1000);
    for byte in frame(Opcode::Text, b"{}") {
        timeout(Duration::from_millis(1), server.reader.next()).await.expect_err("not whole yet");
        far.write_all(&[byte]).await.expect("open");
    }
    assert_eq!(server.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
    drop(far);
    let ended = server.reader.next().await;
    assert!(matches!(ended, Err(TransportError::WebSocket("the peer left without a close frame"))), "{ended:?}");
    assert_eq!(server.reader.next().await.expect("nothing follows"), None);
}
