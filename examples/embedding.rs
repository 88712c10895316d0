//! A program that has the client built in: HTTP code written for `tower`, run over an executor. It brings an executor and an
//! origin of its own, both on the loopback interface, and needs nothing else:
//!
//! ```sh
//! cargo run --example embedding
//! ```

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{CallError, Reconnecting, RequestOptions};
use exec_http::protocol::http::RedirectPolicy;
use exec_http::server::Server;
use exec_http::transport::websocket::{self, Listener};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt as _};

type AnyError = Box<dyn Error + Send + Sync>;

/// A free port of the loopback interface.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let (origin, executor) = (start_origin().await?, start_executor().await?);

    let client = Reconnecting::new(move || {
        let executor = executor.clone();
        async move { websocket::connect(&executor).await }
    });
    // A layer like those that the program may have already.
    let mut service = ServiceBuilder::new().concurrency_limit(100).service(client);

    println!("{}", post(&mut service, &format!("{origin}/items"), "hello").await?);

    // A port that nobody listens on any more: what is known of a call that failed.
    let nobody = TcpListener::bind(LOOPBACK).await?.local_addr()?;
    match post(&mut service, &format!("http://{nobody}/"), "hello").await {
        Ok(text) => println!("{text}"),
        Err(error) => match error.downcast::<CallError>() {
            Ok(error) => {
                println!("{error}");
                println!("at fault: {:?}, executed: {:?}", error.fault(), error.execution(RedirectPolicy::Stop));
            }
            Err(other) => return Err(other),
        },
    }
    Ok(())
}

/// HTTP code that knows of no executor, apart from the options that it may give.
async fn post<S, B>(service: &mut S, url: &str, text: &str) -> Result<String, AnyError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<AnyError>,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<AnyError>,
{
    let options = RequestOptions {
        deadline: Some(Duration::from_secs(10)),
        redirect: RedirectPolicy::Stop,
        ..RequestOptions::default()
    };
    let request = Request::post(url).extension(options).body(Full::from(text.to_owned()))?;
    let response = service.ready().await.map_err(Into::into)?.call(request).await.map_err(Into::into)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(Into::into)?.to_bytes();
    Ok(format!("{status}: {}", String::from_utf8_lossy(&body)))
}

/// An executor on a websocket; returns its URL.
async fn start_executor() -> Result<String, AnyError> {
    let listener = Listener::bind(LOOPBACK).await?;
    let url = listener.url()?;
    tokio::spawn(async move { Server::default().serve_websockets(listener).await });
    Ok(url)
}

/// An origin that answers with what was posted; returns its URL.
async fn start_origin() -> Result<String, AnyError> {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await?.to_bytes();
                let text = format!("{} bytes came to {path}", body.len());
                Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::from(text)))
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(url)
}
