//! Where tensors live: the only place of the workspace that names a backend.
//!
//! Which backends there are is decided when the binary is built, which one is used when it runs.
//! A device is never taken from burn's default, which prefers a backend for being compiled in and
//! not for being there.

#[cfg(not(feature = "cpu"))]
mod elsewhere;
#[cfg(feature = "cpu")]
mod host;
mod rows;

#[cfg(not(feature = "cpu"))]
pub use elsewhere::HostValues;
#[cfg(feature = "cpu")]
pub use host::HostValues;
pub use rows::{Keeps, RowFunction};

use crate::dtype::Dtype;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
use burn::tensor::DeviceType;
use burn::tensor::{Device, FloatDType};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A device as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceRequest {
    /// The processor.
    #[default]
    Cpu,
    /// The best device that Vulkan, Metal or DirectX offers.
    Wgpu,
    /// The NVIDIA device of this number.
    Cuda(usize),
}

/// Why a device cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// No device has this name.
    #[error("unknown device `{got}`: expected cpu, wgpu, cuda or cuda:N")]
    Unknown {
        /// What was asked for.
        got: String,
    },
    /// The binary was built without the backend.
    #[error(
        "this binary was built without `{feature}`: build it with `--features {feature}`, or use \
         {available}"
    )]
    NotCompiled {
        /// The Cargo feature.
        feature: &'static str,
        /// What can be asked for instead.
        available: String,
    },
    /// The backend is there, the device is not.
    #[error("there is no device `{asked}` on this machine: found {found}; try `--device cpu`")]
    NotFound {
        /// What was asked for.
        asked: DeviceRequest,
        /// What there is.
        found: String,
    },
    /// The device is not used with this number format.
    #[error("weights in {dtype} cannot be had on {device}: there is {available}")]
    Dtype {
        /// The number format.
        dtype: Dtype,
        /// The device.
        device: DeviceRequest,
        /// What there is.
        available: String,
    },
}

/// A device that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// How to ask for it.
    pub request: DeviceRequest,
    /// What it is.
    pub description: String,
}

