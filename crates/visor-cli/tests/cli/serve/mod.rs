//! The server, through the binary and a socket.
#![cfg(unix)]

mod chat;
mod client;
mod documents;
mod door;
mod hostile;
mod life;
mod pictures;
mod remote;
mod wrong;
