//! Policies as their users meet them: networks, manifests, folders, decisions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folder;
mod head;
mod manifest;
mod router;
mod support;
