//! The weight of a linear map or a table: a parameter in single precision, or held in fewer bytes.

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use std::sync::Arc;
use visor_kernels::Matrix;
use visor_runtime::device::HostValues;

/// `[d_out, d_in]`, the layout of Hugging Face checkpoints.
#[derive(Clone, Debug)]
pub enum Weight {
    /// A parameter: trained, and run on every device.
    Single(Param<Tensor<2>>),
    /// A parameter whose products are in half precision: trained, on devices that are faster so. The
    /// parameter, its gradient and what comes out stay in single precision.
    Mixed(Param<Tensor<2>>, Half),
    /// In half precision in the memory of a device other than the processor: run, not trained. What
    /// goes into a product is rounded on the way, what comes out is in single precision.
    Halved(Box<Tensor<2>>),
    /// In the order of the processor's products, in the only copy that there is, in single precision
    /// or fewer bytes: run, not trained.
    Packed(Arc<Matrix>),
}

/// A number format of two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The upper half of single precision.
    BF16,
    /// IEEE half precision.
    F16,
}

impl From<Half> for FloatDType {
    fn from(half: Half) -> Self {
        match half {
            Half::BF16 => Self::BF16,
            Half::F16 => Self::F16,
        }
    }
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
    /// `[d_out, d_in]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Single(weight) | Self::Mixed(weight, _) => weight.dims(),
            Self::Halved(weight) => weight.dims(),
            Self::Packed(matrix) => matrix.dims(),
        }
    }

    /// The parameter, where it is one.
    pub fn parameter(&self) -> Option<&Param<Tensor<2>>> {
        match self {
            Self::Single(weight) | Self::Mixed(weight, _) => Some(weight),
            Self::Halved(_) | Self::Packed(_) => None,
        }
    }

    /// Has the products of a parameter done in half precision, or in single precision again.
    pub(crate) fn multiply_in(&mut self, half: Option<Half>) {
        if let Self::Single(weight) | Self::Mixed(weight, _) = &*self {
            let weight = weight.clone();
            *self = match half {
                Some(half) => Self::Mixed(weight, half),
                None => Self::Single(weight),
            };
        }
    }

    /// The same as a parameter on a device, to take gradients through; what is rounded to eight bits
    /// with its rows stays.
    pub(crate) fn unpack(&mut self, device: &Device) {
        let Self::Packed(matrix) = &*self else { return };
        if let Some(values) = matrix.values() {
            let values = TensorData::new(values, matrix.dims());
            let weight = Tensor::from_data(values, device);
            *self = Self::Single(Param::initialized(ParamId::new(), weight));
        }
    }

    /// Those of maps of the same rows as that of one map, in the memory of a device that runs them;
    /// `None` of weights that are packed, multiplied in other formats than they are held in, or not
    /// alike.
    pub(crate) fn joined(weights: &[&Self]) -> Option<Self> {
        let single = |weight: &&Self| match weight {
            Self::Single(weight) => Some(weight.val()),
            _ => None,
        };
        let halved = |weight: &&Self| match weight {
            Self::Halved(weight) => Some(weight.as_ref().clone()),
            _ => None,
        };
        if let Some(all) = weights.iter().map(single).collect::<Option<Vec<_>>>() {
            return Some(Self::Single(Param::initialized(ParamId::new(), Tensor::cat(all, 0))));
        }
        let all = weights.iter().map(halved).collect::<Option<Vec<_>>>()?;
        Some(Self::Halved(Box::new(Tensor::cat(all, 0))))
    }

    /// Takes its values from the rows of another, which has the same ones there.
    pub(crate) fn become_part(&mut self, whole: &Self, start: usize, rows: usize) {
        match (&mut *self, whole) {
            (Self::Single(part), Self::Single(whole)) => {
                let values = whole.val().narrow(0, start, rows);
                *self = Self::Single(part.clone().map(|_| values));
            }
            (Self::Halved(part), Self::Halved(whole)) => {
                **part = whole.as_ref().clone().narrow(0, start, rows);
            }
            _ => {}
        }
    }

    /// `x W^T + b`: `[rows, d_in]` to `[rows, d_out]`.
    pub fn product(&self, x: Tensor<2>, bias: Option<&Param<Tensor<1>>>) -> Tensor<2> {
        match self {
            Self::Single(weight) => plus(x.matmul(weight.val().transpose()), bias),
            Self::Mixed(weight, half) => {
                plus(half_product(x, weight.val().cast(FloatDType::from(*half))), bias)
            }
            Self::Halved(weight) => plus(half_product(x, weight.as_ref().clone()), bias),
            Self::Packed(matrix) => packed_product(matrix, x, bias),
        }
    }

    /// The rows of these numbers, `[n, d_in]`, from a table.
    pub fn rows(&self, ids: Tensor<1, burn::tensor::Int>) -> Tensor<2> {
        let matrix = match self {
            Self::Single(weight) | Self::Mixed(weight, _) => return weight.val().select(0, ids),
            Self::Halved(weight) => {
                return weight.as_ref().clone().select(0, ids).cast(FloatDType::F32);
            }
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
            Self::Single(_) | Self::Mixed(..) => 0,
            Self::Halved(weight) => 2 * weight.shape().num_elements(),
            Self::Packed(matrix) => matrix.bytes(),
        }
    }
}

