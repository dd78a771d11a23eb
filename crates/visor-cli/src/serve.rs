//! `visor serve`: models behind HTTP.

mod limits;
mod log;
mod remote;

use crate::ending::Usage;
use crate::loading;
use crate::model::Network;
use crate::output;
use crate::threads::Threads;
use crate::untrained;
use anyhow::{Context, Error, Result, bail};
use clap::Args;
use limits::LimitArgs;
use log::LogArgs;
use remote::RemoteArgs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use visor::{DeviceRequest, Dtype, LoadOptions, Model, ModelRef, WarmUp};
use visor_serve::engine::Pressure;
use visor_serve::http::{self, ApiKeys, ServeError, ServeOptions};

/// Larger files hold no keys.
const MAX_KEYS: u64 = 1 << 20;
/// One key, for those who cannot give a file.
const KEY_VARIABLE: &str = "VISOR_API_KEY";

/// Answer over HTTP, in the manner of OpenAI, at a budget that each request chooses
#[derive(Args)]
pub(crate) struct Serve {
    /// A model to serve, as for ask; may be given several times [default: the best shipped model]
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,

    #[command(flatten)]
    network: Network,

    /// The address to listen at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,

    /// The port; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// A file with the API keys that clients must show, one a line; VISOR_API_KEY may hold a single
    /// one [default: no key is asked for]
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Lower the highest rung, step by step, while many requests wait. A rung that is asked for by
    /// name is given all the same
    #[arg(long)]
    degrade: bool,

    #[command(flatten)]
    remote: RemoteArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// The device: cpu, wgpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceRequest,

    /// Number format that weights are held in: f32, bf16, f16 or int8 (the last three on cpu)
    #[arg(long, default_value = "f32")]
    dtype: Dtype,

    #[command(flatten)]
    threads: Threads,

    #[command(flatten)]
    log: LogArgs,
}

impl Serve {
    pub(crate) fn run(&self) -> Result<()> {
        let keys = self.keys()?;
        let mut engine = self.limits.engine()?;
        if self.degrade {
            engine.pressure = Pressure::Degrade;
        }
        let remote = self.remote.images()?;
        let limits = self.limits.limits()?;
        limits.check().map_err(Usage::because)?;
        let options = ServeOptions { keys, remote, limits, engine };
        let models = self.models()?;
        self.threads.start()?;
        self.log.start()?;
        let address = SocketAddr::new(self.host, self.port);
        let listener = TcpListener::bind(address);
        let listener = listener.with_context(|| format!("cannot listen at {address}"))?;
        let address = listener.local_addr()?;
        self.warn(&options);
        output::note(&format!("listening at http://{address}"));
        let load = LoadOptions::default()
            .device(self.device)
            .dtype(self.dtype)
            .warm_up(self.warm_up())
            .picture_cache(self.limits.picture_cache()?)
            .picture_limits(self.limits.pictures());
        let load = move || load_all(&models, &load);
        match http::serve(listener, options, load, |_| output::note("ready")) {
            Ok(()) => Ok(()),
            Err(ServeError::Load(error)) => Err(error),
            Err(other) => bail!("{other}"),
        }
    }

    /// Where kernels are compiled for the sizes that come, no client waits for it.
    fn warm_up(&self) -> WarmUp {
        match self.device {
            DeviceRequest::Cpu => WarmUp::Nothing,
            _ => WarmUp::EveryWay,
        }
    }

    fn models(&self) -> Result<Vec<ModelRef>> {
        if self.models.is_empty() {
            return Ok(vec![ModelRef::best_shipped()?]);
        }
        self.models.iter().map(|model| self.network.find(model)).collect()
    }

    fn keys(&self) -> Result<ApiKeys> {
        let text = match (&self.api_key_file, std::env::var(KEY_VARIABLE)) {
            (Some(_), Ok(_)) => {
                return Err(Usage::because(format!(
                    "keys are given by --api-key-file and by {KEY_VARIABLE}: give them once"
                )));
            }
            (Some(file), Err(_)) => read(file)?,
            (None, Ok(key)) => key,
            (None, Err(std::env::VarError::NotPresent)) => return Ok(ApiKeys::default()),
            (None, Err(error)) => return Err(Error::new(error).context(KEY_VARIABLE)),
        };
        let keys = ApiKeys::parse(&text).map_err(Usage::because)?;
        if keys.is_open() {
            return Err(Usage::because("there is no API key in what should hold some"));
        }
        Ok(keys)
    }

    /// What an operator must know before anybody else does.
    fn warn(&self, options: &ServeOptions) {
        if !self.host.is_loopback() {
            let open = if options.keys.is_open() {
                " WITHOUT AN API KEY: whoever reaches this machine can use it; see --api-key-file"
            } else {
                ""
            };
            output::note(&format!(
                "warning: {} is reachable from other machines{open}. What is sent is not encrypted: \
                 put a proxy with TLS in front",
                self.host
            ));
        }
        self.remote.warn();
    }
}

fn read(file: &Path) -> Result<String> {
    use std::io::Read as _;
    let cannot = || format!("cannot read the keys in `{}`", file.display());
    let mut text = String::new();
    let opened = std::fs::File::open(file).with_context(cannot)?;
    opened.take(MAX_KEYS + 1).read_to_string(&mut text).with_context(cannot)?;
    if text.len() as u64 > MAX_KEYS {
        bail!("`{}` has more than {MAX_KEYS} bytes", file.display());
    }
    Ok(text)
}

/// Loads the models under their names, which must differ.
fn load_all(models: &[ModelRef], options: &LoadOptions) -> Result<Vec<(String, Model)>> {
    let mut loaded: Vec<(String, Model)> = Vec::new();
    for model_ref in models {
        let model = loading::load_quietly(model_ref, options)?;
        let name = model.card().name.clone();
        if let Some(warning) = loading::not_understood(model.unknown_fields()) {
            tracing::warn!(model = name, "{warning}");
        }
        for remark in model.remarks() {
            tracing::warn!(model = name, "warning: {remark}");
        }
        // Any request may have patches chosen.
        if let Some(flaw) = untrained::flaw(model.selector_training()) {
            tracing::warn!(model = name, "warning: {flaw}");
        }
        if loaded.iter().any(|(other, _)| *other == name) {
            bail!("two models are called `{name}`: clients could not tell them apart");
        }
        tracing::info!(model = name, parameters = model.card().parameters, "loaded");
        loaded.push((name, model));
    }
    Ok(loaded)
}
