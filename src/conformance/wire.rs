//! One connection to the peer at the level of frames, with enough control for hostile input.

pub mod websocket;

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::case::{Form, Transport};
use crate::protocol::framing::LineFramer;
use crate::transport::websocket::Token;
use websocket::End;

/// The longest frame that the suite reads, in bytes: far above what a peer may send, so that the judge can say so.
pub const FRAME_BYTES: usize = 512 * 1024 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// A connection to the peer.
#[derive(Debug)]
pub struct Wire {
    /// The sending half.
    pub sender: Sender,
    /// The receiving half.
    pub receiver: Receiver,
}

/// The sending half.
pub struct Sender {
    /// Where bytes go; `None` after the end.
    output: Option<Output>,
}

/// Where bytes go.
enum Output {
    /// The peer's standard input.
    Stdio(Box<dyn AsyncWrite + Send + Unpin>),
    /// The relay that joins the suite to the peer's pipes.
    Relay(OwnedWriteHalf),
    /// A websocket, and which end of it the suite plays.
    Websocket(OwnedWriteHalf, End),
}

/// The receiving half. Dropping it closes the peer's standard output, or its half of the socket.
pub struct Receiver {
    /// Where bytes come from and how they are cut.
    input: Input,
}

/// Where bytes come from and how they are cut.
enum Input {
    /// Lines.
    Stdio(Box<dyn AsyncRead + Send + Unpin>, LineFramer),
    /// Websocket frames.
    Websocket(OwnedReadHalf, websocket::Decoder),
}

/// What comes from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A line or a websocket message.
    Message {
        /// Its bytes without framing.
        bytes: Bytes,
        /// It was a binary websocket message.
        binary: bool,
    },
    /// A ping that wants a pong.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame with its status.
    Close(Option<u16>),
    /// The peer broke the rules of the transport; nothing more can be read.
    Garbage(String),
    /// The peer ended the connection.
    End(String),
}

impl Wire {
    /// Messages as lines on a child's pipes.
    pub fn stdio(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        Self::lines(stdin, stdout, FRAME_BYTES)
    }

    /// Messages as lines, both ways on one socket.
    pub fn relayed(stream: TcpStream) -> Self {
        let (input, output) = stream.into_split();
        Self {
            sender: Sender { output: Some(Output::Relay(output)) },
            receiver: Receiver { input: Input::Stdio(Box::new(input), LineFramer::new(FRAME_BYTES)) },
        }
    }

    /// Messages as lines, each at most so many bytes.
    pub fn lines(
        output: impl AsyncWrite + Send + Unpin + 'static,
        input: impl AsyncRead + Send + Unpin + 'static,
        line_bytes: usize,
    ) -> Self {
        Self {
            sender: Sender { output: Some(Output::Stdio(Box::new(output))) },
            receiver: Receiver { input: Input::Stdio(Box::new(input), LineFramer::new(line_bytes)) },
        }
    }

    /// One end of a websocket that is open already; `rest` was read behind the head of the other end.
    pub fn upgraded(stream: TcpStream, rest: BytesMut, is_client: bool) -> Self {
        Self::over_websocket(stream, rest, if is_client { End::Client } else { End::Server })
    }

    /// Connects to a `ws://` URL and upgrades, with TCP_NODELAY. A token is shown to the peer.
    ///
    /// # Errors
    ///
    /// Those of the socket; `InvalidInput` for another kind of URL; `InvalidData` when the peer does not upgrade.
    pub async fn websocket(url: &str, token: Option<&Token>) -> io::Result<Self> {
        let (stream, rest) = websocket::connect(url, token).await?;
        Ok(Self::over_websocket(stream, rest, End::Client))
    }

    /// Upgrades a connection that a client has opened. Also returns the head of its request.
    ///
    /// # Errors
    ///
    /// Those of the socket; `InvalidData` when the client asks for no websocket.
    pub async fn accept_websocket(mut stream: TcpStream) -> io::Result<(Self, String)> {
        let (head, rest) = websocket::accept(&mut stream).await?;
        Ok((Self::over_websocket(stream, rest, End::Server), head))
    }

    fn over_websocket(stream: TcpStream, rest: BytesMut, end: End) -> Self {
        let (input, output) = stream.into_split();
        Self {
            sender: Sender { output: Some(Output::Websocket(output, end)) },
            receiver: Receiver { input: Input::Websocket(input, websocket::Decoder::new(end, rest)) },
        }
    }

    /// How the peer is reached.
    pub const fn transport(&self) -> Transport {
        match self.receiver.input {
            Input::Stdio(..) => Transport::Stdio,
            Input::Websocket(..) => Transport::Websocket,
        }
    }
}