fn plus(y: Tensor<2>, bias: Option<&Param<Tensor<1>>>) -> Tensor<2> {
    match bias {
        Some(bias) => y + bias.val().unsqueeze(),
        None => y,
    }
}

/// `x W^T` of rows that are rounded to the format of the weight, in single precision.
fn half_product(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let half = match weight.dtype() {
        DType::F16 => FloatDType::F16,
        _ => FloatDType::BF16,
    };
    x.cast(half).matmul(weight.transpose()).cast(FloatDType::F32) // [rows, d_out]
}

fn packed_product(matrix: &Matrix, x: Tensor<2>, bias: Option<&Param<Tensor<1>>>) -> Tensor<2> {
    assert!(!x.device().is_autodiff(), "packed weights are run, and pass no gradient on");
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
            Self::Single(weight) | Self::Mixed(weight, _) => weight.collect_devices(devices),
            Self::Halved(_) | Self::Packed(_) => devices,
        }
    }

    fn fork(self, device: &Device) -> Self {
        self.moved(device).single(|weight| weight.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.moved(device).single(|weight| Module::to_device(weight, device))
    }

    fn train(self) -> Self {
        self.single(Module::train)
    }

    fn valid(&self) -> Self {
        match self {
            Self::Single(weight) => Self::Single(weight.valid()),
            Self::Mixed(weight, half) => Self::Mixed(weight.valid(), *half),
            Self::Halved(weight) => Self::Halved(weight.clone()),
            Self::Packed(matrix) => Self::Packed(Arc::clone(matrix)),
        }
    }

    fn materialize(self) -> Self {
        self.single(Module::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        if let Self::Single(weight) | Self::Mixed(weight, _) = self {
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
            Self::Mixed(weight, half) => Self::Mixed(change(weight), half),
            other => other,
        }
    }

    fn moved(self, device: &Device) -> Self {
        match self {
            Self::Halved(weight) => Self::Halved(Box::new(weight.to_device(device))),
            other => other,
        }
    }
}

impl ModuleDisplayDefault for Weight {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("{:?}", self.dims())).optional()
    }
}

impl ModuleDisplay for Weight {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::zeros;
    use visor_runtime::device::{DeviceRequest, open};

    fn values(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn products_and_rows_in_halves_are_those_of_single_precision_but_for_their_rounding() {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let tensor = |values, dims: [usize; 2]| -> Tensor<2> {
            Tensor::from_data(TensorData::new(values, dims), &device)
        };
        let (x, w) = (tensor(values(5 * 24, 0.37), [5, 24]), values(7 * 24, 0.91));
        let parameter: Param<Tensor<2>> = zeros([7, 24], &device);
        let parameter = parameter.map(|_| tensor(w.clone(), [7, 24]));
        let single = Weight::Single(parameter.clone());
        let wanted = single.product(x.clone(), None);
        let ids = || Tensor::from_data(TensorData::from([6_i64, 0]), &device);
        for (half, rounding) in [(Half::BF16, 2e-2), (Half::F16, 3e-3)] {
            let mut mixed = single.clone();
            mixed.multiply_in(Some(half));
            let halved = tensor(w.clone(), [7, 24]).cast(FloatDType::from(half));
            let halved = Weight::Halved(Box::new(halved));
            for weight in [&mixed, &halved] {
                let got = weight.product(x.clone(), None);
                assert_eq!((got.dtype(), weight.dims()), (DType::F32, [7, 24]));
                let off = (got - wanted.clone()).abs().max().into_scalar::<f32>();
                assert!(off > 0.0 && off < rounding * 4.0, "{half:?}: {off}");
                let rows = weight.rows(ids());
                let off = (rows - single.rows(ids())).abs().max().into_scalar::<f32>();
                assert!(off < rounding, "{half:?}: {off}");
            }
            assert_eq!((mixed.packed_bytes(), halved.packed_bytes()), (0, 2 * 7 * 24));
            mixed.multiply_in(None);
            assert!(matches!(mixed, Weight::Single(_)));
        }
    }
}
