//! Filling a network whose large matrices are held as they are run: in the order of the processor's
//! products, or in fewer bytes than they are trained in.
//!
//! A matrix is packed as soon as its values have come, before those of the next one, so that no more
//! than one is ever there in single precision.

use crate::error::ModelError;
use crate::keys::KeyMap;
use crate::network::Network;
use crate::weight::{Half, Role, Weight};
use crate::weights::{self, Values};
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
    /// Takes the values of a parameter that is to be packed; gives others back.
    pub(crate) fn take(
        &mut self,
        id: ParamId,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
        device: &Device,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        let (Some(&role), &[d_out, d_in]) = (self.roles.get(&id), shape) else {
            return Ok(Some(values));
        };
        match Weight::pack(name, &values, [d_out, d_in], self.dtype, role, device)? {
            None => Ok(Some(values)),
            Some(weight) => {
                self.packed.insert(id, weight);
                Ok(None)
            }
        }
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
    value: Values<'_>,
) -> Result<Network, ModelError> {
    let mut packing = Packing { dtype, ..Packing::default() };
    let mut network = network;
    network.for_each_weight(&mut |weight, role| {
        if let Weight::Single(parameter) = weight {
            packing.roles.insert(parameter.id, role);
        }
    });
    let mut network = weights::fill_packing(network, device, value, &mut packing)?;
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
    fill(network, dtype, device, &mut |name, shape| {
        let name = keys.in_files(name, weights);
        Ok(weights.take(&name, shape)?)
    })
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
