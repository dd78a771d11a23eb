//! Tensors that lie in the processor's own memory: their values where they are, and functions of
//! them that burn does not have, with their gradients.
#![expect(clippy::result_large_err, reason = "a tensor that nothing was done to goes back")]

use super::rows::{Keeps, RowFunction};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::{Autodiff, BackendTensor, DispatchTensorKind};
use burn::tensor::{DType, Device, Tensor};

/// The values of a tensor in the processor's own memory, in single precision: seen where they are,
/// without a copy.
#[derive(Clone, Debug)]
pub struct HostValues {
    tensor: FlexTensor,
}

impl HostValues {
    /// `None` of a tensor that lies elsewhere, has another number format, or is part of what
    /// gradients are taken of.
    pub fn of<const R: usize>(tensor: &Tensor<R>) -> Option<Self> {
        match tensor.clone().into_dispatch().kind {
            DispatchTensorKind::Flex(BackendTensor::Float(tensor))
                if tensor.dtype() == DType::F32 =>
            {
                Some(Self { tensor })
            }
            _ => None,
        }
    }

    /// Whether the tensors of a device are such.
    pub fn are_on(device: &Device) -> bool {
        Self::of(&Tensor::<1>::zeros([1], device)).is_some()
    }

    /// From the first value of the tensor on.
    pub fn values(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.tensor.layout().start_offset()..]
    }

    /// From a value to the next along each of `R` axes; `None` where there are not so many, or where
    /// one runs backwards.
    pub fn strides<const R: usize>(&self) -> Option<[usize; R]> {
        let strides: &[isize; R] = self.tensor.layout().strides().try_into().ok()?;
        strides.iter().all(|&stride| stride >= 0).then(|| strides.map(isize::unsigned_abs))
    }

    /// All values in the order of the axes, where they lie in it.
    pub fn in_order(&self) -> Option<&[f32]> {
        let n = self.tensor.layout().num_elements();
        self.tensor.is_contiguous().then(|| &self.values()[..n])
    }
}

impl RowFunction {
    /// The function of a tensor that gradients are taken of.
    ///
    /// # Errors
    /// The tensor, where it lies elsewhere, has another number format or is not tracked, or its
    /// activations are to be computed anew.
    pub fn of_tracked<const R: usize>(self, x: Tensor<R>) -> Result<Tensor<R>, Tensor<R>> {
        if x.dtype() != DType::F32 || !x.device().is_autodiff() {
            return Err(x);
        }
        let Ok(tracked) = x.clone().try_into_primitive::<Autodiff<Flex>>() else {
            return Err(x);
        };
        drop(x);
        let (values, node) = tracked.into_parts();
        let before = (self.keeps == Keeps::Values).then(|| values.clone());
        let results = changed(values, |values| (self.forward)(values, self.width, self.constant));
        let results = match RowStep.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = before.unwrap_or_else(|| results.clone());
                prepared.finish((self, kept), results)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(results),
        };
        Ok(Tensor::from_primitive::<Autodiff<Flex>>(results))
    }
}

#[derive(Debug)]
struct RowStep;

impl Backward<Flex, 1> for RowStep {
    type State = (RowFunction, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (RowFunction { width, constant, gradient, .. }, kept) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |grad| {
            let kept = kept.into_data();
            let kept = kept.as_slice().expect("kept in single precision");
            changed(grad, |grad| gradient(kept, grad, width, constant))
        });
    }
}

/// Changes the values in their own buffer, where nobody else holds it.
fn changed(tensor: FlexTensor, work: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut data = tensor.into_data();
    work(data.as_mut_slice().expect("checked to be in single precision"));
    FlexTensor::from_data(data)
}

#[cfg(test)]
mod tests {
    use super::super::{DeviceRequest, open, training};
    use super::*;

    const TRIPLE: RowFunction = RowFunction {
        width: 2,
        constant: 3.0,
        forward: |x, _, factor| x.iter_mut().for_each(|x| *x *= factor),
        keeps: Keeps::Values,
        gradient: |_, grad, _, factor| grad.iter_mut().for_each(|grad| *grad *= factor),
    };

    /// The square, by its root that was kept or by its result.
    const SQUARE: RowFunction = RowFunction {
        width: 1,
        constant: 0.0,
        forward: |x, _, _| x.iter_mut().for_each(|x| *x *= *x),
        keeps: Keeps::Values,
        gradient: |x, grad, _, _| grad.iter_mut().zip(x).for_each(|(grad, x)| *grad *= 2.0 * x),
    };

    #[test]
    fn values_on_the_processor_are_seen_where_they_lie() {
        let device = open(DeviceRequest::Cpu).expect("the processor is in this build");
        let x = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let all = HostValues::of(&x).expect("on the processor");
        assert_eq!(all.in_order(), Some([1.0, 2.0, 3.0, 4.0, 5.0, 6.0].as_slice()));
        let turned = HostValues::of(&x.clone().transpose().narrow(0, 1, 2)).expect("a view");
        assert_eq!((turned.strides(), turned.in_order()), (Some([1, 3]), None));
        assert_eq!(turned.values()[0], 2.0);
        let tracked = Tensor::<2>::from_floats([[1.0]], &training(&device));
        assert!(HostValues::of(&tracked).is_none());
        assert!(TRIPLE.of_tracked(x).is_err());
    }

    #[test]
    fn gradients_go_through_functions_of_rows() {
        let device = training(&open(DeviceRequest::Cpu).expect("in this build"));
        let x = Tensor::<2>::from_floats([[1.0, -2.0], [0.5, 4.0]], &device).require_grad();
        // A view, so that values are not in order, and a use beside the function.
        let y = SQUARE.of_tracked(x.clone().transpose()).expect("tracked");
        let y = TRIPLE.of_tracked(y).expect("tracked") + x.clone().transpose();
        y.clone()
            .into_data()
            .assert_eq(&burn::tensor::TensorData::from([[4.0_f32, 1.25], [10.0, 52.0]]), true);
        let grads = y.sum().backward();
        let grad = x.grad(&grads).expect("of a leaf").into_data();
        // 3 * 2 x + 1.
        let want = burn::tensor::TensorData::from([[7.0_f32, -11.0], [4.0, 25.0]]);
        grad.assert_eq(&want, true);
    }
}
