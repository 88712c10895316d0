//! Executors that break the clauses of transport: lines on stdio, frames and upgrades of websockets.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::close::losing_while;
use crate::conformance::wire::FRAME_BYTES;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, Way, instead, unreadable};
use crate::protocol::limits::LINE_BYTES;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "line-end-in-id-not-escaped",
        "TRANSPORT-1",
        "An id is pasted into its answer as it is, line ends included.",
        || {
            Tamper::messages(|message, out| match message.json["id"].as_str() {
                Some(id) if message.way == Way::ToClient && id.contains('\n') => {
                    out.text(Way::ToClient, message.text().replace("\\n", "\n"));
                }
                _ => out.pass(message),
            })
        },
    ),
    Specimen::executor(
        "unfinished-line-read",
        "TRANSPORT-1",
        "What stands behind the last line end when the input ends is taken for a line.",
        || {
            let mut is_whole = true;
            Tamper::bytes(Way::ToExecutor, move |way, unit, out| {
                match &unit {
                    Unit::Raw(bytes) => is_whole = bytes.ends_with(b"\n"),
                    Unit::End if way == Way::ToExecutor && !is_whole => line_end(out),
                    _ => {}
                }
                out.unit(way, unit);
            })
        },
    ),
    Specimen::executor("carriage-return-is-text", "TRANSPORT-2", "A line that ends with CRLF is malformed.", || {
        lines(|line, out| {
            if line.ends_with(b"\r\n") && line.len() > 2 {
                out.malformed();
            } else {
                out.unit(Way::ToExecutor, Unit::Raw(line.freeze()));
            }
        })
    }),
    Specimen::executor("empty-line-answered", "TRANSPORT-3", "An empty line is a malformed frame.", || {
        lines(|line, out| {
            if line == "\n" {
                out.malformed();
            } else {
                out.unit(Way::ToExecutor, Unit::Raw(line.freeze()));
            }
        })
    }),
    Specimen::executor("white-line-answered", "TRANSPORT-3", "A line of white space is a malformed frame.", || {
        lines(|line, out| {
            if line.trim_ascii().is_empty() && line != "\n" && line != "\r\n" {
                out.malformed();
            } else {
                out.unit(Way::ToExecutor, Unit::Raw(line.freeze()));
            }
        })
    }),
    Specimen::executor("read-is-a-line", "TRANSPORT-4", "What one read returns is taken for whole lines.", || {
        reads(|bytes, out| {
            let is_whole = bytes.ends_with(b"\n");
            out.unit(Way::ToExecutor, Unit::Raw(bytes));
            if !is_whole {
                line_end(out);
            }
        })
    }),
    Specimen::executor("characters-end-with-reads", "TRANSPORT-4", "Each read is decoded as text by itself.", || {
        reads(|bytes, out| out.unit(Way::ToExecutor, Unit::Raw(lossy(&bytes))))
    }),
    Specimen::executor(
        "three-lines-a-read",
        "TRANSPORT-4",
        "Of one read only the first three lines are looked at.",
        || {
            reads(|bytes, out| {
                for line in bytes.split_inclusive(|byte| *byte == b'\n').take(3) {
                    out.unit(Way::ToExecutor, Unit::Raw(bytes.slice_ref(line)));
                }
            })
        },
    ),
    Specimen::executor("line-of-16-mib", "TRANSPORT-5", "A line of more than 16 MiB is malformed.", || {
        instead(|message| message.text().len() > 16 << 20, |_, out| out.malformed())
    }),
    Specimen::executor("line-of-any-length", "TRANSPORT-6", "A line may be as long as memory goes.", || {
        lines(|line, out| match serde_json::from_slice::<Value>(&line) {
            Ok(message) if line.len() > LINE_BYTES => out.refuse(&message["id"], -32601),
            _ => out.unit(Way::ToExecutor, Unit::Raw(line.freeze())),
        })
    }),
    Specimen::executor(
        "warnings-on-stdout",
        "TRANSPORT-7",
        "A call that fails leaves a warning on standard output.",
        || {
            Tamper::messages(|message, out| {
                if message.is_answer() && message.json["error"]["code"] == -32603 {
                    out.text(Way::ToClient, "WARN http/request failed");
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "bad-line-decoded",
        "TRANSPORT-8",
        "What is not UTF-8 in a line is replaced, and the line read.",
        replacing,
    ),
    Specimen::executor("bad-line-skipped", "TRANSPORT-8", "A line that is not UTF-8 is skipped.", || {
        unreadable(|bytes, out| {
            if str::from_utf8(&bytes).is_ok() {
                out.text(Way::ToExecutor, bytes);
            }
        })
    }),
    Specimen::executor("binary-ignored", "TRANSPORT-9", "Binary messages are skipped.", || {
        instead(Message::is_binary, |_, _| {})
    }),
    Specimen::executor("answers-in-kind", "TRANSPORT-10", "A binary message is answered with a binary one.", || {
        let mut is_binary = false;
        Tamper::messages(move |message, out| match message.way {
            Way::ToExecutor => {
                is_binary = message.is_binary();
                out.pass(message);
            }
            Way::ToClient => to_client(&message, is_binary, out),
        })
    }),
    Specimen::executor("large-answers-binary", "TRANSPORT-10", "A message of 64 KiB or more is binary.", || {
        Tamper::messages(|message, out| match message.way {
            Way::ToExecutor => out.pass(message),
            Way::ToClient => to_client(&message, message.text().len() >= 64 << 10, out),
        })
    })
    .on_websocket(),
    Specimen::executor("fragment-is-a-message", "TRANSPORT-11", "Every fragment is taken for a message.", || {
        frames(|mut frame, out| {
            if frame[0] & 0x0f < 3 {
                frame[0] = 0x81;
            }
            out.unit(Way::ToExecutor, Unit::Raw(frame.freeze()));
        })
    })
    .on_websocket(),
    Specimen::executor(
        "ping-ends-a-fragmented-message",
        "TRANSPORT-11",
        "A ping between two fragments makes a message of those before it.",
        || {
            let mut skips = false;
            frames(move |mut frame, out| {
                let (is_final, opcode) = (frame[0] & 0x80 != 0, frame[0] & 0x0f);
                let is_first = matches!(opcode, 1 | 2) && !is_final;
                if is_first {
                    // With its end in front of the ping, as the ping comes right behind it.
                    frame[0] |= 0x80;
                }
                skips &= opcode == 0 || opcode > 7;
                if !(skips && opcode == 0) {
                    out.unit(Way::ToExecutor, Unit::Raw(frame.freeze()));
                }
                skips |= is_first;
            })
        },
    )
    .on_websocket(),
    Specimen::executor(
        "bad-text-decoded",
        "TRANSPORT-12",
        "What is not UTF-8 in a text message is replaced, and the message read.",
        replacing,
    )
    .on_websocket(),
    Specimen::executor(
        "bad-text-malformed",
        "TRANSPORT-12",
        "A text message that is not UTF-8 is answered as a malformed frame, and the connection goes on.",
        || {
            unreadable(|bytes, out| match str::from_utf8(&bytes) {
                Ok(_) => out.text(Way::ToExecutor, bytes),
                Err(_) => out.malformed(),
            })
        },
    )
    .on_websocket(),
    Specimen::executor("blank-message-skipped", "TRANSPORT-13", "A message of white space is skipped.", || {
        unreadable(|bytes, out| {
            if !bytes.trim_ascii().is_empty() {
                out.text(Way::ToExecutor, bytes);
            }
        })
    })
    .on_websocket(),
    Specimen::executor("pong-without-payload", "TRANSPORT-14", "A pong has no payload.", || {
        Tamper::units(|way, unit, out| match unit {
            Unit::Pong(_) => out.unit(way, Unit::Pong(Bytes::new())),
            unit => out.unit(way, unit),
        })
    })
    .on_websocket(),
    Specimen::executor("empty-ping-ignored", "TRANSPORT-14", "A ping without a payload is not answered.", || {
        Tamper::units(|way, unit, out| match unit {
            Unit::Ping(payload) if payload.is_empty() => {}
            unit => out.unit(way, unit),
        })
    })
    .on_websocket(),
    Specimen::executor(
        "ping-waits-for-calls",
        "TRANSPORT-14",
        "A ping is not read while a call waits for its answer.",
        || losing_while(|work| work.calls > 0, |unit| matches!(unit, Unit::Ping(_))),
    )
    .on_websocket(),
    Specimen::executor(
        "close-frame-not-answered",
        "TRANSPORT-15",
        "A close frame is answered with the end of the stream.",
        || {
            let mut is_closed = false;
            Tamper::units(move |way, unit, out| {
                let is_close = matches!(unit, Unit::Close(_));
                if !(is_close && way == Way::ToClient && is_closed) {
                    is_closed |= is_close;
                    out.unit(way, unit);
                }
            })
        },
    )
    .on_websocket(),
    Specimen::executor(
        "bad-text-drops",
        "TRANSPORT-16",
        "A text message that is not UTF-8 ends the connection without a close frame.",
        || without_close_frame(1007),
    )
    .on_websocket(),
    Specimen::executor(
        "violation-drops",
        "TRANSPORT-16",
        "A frame that breaks the rules of websockets ends the connection without a close frame.",
        || without_close_frame(1002),
    )
    .on_websocket(),
    Specimen::executor("any-origin-accepted", "TRANSPORT-18", "The `Origin` of an upgrade is not looked at.", || {
        Tamper::upgrade(|way, head| without_origin(way, head, |_| true))
    })
    .on_websocket(),
    Specimen::executor(
        "opaque-origins-accepted",
        "TRANSPORT-18",
        "Only an `Origin` of http is refused: not that of a file, and not null.",
        || Tamper::upgrade(|way, head| without_origin(way, head, |origin| !origin.contains("http"))),
    )
    .on_websocket(),
    Specimen::executor("own-origin-accepted", "TRANSPORT-18", "An `Origin` of the same machine is accepted.", || {
        Tamper::upgrade(|way, head| without_origin(way, head, |origin| origin.contains("127.0.0.1")))
    })
    .on_websocket(),
    Specimen::executor("readyz-missing", "TRANSPORT-19", "`GET /readyz` is answered with 404.", || {
        Tamper::upgrade(|way, head| {
            if way == Way::ToExecutor {
                *head = head.replacen("GET /readyz", "GET /nothing", 1);
            }
        })
    })
    .on_websocket(),
    Specimen::executor(
        "query-not-found",
        "TRANSPORT-20",
        "An upgrade of `/` with a query is answered with 404.",
        || {
            Tamper::upgrade(|way, head| {
                if way == Way::ToExecutor {
                    *head = head.replacen("GET /?", "GET /nothing?", 1);
                }
            })
        },
    )
    .on_websocket(),
    Specimen::executor(
        "extension-offer-refused",
        "TRANSPORT-20",
        "An upgrade that offers an extension is refused.",
        || {
            Tamper::upgrade(|way, head| {
                if way == Way::ToExecutor && head.to_ascii_lowercase().contains("\r\nsec-websocket-extensions:") {
                    *head = head.replacen("GET /", "GET /nothing", 1);
                }
            })
        },
    )
    .on_websocket(),
];

/// Decides about what each read of the client's bytes returns.
fn reads(mut rule: impl FnMut(Bytes, &mut Outlet) + Send + 'static) -> Tamper {
    Tamper::bytes(Way::ToExecutor, move |way, unit, out| match unit {
        Unit::Raw(bytes) if way == Way::ToExecutor => rule(bytes, out),
        unit => out.unit(way, unit),
    })
}

/// Decides about the lines of the client, with their ends.
fn lines(rule: impl FnMut(BytesMut, &mut Outlet) + Send + 'static) -> Tamper {
    let end = |bytes: &[u8], searched: usize| memchr::memchr(b'\n', &bytes[searched..]).map(|end| searched + end + 1);
    pieces(end, rule)
}

/// Decides about the websocket frames of the client, with their headers.
fn frames(rule: impl FnMut(BytesMut, &mut Outlet) + Send + 'static) -> Tamper {
    pieces(|bytes, _| frame_length(bytes).filter(|length| *length <= bytes.len()), rule)
}

/// Decides about pieces of the client's bytes. `end` finds the end of the first one; before the second number it is not.
fn pieces(
    end: fn(&[u8], usize) -> Option<usize>,
    mut rule: impl FnMut(BytesMut, &mut Outlet) + Send + 'static,
) -> Tamper {
    let mut unread = BytesMut::new();
    reads(move |bytes, out| {
        let mut searched = unread.len();
        unread.extend_from_slice(&bytes);
        while let Some(end) = end(&unread, searched) {
            rule(unread.split_to(end), out);
            searched = 0;
        }
        if unread.len() > FRAME_BYTES {
            unread.clear();
            out.hang_up();
        }
    })
}

/// How long the masked frame at the start is; `None` where that has not come yet.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (header, payload) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some(header + 4 + payload)
}

fn line_end(out: &mut Outlet) {
    out.unit(Way::ToExecutor, Unit::Raw(Bytes::from_static(b"\n")));
}

fn lossy(bytes: &[u8]) -> Bytes {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn replacing() -> Tamper {
    unreadable(|bytes, out| out.text(Way::ToExecutor, lossy(&bytes)))
}

fn to_client(message: &Message, binary: bool, out: &mut Outlet) {
    let bytes = Bytes::copy_from_slice(message.text().as_bytes());
    out.unit(Way::ToClient, Unit::Message { bytes, binary });
}

/// The executor's close frame with that status is lost.
fn without_close_frame(status: u16) -> Tamper {
    Tamper::units(move |way, unit, out| {
        if way != Way::ToClient || unit != Unit::Close(Some(status)) {
            out.unit(way, unit);
        }
    })
}

/// Removes the headers `Origin` whose values are accepted.
fn without_origin(way: Way, head: &mut String, accepts: fn(&str) -> bool) {
    if way == Way::ToExecutor {
        let is_kept = |line: &&str| match line.split_once(':') {
            Some((name, value)) => !name.eq_ignore_ascii_case("origin") || !accepts(value),
            None => true,
        };
        *head = head.split_inclusive('\n').filter(is_kept).collect();
    }
}
