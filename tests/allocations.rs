//! How often memory is asked for on the way of a body: for small deltas not once each, and for no delta in proportion to its size.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use bytes::Bytes;
use exec_http::client::{Client, ClientConfig, QueuePolicy};
use exec_http::protocol::batch::Batch;
use exec_http::protocol::delta::{BodyDelta, DeltaEncoder, EncodedDelta};
use exec_http::transport::lines;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, duplex, split};

/// Counts what each thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is the system's; counting touches no memory but the thread's own counter, which needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What this thread asked for while something was done.
fn asked<T>(act: impl FnOnce() -> T) -> (usize, T) {
    let before = ASKED.get();
    let result = act();
    (ASKED.get() - before, result)
}

#[test]
fn the_counter_counts() {
    assert_eq!(asked(|| drop(black_box(Box::new(1)))).0, 1);
    assert_eq!(asked(|| ()).0, 0);
}

#[test]
fn a_delta_is_read_and_written_without() {
    let encoder = DeltaEncoder::new("http-16777216");
    for length in [0, 1, 64, 4_096, 65_536, 1_048_576] {
        let data = vec![0x5a; length];
        let mut batch = Batch::default();
        encoder.write(1, &data, &mut batch);
        batch.clear();
        let (written, ()) = asked(|| {
            for seq in 1..=3 {
                batch.clear();
                encoder.write(seq, &data, &mut batch);
            }
        });
        assert_eq!(written, 0, "writing {length} bytes");
        let frame = batch.frames().next().expect("one").to_vec();
        let mut room = vec![0; length + 3];
        let (read, found) = asked(|| {
            let delta = EncodedDelta::find(&frame)?;
            (delta.seq == 3).then_some(delta.decode_into(&mut room)?)
        });
        assert_eq!((read, found), (0, Some(length)), "reading {length} bytes");
    }
}

/// Frames of one stream, the last of them included, in both of the usual orders by turns.
fn frames(request_id: &str, length: usize, count: u64) -> Vec<u8> {
    let mut batch = Batch::default();
    let encoder = DeltaEncoder::new(request_id);
    for seq in 1..=count {
        encoder.write(seq, &vec![0x5a; length], &mut batch);
    }
    let mut all = batch.lines().to_vec();
    let request_id = request_id.to_owned();
    let (done, data) = (true, Bytes::new());
    BodyDelta { request_id, seq: count + 1, data, done, error: None, error_kind: None }.encode_into(&mut all);
    all.push(b'\n');
    all
}

/// What a whole client asks for while it reads so many deltas of that length, the connection's own memory included.
async fn asked_by_a_client(length: usize, count: u64) -> usize {
    let (near, far) = duplex(1024 * 1024);
    let (near_input, near_output) = split(near);
    let (far_input, mut far_output) = split(far);
    let mut requests = BufReader::new(far_input).lines();
    let config = ClientConfig { queue_policy: QueuePolicy::Pause, ..ClientConfig::default() };
    let connecting = tokio::spawn(Client::connect_with(lines::connection(near_input, near_output), config));
    let request: Value =
        serde_json::from_str(&requests.next_line().await.expect("open").expect("a request")).expect("JSON");
    let greeting = json!({"id": request["id"], "result": {"sessionId": "s"}});
    far_output.write_all(format!("{greeting}\n").as_bytes()).await.expect("open");
    let client = connecting.await.expect("no panic").expect("a handshake");
    requests.next_line().await.expect("open").expect("initialized");
    let calling =
        tokio::spawn(
            async move { client.stream(http::Request::get("http://h/").body(Bytes::new()).expect("legal")).await },
        );
    let request: Value =
        serde_json::from_str(&requests.next_line().await.expect("open").expect("a request")).expect("JSON");
    let head = json!({"id": request["id"], "result": {"status": 200, "headers": [], "bodyBase64": ""}});
    far_output.write_all(format!("{head}\n").as_bytes()).await.expect("open");
    let mut body = calling.await.expect("no panic").expect("a head").into_body();
    let text = frames(request["params"]["requestId"].as_str().expect("text"), length, count);
    let before = ASKED.get();
    let (sent, received) = tokio::join!(far_output.write_all(&text), async {
        let mut received = 0;
        while let Some(chunk) = body.chunk().await {
            received += chunk.expect("whole").len() as u64;
        }
        received
    });
    sent.expect("open");
    assert_eq!(received, length as u64 * count);
    ASKED.get() - before
}

/// The whole client, the transport's buffers and the runtime's wakes included: one chunk of a run for a hundred deltas of 64
/// bytes, two small pieces of memory for a large one.
#[tokio::test]
async fn a_client_asks_once_for_many_small_deltas_and_never_for_the_size_of_large_ones() {
    let (few, many) = (asked_by_a_client(64, 2_000).await, asked_by_a_client(64, 22_000).await);
    assert!((many - few) * 50 <= 20_000, "{} for 20,000 deltas of 64 bytes", many - few);
    let (few, many) = (asked_by_a_client(65_536, 50).await, asked_by_a_client(65_536, 250).await);
    assert!(many - few <= 4 * 200, "{} for 200 deltas of 64 KiB", many - few);
}
