//! `exec-http request`: one HTTP request through an executor, the way users of curl expect it.

mod executor;

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use exec_http::client::{Client, ClientConfig, QueuePolicy, RequestOptions};
use exec_http::protocol::http::RedirectPolicy;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use indicatif::{ProgressBar, ProgressStyle};

use executor::{Executor, ExecutorArgs};

/// How long a spawned executor may take to end once its standard input is closed.
const EXIT_TIME: Duration = Duration::from_secs(2);

/// Send one HTTP request through an executor.
///
/// The body goes to standard output, errors to standard error. Exit code 0 means that the whole response came,
/// whatever its status; 1 that it did not; 2 that the command line is wrong.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// An http or https URL.
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    executor: ExecutorArgs,
    /// The method; GET, or POST with a body.
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// A header; may be given more than once.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body as it stands, or a file's content, `@-` for standard input; sent byte for byte, as a form unless a header
    /// gives its content-type.
    #[arg(short = 'd', long = "data", value_name = "BODY|@FILE")]
    data: Option<String>,
    /// Let the body stream instead of arriving whole: for bodies that never end, and for those of more than 32 MiB.
    #[arg(long)]
    stream: bool,
    /// Let the executor give up after so many milliseconds, the body included; 0 fails at once.
    #[arg(long, value_name = "N")]
    timeout_ms: Option<u64>,
    /// Return a redirect instead of following it.
    #[arg(long)]
    no_redirect: bool,
    /// Write status and headers before the body.
    #[arg(short = 'i', long)]
    include: bool,
    /// Show no progress bar.
    #[arg(short = 's', long)]
    silent: bool,
}

/// Why there is no whole response. The text is for standard error.
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Runs the subcommand.
pub(crate) fn run(arguments: RequestArgs) -> ExitCode {
    let read = to_request(&arguments).and_then(|request| Ok((arguments.executor.executor()?, request)));
    let (executor, request) = match read {
        Ok(read) => read,
        Err(Failure(text)) => {
            eprintln!("exec-http: {text}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("exec-http: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(send(&arguments, &executor, request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("exec-http: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn send(arguments: &RequestArgs, executor: &Executor, request: Request<Bytes>) -> Result<(), Failure> {
    let (connection, child) = executor.open().await?;
    // One stream on the connection: a slow reader of our output may hold it up, and loses nothing.
    let config = ClientConfig { queue_policy: QueuePolicy::Pause, ..ClientConfig::default() };
    let client = Client::connect_with(connection, config).await?;
    let result = exchange(&client, arguments, request).await;
    drop(client);
    if let Some(mut child) = child {
        // The child is killed on drop when it does not end by itself.
        let _ended = tokio::time::timeout(EXIT_TIME, child.wait()).await;
    }
    result
}

/// The request that the arguments describe. What is wrong with a URL or a header is said without repeating it, as either may
/// hold a secret.
fn to_request(arguments: &RequestArgs) -> Result<Request<Bytes>, Failure> {
    let body = arguments.data.as_deref().map(read_data).transpose();
    let body = body.map_err(|error| Failure(format!("cannot read the request body: {error}")))?;
    let mut request = Request::new(body.unwrap_or_default());
    let default = if arguments.data.is_some() { Method::POST } else { Method::GET };
    *request.method_mut() = arguments.method.clone().unwrap_or(default);
    let uri: Result<Uri, _> = arguments.url.parse();
    *request.uri_mut() = uri.map_err(|_| Failure("the URL is not valid".into()))?;
    for text in &arguments.headers {
        let (name, value) = header(text).map_err(|what| Failure(what.into()))?;
        request.headers_mut().try_append(name, value).map_err(|_| Failure("too many headers".into()))?;
    }
    if arguments.data.is_some() && !request.headers().contains_key(CONTENT_TYPE) {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
    }
    let redirect = if arguments.no_redirect { RedirectPolicy::Stop } else { RedirectPolicy::Follow };
    let timeout = arguments.timeout_ms.map(Duration::from_millis);
    request.extensions_mut().insert(RequestOptions { timeout, redirect, ..RequestOptions::default() });
    Ok(request)
}

async fn exchange(client: &Client, arguments: &RequestArgs, request: Request<Bytes>) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    if !arguments.stream {
        let response = client.request(request).await?;
        write_head(&mut output, arguments, &response).map_err(unwritable)?;
        output.write_all(response.body()).map_err(unwritable)?;
        return output.flush().map_err(unwritable);
    }
    let mut response = client.stream(request).await?;
    write_head(&mut output, arguments, &response).map_err(unwritable)?;
    let progress = progress(arguments, response.headers());
    while let Some(chunk) = response.body_mut().chunk().await {
        let chunk = chunk?;
        output.write_all(&chunk).map_err(unwritable)?;
        // A stream of events is of no use in a buffer.
        output.flush().map_err(unwritable)?;
        progress.inc(chunk.len() as u64);
    }
    progress.finish_and_clear();
    Ok(())
}

fn unwritable(error: io::Error) -> Failure {
    Failure(format!("cannot write the response: {error}"))
}

fn write_head<B>(output: &mut impl io::Write, arguments: &RequestArgs, response: &Response<B>) -> io::Result<()> {
    if !arguments.include {
        return Ok(());
    }
    let reason = response.status().canonical_reason().unwrap_or_default();
    writeln!(output, "HTTP {} {}\r", response.status().as_str(), reason)?;
    for (name, value) in response.headers() {
        output.write_all(name.as_str().as_bytes())?;
        output.write_all(b": ")?;
        output.write_all(value.as_bytes())?;
        output.write_all(b"\r\n")?;
    }
    output.write_all(b"\r\n")
}

/// A bar on a terminal, unless the body goes there; it appears when the body takes its time.
fn progress(arguments: &RequestArgs, headers: &HeaderMap) -> ProgressBar {
    if arguments.silent || io::stdout().is_terminal() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant"))
}

/// `NAME: VALUE` as curl takes it.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = text.split_once(':').ok_or("a header is written NAME: VALUE")?;
    let name = name.trim().parse().map_err(|_| "the header's name is not a token")?;
    let value = value.trim().parse().map_err(|_| "the header's value holds a control character")?;
    Ok((name, value))
}

fn read_data(data: &str) -> io::Result<Bytes> {
    match data.strip_prefix('@') {
        None => Ok(Bytes::copy_from_slice(data.as_bytes())),
        Some("-") => {
            let mut body = Vec::new();
            io::stdin().lock().read_to_end(&mut body)?;
            Ok(body.into())
        }
        Some(path) => std::fs::read(path).map(Bytes::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let (name, value) = header("X-Time:  12:30 ").expect("legal");
        assert_eq!((name.as_str(), value.as_bytes()), ("x-time", &b"12:30"[..]));
        for bad in ["no colon", "a b: c", ": x", "a: x\ny"] {
            header(bad).expect_err(bad);
        }
    }
}
