//! Messages of an executor, with as little work as can be: of long ones only the ends are looked at.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdin, ChildStdout};

/// Bytes that are read at a time.
const READ: usize = 1024 * 1024;

/// Either transport.
pub enum Wire {
    /// Newline-delimited.
    Stdio(ChildStdin, Input<ChildStdout>),
    /// One frame a message.
    WebSocket(TcpStream, Input<TcpStream>),
}

impl Wire {
    /// Over the pipes of a child.
    pub fn stdio(input: ChildStdin, output: ChildStdout) -> Self {
        Self::Stdio(input, Input::new(output))
    }

    /// Opens a websocket at `HOST:PORT`.
    pub fn dial(address: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n\r\n")?;
        let mut input = Input::new(stream.try_clone()?);
        while memchr::memmem::find(input.waiting(), b"\r\n\r\n").is_none() {
            input.fill()?;
        }
        let end = memchr::memmem::find(input.waiting(), b"\r\n\r\n").expect("was found") + 4;
        assert!(input.waiting().starts_with(b"HTTP/1.1 101"), "no upgrade");
        input.start += end;
        Ok(Self::WebSocket(stream, input))
    }

    /// Sends one message.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdio(output, _) => output.write_all(format!("{text}\n").as_bytes()),
            Self::WebSocket(stream, _) => {
                // A mask of zeros is one, and leaves the text as it is.
                let mut frame = vec![0x81];
                match u16::try_from(text.len()).expect("requests are short") {
                    length @ 0..126 => frame.push(0x80 | length as u8),
                    length => {
                        frame.push(0xfe);
                        frame.extend_from_slice(&length.to_be_bytes());
                    }
                }
                frame.extend_from_slice(&[0; 4]);
                frame.extend_from_slice(text.as_bytes());
                stream.write_all(&frame)
            }
        }
    }

    /// The next message.
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Stdio(_, input) => input.line(),
            Self::WebSocket(_, input) => loop {
                let (kind, start, end) = input.frame()?;
                match kind {
                    1 | 2 => return Ok(&input.buffer[start..end]),
                    8 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => {}
                }
            },
        }
    }
}

/// What came and was not taken.
pub struct Input<R> {
    /// Where it comes from.
    source: R,
    /// Zeroed once.
    buffer: Vec<u8>,
    /// Where what was not taken begins, and where it ends.
    start: usize,
    /// See `start`.
    end: usize,
}

impl<R: Read> Input<R> {
    fn new(source: R) -> Self {
        Self { source, buffer: vec![0; 4 * READ], start: 0, end: 0 }
    }

    fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() - self.end < READ {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let needed = self.end + READ;
            self.buffer.resize(self.buffer.len().max(needed), 0);
        }
        match self.source.read(&mut self.buffer[self.end..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }

    fn line(&mut self) -> io::Result<&[u8]> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.waiting()[looked..]) {
                let line = self.start..self.start + looked + end;
                self.start = line.end + 1;
                return Ok(&self.buffer[line]);
            }
            looked = self.end - self.start;
            self.fill()?;
        }
    }

    /// The kind of the next frame, and where its payload is.
    fn frame(&mut self) -> io::Result<(u8, usize, usize)> {
        self.need(2)?;
        let (kind, short) = (self.waiting()[0] & 15, self.waiting()[1] & 127);
        let (head, length) = match short {
            126 => {
                self.need(4)?;
                let length = self.waiting()[2..4].try_into().expect("two bytes");
                (4, usize::from(u16::from_be_bytes(length)))
            }
            127 => {
                self.need(10)?;
                let length = self.waiting()[2..10].try_into().expect("eight bytes");
                (10, u64::from_be_bytes(length) as usize)
            }
            length => (2, length.into()),
        };
        self.need(head + length)?;
        let start = self.start + head;
        self.start = start + length;
        Ok((kind, start, start + length))
    }

    fn need(&mut self, length: usize) -> io::Result<()> {
        while self.end - self.start < length {
            self.fill()?;
        }
        Ok(())
    }
}
