//! The weight of a linear map or a table: a parameter in single precision, or held in fewer bytes.

use crate::error::ModelError;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;
use visor_kernels::{Matrix, MatrixError, Quantised};
use visor_runtime::Dtype;
use visor_runtime::device::HostValues;

/// `[d_out, d_in]`, the layout of Hugging Face checkpoints.
#[derive(Clone, Debug)]
pub enum Weight {
    /// A parameter: trained, and on every device.
    Single(Param<Tensor<2>>),
    /// In the order of the processor's products, in the only copy that there is: run, not trained.
    Packed(Arc<Matrix>),
}

/// What a weight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Products alone.
    Product,
    /// Rows are read one by one, or products are scores: what goes in stays in single precision.
    Table,
}

impl Weight {
    /// Holds values in a format; `None` for single precision, which parameters are.
    ///
    /// # Errors
    /// [`ModelError::Packing`] of values that the format does not hold.
    pub(crate) fn pack(
        name: &str,
        values: &[f32],
        dims: [usize; 2],
        dtype: Dtype,
        role: Role,
    ) -> Result<Option<Self>, ModelError> {
        let wrong = |source| ModelError::Packing { name: name.to_owned(), source };
        let int8 = || Quantised::nearest(values, dims);
        let matrix: Result<Matrix, MatrixError> = match (dtype, role) {
            (Dtype::BF16, _) => Matrix::bf16(values, dims),
            (Dtype::F16, _) => Matrix::f16(values, dims),
            (Dtype::Int8, Role::Product) => int8().map(|weights| Matrix::int8(&weights)),
            (Dtype::Int8, Role::Table) => int8().map(|weights| Matrix::int8_rows(&weights)),
            _ => return Ok(None),
        };
        Ok(Some(Self::Packed(Arc::new(matrix.map_err(wrong)?))))
    }

    /// `[d_out, d_in]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Single(weight) => weight.dims(),
            Self::Packed(matrix) => matrix.dims(),
        }
    }

    /// The parameter, where it is one.
    pub fn parameter(&self) -> Option<&Param<Tensor<2>>> {
        match self {
            Self::Single(weight) => Some(weight),
            Self::Packed(_) => None,
        }
    }

    /// `x W^T + b`: `[rows, d_in]` to `[rows, d_out]`.
    pub fn product(&self, x: Tensor<2>, bias: Option<&Param<Tensor<1>>>) -> Tensor<2> {
        match self {
            Self::Single(weight) => {
                let y = x.matmul(weight.val().transpose()); // [rows, d_out]
                match bias {
                    Some(bias) => y + bias.val().unsqueeze(),
                    None => y,
                }
            }
            Self::Packed(matrix) => packed_product(matrix, x, bias),
        }
    }

    /// The rows of these numbers, `[n, d_in]`, from a table.
    pub fn rows(&self, ids: Tensor<1, burn::tensor::Int>) -> Tensor<2> {
        let matrix = match self {
            Self::Single(weight) => return weight.val().select(0, ids),
            Self::Packed(matrix) => matrix,
        };
        let ([n], device) = (ids.dims(), ids.device());
        let ids = ids.into_data();
        let row = |id: i64| usize::try_from(id).ok().and_then(|id| matrix.row(id));
        let rows = ids.iter::<i64>().map(|id| row(id).expect("ids are checked, tables are read"));
        let rows: Vec<f32> = rows.flatten().collect();
        Tensor::from_data(TensorData::new(rows, [n, matrix.dims()[1]]), &device)
    }

    /// Bytes that a packed weight takes; none of a parameter.
    pub fn packed_bytes(&self) -> usize {
        match self {
            Self::Single(_) => 0,
            Self::Packed(matrix) => matrix.bytes(),
        }
    }
}

fn packed_product(matrix: &Matrix, x: Tensor<2>, bias: Option<&Param<Tensor<1>>>) -> Tensor<2> {
    let ([rows, _], device) = (x.dims(), x.device());
    let bias = bias.map(|bias| bias.val().into_data());
    let bias = bias.as_ref().map(|bias| bias.as_slice().expect("biases are single precision"));
    let seen = HostValues::of(&x);
    let y = match seen.as_ref().and_then(HostValues::in_order) {
        Some(x) => matrix.product(x, bias),
        None => {
            let x = x.into_data();
            matrix.product(x.as_slice().expect("activations are single precision"), bias)
        }
    };
    Tensor::from_data(TensorData::new(y, [rows, matrix.dims()[0]]), &device)
}

/// A parameter is one, and what is packed is nothing that a module's visitors know.
impl Module for Weight {
    fn collect_devices(&self, devices: Devices) -> Devices {
        match self {
            Self::Single(weight) => weight.collect_devices(devices),
            Self::Packed(_) => devices,
        }
    }

    fn fork(self, device: &Device) -> Self {
        self.single(|weight| weight.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.single(|weight| Module::to_device(weight, device))
    }

    fn train(self) -> Self {
        self.single(Module::train)
    }

    fn valid(&self) -> Self {
        match self {
            Self::Single(weight) => Self::Single(weight.valid()),
            Self::Packed(matrix) => Self::Packed(Arc::clone(matrix)),
        }
    }

    fn materialize(self) -> Self {
        self.single(Module::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        if let Self::Single(weight) = self {
            weight.visit(visitor);
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.single(|weight| Module::map(weight, mapper))
    }
}

impl Weight {
    fn single(self, change: impl FnOnce(Param<Tensor<2>>) -> Param<Tensor<2>>) -> Self {
        match self {
            Self::Single(weight) => Self::Single(change(weight)),
            Self::Packed(matrix) => Self::Packed(matrix),
        }
    }
}

impl ModuleDisplayDefault for Weight {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("{:?}", self.dims())).optional()
    }
}

impl ModuleDisplay for Weight {}
