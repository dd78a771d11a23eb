//! Where a model computes, and in what: the options that commands share.

use crate::threads::Threads;
use clap::Args;
use visor::{DeviceRequest, Dtype};

/// Where a model computes.
#[derive(Args, Debug)]
pub(crate) struct Compute {
    /// The device: cpu, wgpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub(crate) device: DeviceRequest,

    #[command(flatten)]
    pub(crate) threads: Threads,
}

/// What a model that answers is held in.
#[derive(Args, Debug)]
pub(crate) struct Weights {
    /// Number format that weights are held in: f32, f16, bf16 (cpu and cuda) or int8 (cpu alone)
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: Dtype,
}
