//! The async client.

#[expect(dead_code)]
mod routes;
