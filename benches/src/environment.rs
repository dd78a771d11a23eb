//! The machine and the program that a record was made with.

use serde::{Deserialize, Serialize};
use std::fs;

/// Where a record was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's own name, where the system tells it.
    pub cpu: String,
    /// Logical processors.
    pub cpus: usize,
    /// Operating system and architecture.
    pub platform: String,
    /// Version of visor.
    pub visor: String,
    /// Version of burn.
    pub burn: String,
    /// Whether the build was optimised.
    pub optimised: bool,
}

impl Environment {
    /// This machine and this program.
    pub fn here() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            visor: env!("CARGO_PKG_VERSION").to_owned(),
            burn: "0.22.1".to_owned(),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// The system's load average of one minute, where it tells it.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