impl FromStr for DeviceRequest {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || DeviceError::Unknown { got: text.to_owned() };
        match text {
            "cpu" => Ok(Self::Cpu),
            "wgpu" => Ok(Self::Wgpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu => f.write_str("wgpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// The backends in this binary, by the names that devices are asked for with.
pub fn compiled() -> &'static [&'static str] {
    const ALL: &[&str] = &[
        #[cfg(feature = "cpu")]
        "cpu",
        #[cfg(feature = "wgpu")]
        "wgpu",
        #[cfg(feature = "cuda")]
        "cuda",
    ];
    ALL
}

/// Opens a device.
///
/// # Errors
/// [`DeviceError::NotCompiled`] or [`DeviceError::NotFound`].
pub fn open(request: DeviceRequest) -> Result<Device, DeviceError> {
    match request {
        DeviceRequest::Cpu => cpu(),
        DeviceRequest::Wgpu => wgpu(),
        DeviceRequest::Cuda(index) => cuda(index),
    }
}

/// The number formats that a kind of device has for the matrices of a model. Int8 is of the processor
/// alone, whose products are our own; the language of shaders that wgpu speaks has no bf16.
pub fn dtypes(request: DeviceRequest) -> &'static [Dtype] {
    match request {
        DeviceRequest::Cpu => &Dtype::ALL,
        DeviceRequest::Wgpu => &[Dtype::F32, Dtype::F16],
        DeviceRequest::Cuda(_) => &[Dtype::F32, Dtype::BF16, Dtype::F16],
    }
}

/// Whether a device has a number format.
///
/// # Errors
/// [`DeviceError::Dtype`].
pub fn check_dtype(request: DeviceRequest, dtype: Dtype) -> Result<(), DeviceError> {
    if dtypes(request).contains(&dtype) {
        return Ok(());
    }
    let all = |request| {
        let names: Vec<String> = dtypes(request).iter().map(Dtype::to_string).collect();
        format!("{} on {request}", names.join(", "))
    };
    let mut available = all(request);
    if compiled().contains(&"cpu") {
        available = format!("{available}; {}", all(DeviceRequest::Cpu));
    }
    Err(DeviceError::Dtype { dtype, device: request, available })
}

/// Opens a device to compute in a number format: of a kind that has it, older ones may lack halves.
///
/// # Errors
/// As [`open`], and [`DeviceError::Dtype`].
pub fn open_for(request: DeviceRequest, dtype: Dtype) -> Result<Device, DeviceError> {
    check_dtype(request, dtype)?;
    let device = open(request)?;
    let has = |dtype: &Dtype| match dtype {
        Dtype::BF16 => device.supports_dtype(FloatDType::BF16),
        Dtype::F16 => device.supports_dtype(FloatDType::F16),
        Dtype::F32 | Dtype::Int8 => true,
    };
    // The processor's are packed, whatever its tensors can be.
    if request == DeviceRequest::Cpu || has(&dtype) {
        return Ok(device);
    }
    let names = dtypes(request).iter().filter(|dtype| has(dtype)).map(Dtype::to_string);
    let available = format!("{} on this {request}", names.collect::<Vec<_>>().join(", "));
    Err(DeviceError::Dtype { dtype, device: request, available })
}

/// The same device with gradients.
pub fn training(device: &Device) -> Device {
    device.clone().autodiff()
}

/// The same, computing activations again in the backward pass where that spares memory.
pub fn training_sparing(device: &Device) -> Device {
    device.clone().autodiff().gradient_checkpointing()
}

/// Every device that this binary can use on this machine.
pub fn list() -> Vec<DeviceInfo> {
    let mut all = Vec::new();
    if cpu().is_ok() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let description = format!("the processor, {threads} hardware threads");
        all.push(DeviceInfo { request: DeviceRequest::Cpu, description });
    }
    all.extend(list_wgpu());
    all.extend(list_cuda());
    all
}

#[cfg(not(all(feature = "cpu", feature = "wgpu", feature = "cuda")))]
fn not_compiled(feature: &'static str) -> DeviceError {
    DeviceError::NotCompiled { feature, available: compiled().join(" or ") }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn names(devices: &[DeviceInfo], kind: &str) -> String {
    match devices {
        [] => format!("no {kind} device"),
        some => some
            .iter()
            .map(|info| format!("{} ({})", info.request, info.description))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(feature = "cpu")]
#[expect(clippy::unnecessary_wraps, reason = "other builds have no processor backend")]
fn cpu() -> Result<Device, DeviceError> {
    Ok(Device::flex())
}

#[cfg(not(feature = "cpu"))]
fn cpu() -> Result<Device, DeviceError> {
    Err(not_compiled("cpu"))
}

#[cfg(feature = "wgpu")]
fn list_wgpu() -> Vec<DeviceInfo> {
    // One entry: which of several adapters is best is the graphics library's to say.
    let adapters = Device::enumerate(DeviceType::Wgpu).into_vec();
    let description = adapters.iter().map(|device| format!("{device:?}")).collect::<Vec<_>>();
    match adapters.is_empty() {
        true => Vec::new(),
        false => {
            let description = format!("the best of {}", description.join(", "));
            vec![DeviceInfo { request: DeviceRequest::Wgpu, description }]
        }
    }
}

#[cfg(not(feature = "wgpu"))]
fn list_wgpu() -> Vec<DeviceInfo> {
    Vec::new()
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, DeviceError> {
    // Opening a device that is not there aborts the process, so the list comes first.
    let found = list_wgpu();
    if found.is_empty() {
        let found = names(&found, "wgpu");
        return Err(DeviceError::NotFound { asked: DeviceRequest::Wgpu, found });
    }
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, DeviceError> {
    Err(not_compiled("wgpu"))
}

#[cfg(feature = "cuda")]
fn list_cuda() -> Vec<DeviceInfo> {
    let devices = Device::enumerate(DeviceType::Cuda).into_vec();
    let info = |(index, device): (usize, &Device)| DeviceInfo {
        request: DeviceRequest::Cuda(index),
        description: format!("{device:?}"),
    };
    devices.iter().enumerate().map(info).collect()
}

#[cfg(not(feature = "cuda"))]
fn list_cuda() -> Vec<DeviceInfo> {
    Vec::new()
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, DeviceError> {
    // Opening a device that is not there aborts the process, so the list comes first.
    let found = list_cuda();
    if index >= found.len() {
        let found = names(&found, "CUDA");
        return Err(DeviceError::NotFound { asked: DeviceRequest::Cuda(index), found });
    }
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device, DeviceError> {
    Err(not_compiled("cuda"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_asked_for_by_name_and_number() {
        for (text, request) in [
            ("cpu", DeviceRequest::Cpu),
            ("wgpu", DeviceRequest::Wgpu),
            ("cuda", DeviceRequest::Cuda(0)),
            ("cuda:3", DeviceRequest::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(request));
        }
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            let error = text.parse::<DeviceRequest>().expect_err("no device");
            assert_eq!(error, DeviceError::Unknown { got: text.to_owned() });
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_a_clear_error() {
        let error = open(DeviceRequest::Cuda(99)).expect_err("nobody has a hundred").to_string();
        let built_in = compiled().contains(&"cuda");
        let expected = if built_in { "no device `cuda:99`" } else { "`--features cuda`" };
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn number_formats_that_a_device_lacks_are_refused_with_those_that_there_are() {
        for dtype in Dtype::ALL {
            assert_eq!(check_dtype(DeviceRequest::Cpu, dtype), Ok(()));
            for device in [DeviceRequest::Wgpu, DeviceRequest::Cuda(1)] {
                let checked = check_dtype(device, dtype);
                if dtypes(device).contains(&dtype) {
                    assert_eq!(checked, Ok(()));
                    continue;
                }
                let error = checked.expect_err("refused").to_string();
                let says = format!("weights in {dtype} cannot be had on {device}: there is f32");
                assert!(error.starts_with(&says), "{error}");
            }
        }
    }

    #[test]
    fn an_open_device_has_single_precision_and_refuses_what_its_kind_lacks() {
        for info in list() {
            assert!(open_for(info.request, Dtype::F32).is_ok());
            let int8 = open_for(info.request, Dtype::Int8);
            assert_eq!(int8.is_ok(), info.request == DeviceRequest::Cpu);
        }
    }

    #[test]
    fn what_is_listed_can_be_opened() {
        for info in list() {
            assert!(open(info.request).is_ok(), "{info:?}");
        }
    }

    #[test]
    fn gradients_are_tracked_only_where_they_are_asked_for() {
        let Ok(device) = open(DeviceRequest::Cpu) else { return };
        assert!(!device.is_autodiff() && training(&device).is_autodiff());
    }
}
