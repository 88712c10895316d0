//! Frames over stdio, websocket and memory.
