//! A websocket as bytes on a blocking thread, so that what such a peer spends can be taken off.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Bytes of a mask; one of zeros leaves the text as it is.
const MASK: usize = 4;

/// One end.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The socket.
    pub(crate) stream: TcpStream,
    /// Whether it masks what it sends.
    is_client: bool,
}

impl Peer {
    /// Answers an upgrade.
    pub(crate) fn accept(mut stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let head = head(&mut stream)?;
        let key = head.lines().filter_map(|line| line.split_once(": "));
        let key =
            key.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).map(|(_, key)| key.trim()).next();
        let accept = derive_accept_key(key.ok_or(io::ErrorKind::InvalidData)?.as_bytes());
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ";
        stream.write_all(format!("{answer}{accept}\r\n\r\n").as_bytes())?;
        Ok(Self { stream, is_client: false })
    }

    /// Asks `ws://HOST:PORT` for an upgrade, and makes the handshake of the protocol.
    pub(crate) fn dial(url: &str) -> io::Result<Self> {
        let address = url.trim_start_matches("ws://");
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {address}\r\n{upgrade}\r\n\r\n").as_bytes())?;
        head(&mut stream)?;
        let mut peer = Self { stream, is_client: true };
        peer.send(&json!({"id": 0, "method": "initialize", "params": {"clientName": "bench"}}))?;
        peer.receive()?;
        peer.send(&json!({"method": "initialized", "params": {}}))?;
        Ok(peer)
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, message: &Value) -> io::Result<()> {
        let text = message.to_string();
        let mut frame = frame_head(text.len());
        if self.is_client {
            frame[1] |= 0x80;
            frame.extend_from_slice(&[0; MASK]);
        }
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame)
    }

    /// The next text message; frames of other kinds are passed over.
    pub(crate) fn receive(&mut self) -> io::Result<Value> {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head)?;
            let length = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.read()?)),
                127 => u64::from_be_bytes(self.read()?),
                length => length.into(),
            };
            let mask: [u8; MASK] = if head[1] & 0x80 == 0 { [0; MASK] } else { self.read()? };
            let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            self.stream.read_exact(&mut text)?;
            text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            if head[0] & 0xf == 1 {
                return Ok(serde_json::from_slice(&text)?);
            }
        }
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What stands before the payload of an unmasked text frame.
pub(crate) fn frame_head(length: usize) -> Vec<u8> {
    let mut head = vec![0x81];
    match length {
        0..126 => head.push(length as u8),
        126..65_536 => {
            head.push(126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// An HTTP head, byte by byte, since what follows it is no part of it.
fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}
