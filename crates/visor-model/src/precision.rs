//! Filling a network whose large matrices are held as they are run: in the order of the processor's
//! products, or in fewer bytes than they are trained in.
//!
//! A matrix is packed while its values come, a piece at a time, so that none is ever whole in single
//! precision beside what it is held in.

use crate::error::ModelError;
use crate::filling::Filling;
use crate::keys::KeyMap;
use crate::network::Network;
use crate::weight::{Half, Role, Weight};
use crate::weights::{self, InFiles, Origin, Values};
use burn::module::{Module, ParamId};
use burn::tensor::Device;
use std::collections::{BTreeMap, BTreeSet};
use visor_checkpoint::Weights;
use visor_kernels::Quantised;
use visor_runtime::Dtype;

/// What is held in fewer bytes, by its parameter.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    dtype: Dtype,
    roles: BTreeMap<ParamId, Role>,
    packed: BTreeMap<ParamId, Weight>,
}

impl Packing {
    /// Takes the values of a parameter that is to be packed; gives those of others back, whole.
    pub(crate) fn take(
        &mut self,
        id: ParamId,
        name: &str,
        shape: &[usize],
        origin: &mut dyn Origin,
        device: &Device,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        let wrong = |source| ModelError::Packing { name: name.to_owned(), source };
        let filling = match (self.roles.get(&id), shape) {
            (Some(&role), &[d_out, d_in]) => {
                Filling::new([d_out, d_in], self.dtype, role, device).map_err(wrong)?
            }
            _ => None,
        };
        let Some(mut filling) = filling else { return origin.whole(name, shape).map(Some) };
        origin.pieces(name, shape, &mut |piece| filling.push(piece).map_err(wrong))?;
        self.packed.insert(id, filling.finish().map_err(wrong)?);
        Ok(None)
    }
}

/// As [`weights::fill`], with the matrices of encoder, connector, decoder and head in `dtype`. Norms,
/// biases, positions, the patch embedding and the selector stay in single precision.
///
/// # Errors
/// As [`weights::fill`], and [`ModelError::Packing`].
pub fn fill(
    network: Network,
    dtype: Dtype,
    device: &Device,
    mut value: Values<'_>,
) -> Result<Network, ModelError> {
    fill_from(network, dtype, device, &mut value)
}

/// As [`weights::load`], with matrices as [`fill`] holds them.
///
/// # Errors
/// As [`weights::load`], and [`ModelError::Packing`].
pub fn load(
    network: Network,
    weights: &mut Weights,
    keys: &KeyMap,
    dtype: Dtype,
    device: &Device,
) -> Result<Network, ModelError> {
    fill_from(network, dtype, device, &mut InFiles { weights, keys })
}

fn fill_from(
    mut network: Network,
    dtype: Dtype,
    device: &Device,
    origin: &mut dyn Origin,
) -> Result<Network, ModelError> {
    let mut packing = Packing { dtype, ..Packing::default() };
    network.for_each_weight(&mut |weight, role| {
        if let Weight::Single(parameter) = weight {
            packing.roles.insert(parameter.id, role);
        }
    });
    let mut network = weights::fill_packing(network, device, origin, &mut packing)?;
    network.for_each_weight(&mut |weight, _| {
        let packed = match weight {
            Weight::Single(parameter) => packing.packed.remove(&parameter.id),
            _ => None,
        };
        if let Some(packed) = packed {
            *weight = packed;
        }
    });
    Ok(network)
}

impl Network {
    /// Has the products of its matrices done in half precision, for training on a device that is
    /// faster so, or in single precision again. Norms, biases, positions, the patch embedding, the
    /// selector, the embedding table and the head, attention and all sums stay in single precision.
    #[must_use]
    pub fn multiply_in(mut self, half: Option<Half>) -> Self {
        self.for_each_weight(&mut |weight, role| {
            if role == Role::Product {
                weight.multiply_in(half);
            }
        });
        self
    }

    /// The same on a device that tracks gradients, with the matrices of the decoder's first `layers`
    /// as parameters again, so that gradients go through them to what goes in.
    #[must_use]
    pub fn with_parameters_below(self, layers: usize, device: &Device) -> Self {
        let mut network = self.to_device(device);
        network.decoder_mut().for_each_weight_below(layers, &mut |weight, _| weight.unpack(device));
        network
    }
}

