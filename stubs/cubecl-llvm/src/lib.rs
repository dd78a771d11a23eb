//! Stand-in for `cubecl-llvm`, which fetches an LLVM archive when it is built.
//!
//! `cubecl-cuda` depends on that package even when its default compiler is NVRTC (`cuda-cpp`), so
//! this one offers the names it links against and refuses to compile anything.

use core::ffi::c_char;
use core::fmt::{Display, Formatter, Result as FmtResult};
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_server::compiler::{CompilationError, Compiler};
use cubecl_server::kernel::BufferIOAttr;

/// NVIDIA names.
pub mod nvptx {
    /// PTX versions.
    pub mod ptx_version {
        use core::fmt::{Display, Formatter, Result as FmtResult};

        /// A version that no driver has: there is no compiler here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(());

        impl PtxVersion {
            /// Always `None`.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl Display for PtxVersion {
            fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
                f.write_str("no ptx")
            }
        }
    }
}

/// Names shared by the targets.
pub mod shared {
    /// What a lowered kernel may use.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// The one target that `cubecl-cuda` names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Restricts nothing.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}

/// The targets of the real package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LlvmTarget {
    /// The host.
    #[default]
    Cpu,
    /// NVIDIA.
    Nvptx,
}

/// A compiler that refuses.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// Ignored.
    pub target: LlvmTarget,
}

/// Options of the real compiler.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// Ignored.
    pub arch: Option<()>,
    /// Ignored.
    pub sm_arch: Option<SmArch>,
    /// Ignored.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Ignored.
    pub grid_constants: bool,
    /// Ignored.
    pub reserved: (),
}

/// A compiled module: never made here.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The code.
    pub ptx: Vec<c_char>,
    /// The kernel's name.
    pub entrypoint: String,
    /// The text it came from.
    pub ir: String,
    /// Shared memory in bytes.
    pub shared_memory_size: usize,
    /// The buffers.
    pub io: Vec<BufferIOAttr>,
}

/// What a compilation gives.
#[derive(Clone)]
pub enum PlironArtifact {
    /// Nothing.
    None,
    /// Code for NVIDIA.
    NvptxCode(NvptxModule),
}

impl Display for PlironArtifact {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        f.write_str("none")
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "built without LLVM: the `cuda-cpp` feature of cubecl (NVRTC) must be on".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
