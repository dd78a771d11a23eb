//! A server under load: clients of another process on the same machine, every answer checked.
//!
//! Two kinds of load. *Closed*: so many clients, each of whom asks again as soon as he has his answer;
//! it measures what a server can do. *Open*: requests arrive at a rate, whether the server keeps up or
//! not; it measures what becomes of an overload.

mod connection;
mod load;
mod record;

pub use connection::{Connection, Response};
pub use load::{Asked, Item, closed, open};
pub use record::{Cell, Memory, Overload, ServeRecord, Settings};

/// A PNG as a data URL.
pub fn data_url(png: &[u8]) -> String {
    use base64::Engine as _;
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))
}