/// The names of the parameters that [`fill`] holds in a number format, as the network calls them.
pub fn matrices(network: &mut Network) -> Vec<String> {
    let mut ids = BTreeSet::new();
    network.for_each_weight(&mut |weight, _| {
        if let Weight::Single(parameter) = weight {
            ids.insert(parameter.id);
        }
    });
    let named = weights::ids(network).into_iter().filter(|(_, id)| ids.contains(id));
    named.map(|(name, _)| name).collect()
}

/// Whether a matrix with rows of so many values can be held in int8.
///
/// # Errors
/// [`ModelError::Packing`].
pub fn expect_int8(name: &str, inputs: usize) -> Result<(), ModelError> {
    let none = Quantised::from_parts(Vec::new(), Vec::new(), inputs);
    let wrong = |source| ModelError::Packing { name: name.to_owned(), source };
    none.map(|_| ()).map_err(wrong)
}

/// What [`fill`] makes of a matrix of so many rows in int8: whole numbers, and a factor a row.
///
/// # Panics
/// If the rows are not equally long, or longer than [`expect_int8`] lets be.
pub fn whole_numbers(values: &[f32], rows: usize) -> (Vec<f32>, Vec<f32>) {
    let whole = Quantised::nearest(values, [rows, values.len() / rows.max(1)]);
    let whole = whole.expect("the shape is that of the values, and was checked");
    (whole.values().iter().map(|&number| f32::from(number)).collect(), whole.scales().to_vec())
}

/// Is shown every weight of a network's large products, with what it is for.
pub(crate) type ForEach<'a> = &'a mut dyn FnMut(&mut Weight, Role);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::{Bias, Linear};
    use crate::weights::Each;
    use burn::tensor::{Tensor, TensorData};
    use visor_runtime::device::{DeviceRequest, open};

    const WIDTHS: [usize; 2] = [24, 70];

    /// Hands values out five at a time, and notes what was asked for whole.
    struct Drops {
        values: Vec<f32>,
        whole: Vec<String>,
    }

    impl Origin for Drops {
        fn whole(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
            self.whole.push(name.to_owned());
            Ok(self.values[..shape.iter().product()].to_vec())
        }

        fn pieces(&mut self, _: &str, shape: &[usize], each: Each<'_>) -> Result<(), ModelError> {
            self.values[..shape.iter().product()].chunks(5).try_for_each(each)
        }
    }

    fn drops() -> Drops {
        let [d_in, d_out] = WIDTHS;
        let values = (0..d_in * d_out).map(|i| (i as f32 * 0.37).sin()).collect();
        Drops { values, whole: Vec::new() }
    }

    /// A map that is filled from there, its weight packed.
    fn filled(dtype: Dtype, role: Role, origin: &mut dyn Origin) -> Result<Linear, ModelError> {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let linear = Linear::new(WIDTHS[0], WIDTHS[1], Bias::With, &device);
        let id = linear.weight.parameter().expect("nothing is packed yet").id;
        let roles = [(id, role)].into();
        let mut packing = Packing { dtype, roles, ..Packing::default() };
        let mut linear = weights::fill_packing(linear, &device, origin, &mut packing)?;
        linear.weight = packing.packed.remove(&id).expect("a weight is packed");
        Ok(linear)
    }

    #[test]
    fn a_matrix_that_is_packed_comes_in_pieces_and_is_what_comes_whole() {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let x: Vec<f32> = (0..3 * WIDTHS[0]).map(|i| (i as f32 * 0.91).cos()).collect();
        let x: Tensor<2> = Tensor::from_data(TensorData::new(x, [3, WIDTHS[0]]), &device);
        for dtype in [Dtype::F32, Dtype::BF16, Dtype::F16, Dtype::Int8] {
            for role in [Role::Product, Role::Table] {
                let mut pieces = drops();
                let dropped = filled(dtype, role, &mut pieces).expect("small values");
                assert_eq!(pieces.whole, ["bias"], "{dtype}: parameters alone come whole");
                let values = drops().values;
                let mut whole: Values<'_> =
                    &mut |_, shape| Ok(values[..shape.iter().product()].to_vec());
                let whole = filled(dtype, role, &mut whole).expect("small values");
                let (got, want) = (dropped.forward(x.clone()), whole.forward(x.clone()));
                assert_eq!(got.into_data(), want.into_data(), "{dtype}");
            }
        }
    }

    #[test]
    fn a_value_in_a_later_piece_is_named_by_its_place_in_the_tensor() {
        let mut pieces = drops();
        pieces.values[1003] = 1e6;
        let error = filled(Dtype::F16, Role::Product, &mut pieces).expect_err("above 65504");
        let error = error.to_string();
        assert!(error.contains("`weight`") && error.contains("place 1003"), "{error}");
    }
}
