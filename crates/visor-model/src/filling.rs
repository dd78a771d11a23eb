//! A weight while its values come, in pieces: it is never whole in single precision beside what it
//! is held in.

use crate::weight::{Role, Weight};
use burn::tensor::{DType, Device, Element, Tensor, TensorData, bf16, f16};
use std::sync::Arc;
use visor_kernels::{MatrixBuilder, MatrixError, MatrixFormat};
use visor_runtime::Dtype;
use visor_runtime::device::HostValues;

/// A weight `[d_out, d_in]` that is being filled, from its first row to its last.
pub(crate) enum Filling {
    /// In the order of the processor's products.
    Packed(MatrixBuilder),
    /// In the upper halves of single precision, for another device.
    BF16(Halves<bf16>),
    /// In IEEE half precision, for another device.
    F16(Halves<f16>),
}

impl Filling {
    /// A weight that is held in a format on a device; `None` where that is a parameter: in single
    /// precision on a device other than the processor, and wherever gradients are tracked.
    ///
    /// # Errors
    /// [`MatrixError`] of sizes that the format does not hold.
    pub(crate) fn new(
        dims: [usize; 2],
        dtype: Dtype,
        role: Role,
        device: &Device,
    ) -> Result<Option<Self>, MatrixError> {
        if device.is_autodiff() {
            return Ok(None);
        }
        let format = match (dtype, role, HostValues::are_on(device)) {
            (Dtype::BF16, _, false) => return Ok(Some(Self::BF16(Halves::new(dims, device)))),
            (Dtype::F16, _, false) => return Ok(Some(Self::F16(Halves::new(dims, device)))),
            (Dtype::F32, _, true) => MatrixFormat::Single,
            (Dtype::BF16, Role::Product, true) => MatrixFormat::Bf16,
            (Dtype::BF16, Role::Table, true) => MatrixFormat::Bf16Rows,
            (Dtype::F16, _, true) => MatrixFormat::F16,
            (Dtype::Int8, Role::Product, _) => MatrixFormat::Int8,
            (Dtype::Int8, Role::Table, _) => MatrixFormat::Int8Rows,
            _ => return Ok(None),
        };
        MatrixBuilder::new(format, dims).map(Self::Packed).map(Some)
    }

    /// Puts values behind those that have come.
    ///
    /// # Errors
    /// [`MatrixError`] of too many, and of one that the format does not hold.
    pub(crate) fn push(&mut self, values: &[f32]) -> Result<(), MatrixError> {
        match self {
            Self::Packed(builder) => builder.push(values),
            Self::BF16(halves) => halves.push(values, bf16::from_f32, bf16::is_finite),
            Self::F16(halves) => halves.push(values, f16::from_f32, f16::is_finite),
        }
    }

    /// The weight, of which every value has come.
    ///
    /// # Errors
    /// [`MatrixError::Size`] if some have not.
    pub(crate) fn finish(self) -> Result<Weight, MatrixError> {
        match self {
            Self::Packed(builder) => Ok(Weight::Packed(Arc::new(builder.finish()?))),
            Self::BF16(halves) => halves.finish(),
            Self::F16(halves) => halves.finish(),
        }
    }
}

/// Numbers of two bytes that leave for a device when all are there.
pub(crate) struct Halves<T> {
    words: Vec<T>,
    dims: [usize; 2],
    device: Device,
}

impl<T: Element> Halves<T> {
    fn new(dims: [usize; 2], device: &Device) -> Self {
        Self { words: Vec::new(), dims, device: device.clone() }
    }

    fn push(
        &mut self,
        values: &[f32],
        nearest: fn(f32) -> T,
        is_finite: fn(T) -> bool,
    ) -> Result<(), MatrixError> {
        let [outputs, inputs] = self.dims;
        let (there, got) = (self.words.len(), self.words.len() + values.len());
        let all = outputs.checked_mul(inputs).filter(|&all| got <= all);
        let all = all.ok_or(MatrixError::Size { outputs, inputs, got })?;
        let none = |_| MatrixError::Memory { outputs, inputs };
        self.words.try_reserve_exact(all - there).map_err(none)?;
        for (place, &value) in (there..).zip(values) {
            let word = nearest(value);
            if !is_finite(word) {
                let format = match T::dtype() {
                    DType::F16 => "f16",
                    _ => "bf16",
                };
                return Err(MatrixError::Overflow { place, value, format });
            }
            self.words.push(word);
        }
        Ok(())
    }

    fn finish(self) -> Result<Weight, MatrixError> {
        let Self { words, dims: [outputs, inputs], device } = self;
        if outputs.checked_mul(inputs) != Some(words.len()) {
            return Err(MatrixError::Size { outputs, inputs, got: words.len() });
        }
        let words = TensorData::new(words, [outputs, inputs]);
        Ok(Weight::Halved(Box::new(Tensor::from_data(words, (&device, T::dtype())))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::FloatDType;
    use visor_runtime::device::{DeviceRequest, open, training};

    #[test]
    fn halves_that_come_in_pieces_are_those_that_a_device_rounds_to() {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let values: Vec<f32> = (0..7 * 24).map(|i| (i as f32 * 0.91).sin()).collect();
        let dims = [7, 24];
        let whole: Tensor<2> = Tensor::from_data(TensorData::new(values.clone(), dims), &device);
        for (mut filling, dtype) in [
            (Filling::BF16(Halves::new(dims, &device)), FloatDType::BF16),
            (Filling::F16(Halves::new(dims, &device)), FloatDType::F16),
        ] {
            for piece in values.chunks(50) {
                filling.push(piece).expect("small values");
            }
            let Ok(Weight::Halved(weight)) = filling.finish() else { panic!("{dtype:?}") };
            assert_eq!((weight.dtype(), weight.dims()), (DType::from(dtype), dims));
            assert_eq!(weight.into_data(), whole.clone().cast(dtype).into_data());
        }
    }

    #[test]
    fn halves_that_a_device_would_lose_are_an_error_that_says_where() {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let mut filling = Filling::F16(Halves::new([2, 3], &device));
        filling.push(&[1.0; 4]).expect("small values");
        let error = filling.push(&[7e4, 1.0]).expect_err("above 65504");
        assert_eq!(error, MatrixError::Overflow { place: 4, value: 7e4, format: "f16" });
        let mut filling = Filling::BF16(Halves::new([2, 3], &device));
        filling.push(&[7e4; 4]).expect("within the range");
        let size = |got| MatrixError::Size { outputs: 2, inputs: 3, got };
        assert_eq!(filling.push(&[1.0; 3]).expect_err("one too many"), size(7));
        assert_eq!(filling.finish().expect_err("a row and a third"), size(4));
    }

    #[test]
    fn what_is_trained_stays_a_parameter() {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let formats = [Dtype::F32, Dtype::BF16, Dtype::F16, Dtype::Int8];
        for (dtype, role) in formats.into_iter().zip([Role::Product, Role::Table].repeat(2)) {
            let packed = Filling::new([2, 3], dtype, role, &device).expect("small");
            assert!(matches!(packed, Some(Filling::Packed(_))), "{dtype}");
            let trained = Filling::new([2, 3], dtype, role, &training(&device));
            assert!(trained.expect("small").is_none(), "{dtype}");
        }
    }
}
