//! Whether and where from pictures are fetched.

use crate::ending::Usage;
use crate::output;
use anyhow::Result;
use clap::Args;
use visor_serve::remote::{Addresses, HostPattern, RemoteImages, RemoteLimits, Schemes};

#[derive(Args, Debug)]
pub(crate) struct RemoteArgs {
    /// Fetch pictures that are given by an https address, from the hosts that are named
    #[arg(long, requires = "hosts")]
    allow_remote_images: bool,

    /// A host that pictures may be fetched from: example.org, or *.example.org for all below it; may
    /// be given several times
    #[arg(long = "allowed-image-host", value_name = "HOST", requires = "allow_remote_images")]
    hosts: Vec<HostPattern>,

    /// Fetch pictures by http as well
    #[arg(long, requires = "allow_remote_images")]
    allow_http_images: bool,

    /// Fetch pictures from private addresses as well, for hosts of one's own network
    #[arg(long, requires = "allow_remote_images")]
    allow_private_image_addresses: bool,
}

impl RemoteArgs {
    /// # Errors
    /// If pictures are to be fetched from nowhere.
    pub(super) fn images(&self) -> Result<Option<RemoteImages>> {
        if !self.allow_remote_images {
            return Ok(None);
        }
        if self.hosts.is_empty() {
            return Err(Usage::because("name the hosts with --allowed-image-host"));
        }
        let schemes = if self.allow_http_images { Schemes::HttpToo } else { Schemes::Https };
        let addresses = match self.allow_private_image_addresses {
            true => Addresses::Any,
            false => Addresses::Public,
        };
        let limits = RemoteLimits::default();
        Ok(Some(RemoteImages::new(self.hosts.clone(), schemes, addresses, limits)))
    }

    pub(super) fn warn(&self) {
        if self.allow_private_image_addresses {
            output::note(
                "warning: pictures are fetched from private addresses: whoever controls a name \
                 below the allowed hosts can reach into this network",
            );
        }
    }
}
