//! The crate through its public interface: round trips, hostile files, trust, saving.

mod hostile;
mod hub;
mod hub_server;
mod manifest;
mod pieces;
mod round_trip;
mod saving;
mod strict;
mod support;
mod trust;
