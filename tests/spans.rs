//! The span of an exchange. Alone in this process, for what is logged belongs to all of it.

#[path = "door/log.rs"]
mod log_of_all;
#[path = "server/origin.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod origin;

use exec_http::client::Client;
use exec_http::server::Server;
use exec_http::transport::memory;
use http::Request;
use origin::{Origin, response};

#[tokio::test]
async fn an_exchange_has_a_span_without_path_query_and_user_information() {
    log_of_all::collect();
    let origin = Origin::answering(response("", b"hello")).await;
    let (near, far) = memory::pair();
    let serving = tokio::spawn(async move { Server::default().serve_connection(far).await });
    let client = Client::connect(near).await.expect("the handshake");
    let request = |url: &str| Request::get(url).header("x-key", "sesame-header").body("sesame-body".into());
    let url = origin.url("/sesame-path?key=sesame-query").replace("http://", "http://sesame-user:sesame-word@");
    let whole = client.request(request(&url).expect("legal")).await.expect("a response");
    assert_eq!(whole.body(), "hello");
    let refusing = format!("{}sesame-path", Origin::refusing().await);
    client.request(request(&refusing).expect("legal")).await.expect_err("nobody listens");
    drop(client);
    serving.await.expect("no panic");
    let text = log_of_all::text();
    let ended: Vec<_> = text.lines().filter(|line| line.ends_with("exchange ended")).collect();
    let [first, second] = ended[..] else { panic!("{text}") };
    let host = format!(" host=\"{}\" ", origin.url("").replace("http://", ""));
    assert!(first.contains("connection{number=0}:exchange{id=0 "), "{first}");
    for field in [" method=\"GET\" ", &host, " status=200 ", " bytes=5 ", " ms=", " outcome=\"ok\""] {
        assert!(first.contains(field), "{field} in {first}");
    }
    for field in ["exchange{id=1 ", " bytes=0 ", " outcome=\"connect\""] {
        assert!(second.contains(field), "{field} in {second}");
    }
    assert!(!text.contains("sesame"), "{text}");
}
