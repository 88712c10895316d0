//! Congestion control of the sockets on loopback.
//!
//! Some kernels pace every TCP connection by default (bbr), one on loopback too, and then that is what is measured. Each TCP
//! socket of this process is set to reno, wherever it was made; what a listener accepts later inherits it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{Domain, Protocol, Socket, Type};

/// What the sockets are set to.
const CONGESTION: &[u8] = b"reno";

/// A port of the loopback address that is listened on.
pub(crate) fn listener() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    Socket::from(listener.try_clone().expect("an open socket"))
        .set_tcp_congestion(CONGESTION)
        .expect("reno is always there");
    listener
}

/// Sets all TCP sockets that this process has, those inside libraries too.
pub(crate) fn set_all() {
    set_all_of(std::process::id());
}

/// Sets all TCP sockets that a process has: this one, or a child.
///
/// The numbers of descriptors are read from `/proc`, and the kernel is asked for a copy of each by its number.
pub(crate) fn set_all_of(process: u32) {
    let number = i32::try_from(process).ok().and_then(Pid::from_raw).expect("the system's own numbers");
    // Where that is not allowed the sockets stay as they are, and the page says what the system sets.
    let Ok(number) = pidfd_open(number, PidfdFlags::empty()) else { return };
    let entries = fs::read_dir(format!("/proc/{process}/fd"));
    for entry in entries.into_iter().flatten().flatten() {
        let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let is_socket = fs::read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().starts_with("socket:"));
        // One that was closed meanwhile needs nothing.
        let Some(socket) = is_socket.then(|| pidfd_getfd(&number, descriptor, PidfdGetfdFlags::empty()).ok()).flatten()
        else {
            continue;
        };
        let socket = Socket::from(socket);
        let is_tcp = socket.domain().is_ok_and(|domain| domain == Domain::IPV4)
            && socket.r#type().is_ok_and(|kind| kind == Type::STREAM)
            && socket.protocol().is_ok_and(|protocol| protocol == Some(Protocol::TCP));
        if is_tcp {
            socket.set_tcp_congestion(CONGESTION).expect("reno is always there");
        }
    }
}
