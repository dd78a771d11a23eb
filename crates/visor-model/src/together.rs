//! Linear maps of the same rows as one product, where every launch of a kernel costs: to run a model
//! on a device other than the processor, never to train one.

use crate::counter;
use crate::linear::Linear;
use crate::weight::Weight;
use burn::module::{Param, ParamId};
use burn::tensor::Tensor;
use visor_core::cost::matmul;

/// The maps of a block that read the same rows.
#[derive(Clone, Debug)]
pub(crate) struct Together<const N: usize> {
    /// `[d_out of all, d_in]`.
    weight: Weight,
    /// `[d_out of all]`.
    bias: Option<Param<Tensor<1>>>,
    /// `d_out` of each.
    widths: [usize; N],
}

impl<const N: usize> Together<N> {
    /// The maps as one. Each by itself becomes a part of the same memory, where the device gives
    /// views of memory. `None` of weights that are packed, trained or not alike.
    pub(crate) fn of(maps: [&mut Linear; N]) -> Option<Self> {
        let weights: Vec<&Weight> = maps.iter().map(|map| &map.weight).collect();
        let weight = Weight::joined(&weights)?;
        let biases: Vec<Tensor<1>> =
            maps.iter().filter_map(|map| map.bias.as_ref().map(Param::val)).collect();
        let bias = match biases.len() {
            0 => None,
            n if n == N => Some(Param::initialized(ParamId::new(), Tensor::cat(biases, 0))),
            _ => return None,
        };
        let widths = maps.each_ref().map(|map| map.weight.dims()[0]);
        let mut start = 0;
        for (map, width) in maps.into_iter().zip(widths) {
            map.weight.become_part(&weight, start, width);
            start += width;
        }
        Some(Self { weight, bias, widths })
    }

    /// Maps `[1, S, d_in]` to `[S, d_out]` of each, of which so many rows are no padding.
    pub(crate) fn forward(&self, x: Tensor<3>, filled: [usize; N]) -> [Tensor<2>; N] {
        let [batch, s, d_in] = x.dims();
        for (width, filled) in self.widths.into_iter().zip(filled) {
            counter::record(matmul(batch * filled, d_in, width));
        }
        let all = self.weight.product(x.reshape([batch * s, d_in]), self.bias.as_ref());
        let mut start = 0;
        self.widths.map(|width| {
            start += width;
            all.clone().narrow(1, start - width, width)
        })
    }
}