impl Sender {
    /// The writes that bring these bytes to the peer in that form. A form of the other transport is a plain frame.
    pub fn encode(&self, bytes: &[u8], form: Form) -> Vec<Vec<u8>> {
        let websocket = self.end_of_websocket();
        match (form, websocket) {
            (Form::Bytes, _) => vec![bytes.to_vec()],
            (Form::Split(writes), _) => {
                let frame = self.encode(bytes, Form::Frame).concat();
                frame.chunks(frame.len().div_ceil(writes.max(1)).max(1)).map(<[u8]>::to_vec).collect()
            }
            (Form::Binary, Some(end)) => vec![end.message(bytes, true)],
            (Form::Fragments(count), Some(end)) => vec![end.fragments(bytes, count)],
            (_, Some(end)) => vec![end.message(bytes, false)],
            (Form::Crlf, None) => vec![[bytes, b"\r\n"].concat()],
            (_, None) => vec![[bytes, b"\n"].concat()],
        }
    }

    const fn end_of_websocket(&self) -> Option<End> {
        match &self.output {
            Some(Output::Websocket(_, end)) => Some(*end),
            _ => None,
        }
    }

    /// Writes and flushes.
    ///
    /// # Errors
    ///
    /// Those of the pipe or socket; `BrokenPipe` after [`Sender::end`].
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.output {
            Some(Output::Stdio(output)) => {
                output.write_all(bytes).await?;
                output.flush().await
            }
            Some(Output::Websocket(output, _) | Output::Relay(output)) => output.write_all(bytes).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The bytes of a ping; none on stdio.
    pub fn encode_ping(&self, payload: &[u8]) -> Vec<u8> {
        self.end_of_websocket().map(|end| end.ping(payload)).unwrap_or_default()
    }

    /// The bytes of a pong; none on stdio.
    pub fn encode_pong(&self, payload: &[u8]) -> Vec<u8> {
        self.end_of_websocket().map(|end| end.pong(payload)).unwrap_or_default()
    }

    /// The bytes of a close frame with status 1000; none on stdio.
    pub fn encode_close(&self) -> Vec<u8> {
        self.encode_close_with(Some(1000))
    }

    /// The bytes of a close frame with that status, or with none; none on stdio.
    pub fn encode_close_with(&self, status: Option<u16>) -> Vec<u8> {
        self.end_of_websocket().map(|end| end.close(status)).unwrap_or_default()
    }

    /// The connection is a pipe, which knows no closing but its end.
    pub const fn is_pipe(&self) -> bool {
        matches!(self.output, Some(Output::Stdio(_) | Output::Relay(_)))
    }

    /// Behind the close frames of both ends it is this one that ends the TCP stream: clients wait for that.
    pub const fn ends_first(&self) -> bool {
        matches!(self.output, Some(Output::Websocket(_, End::Server)))
    }

    /// Ends this direction: closes the pipe, or sends the end of the TCP stream.
    pub async fn end(&mut self) {
        if let Some(Output::Websocket(output, _) | Output::Relay(output)) = &mut self.output {
            // The peer may have gone already, which ends the direction just as well.
            let _ = output.shutdown().await;
        } else {
            self.output = None;
        }
    }

    /// Breaks the connection: closes the pipe, or resets the TCP connection once the receiver is dropped too.
    pub fn abort(&mut self) {
        if let Some(Output::Websocket(output, _) | Output::Relay(output)) = self.output.take() {
            // Without the option the socket is closed in good order, which ends the connection as well.
            let _ = output.as_ref().set_zero_linger();
            // A half that is dropped would send the end of the stream first.
            output.forget();
        }
    }
}

impl Receiver {
    /// What was read and belongs to nothing that is whole; then whatever comes, as it comes, and nothing at the end.
    ///
    /// Cancel safe.
    pub async fn next_raw(&mut self) -> Bytes {
        let (input, buffer): (&mut (dyn AsyncRead + Send + Unpin), _) = match &mut self.input {
            Input::Stdio(input, framer) => (input, framer.buffer_mut()),
            Input::Websocket(input, decoder) => (input, decoder.buffer_mut()),
        };
        if buffer.is_empty() {
            buffer.reserve(READ_BYTES);
            // Whoever passes bytes on sees no difference between the end and a failure.
            let _ = input.read_buf(buffer).await;
        }
        buffer.split().freeze()
    }

    /// The next thing from the peer; after [`Incoming::Garbage`] and [`Incoming::End`] there is no more.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Incoming {
        loop {
            match &mut self.input {
                Input::Stdio(input, framer) => {
                    match framer.poll_line() {
                        Ok(Some(line)) => {
                            return Incoming::Message { bytes: Bytes::copy_from_slice(line), binary: false };
                        }
                        Ok(None) => {}
                        Err(error) => return Incoming::Garbage(error.to_string()),
                    }
                    if let Err(reason) = read(input, framer.buffer_mut()).await {
                        return Incoming::End(reason);
                    }
                }
                Input::Websocket(input, decoder) => {
                    match decoder.poll() {
                        Ok(Some(incoming)) => return incoming,
                        Ok(None) => {}
                        Err(reason) => return Incoming::Garbage(reason),
                    }
                    if let Err(reason) = read(input, decoder.buffer_mut()).await {
                        return Incoming::End(reason);
                    }
                }
            }
        }
    }
}

/// Appends what comes next; the error says how the input ended.
async fn read(input: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<(), String> {
    buffer.reserve(READ_BYTES);
    match input.read_buf(buffer).await {
        Ok(0) => Err("end of input".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.kind().to_string()),
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
