//! The client against an executor that is scripted by hand, in memory: what crosses the wire, and what the caller gets.

mod body;
mod calls;
mod cancel;
mod credit;
mod deadline;
mod disconnect;
mod executor;
mod handshake;
mod queues;
mod reconnect;
mod routing;
mod service;
