//! Parameters by name: filling a network from a checkpoint, and taking its tensors out again.

use crate::error::ModelError;
use crate::keys::KeyMap;
use crate::precision::Packing;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use std::borrow::Cow;
use visor_checkpoint::{TensorOutline, TensorToSave, Weights};

/// A parameter that is nothing until it is filled: memory is taken when a value comes.
pub(crate) fn zeros<const R: usize>(shape: [usize; R], device: &Device) -> Param<Tensor<R>> {
    let init = move |device: &Device, _| Tensor::zeros(shape, device);
    Param::uninitialized(ParamId::new(), init, device.clone(), true, Shape::from(shape))
}

/// Gives the values of a parameter for its name and shape.
pub type Values<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, ModelError>;

/// Where the values of parameters come from.
pub(crate) trait Origin {
    /// All of one, for its name and shape.
    fn whole(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError>;

    /// The same, from the first to the last in pieces of any length.
    fn pieces(&mut self, name: &str, shape: &[usize], each: Each<'_>) -> Result<(), ModelError> {
        each(&self.whole(name, shape)?)
    }
}

/// Is given a piece of the values of a parameter.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&[f32]) -> Result<(), ModelError>;

impl Origin for Values<'_> {
    fn whole(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        self(name, shape)
    }
}

/// The files of a checkpoint, name by name through a key map.
pub(crate) struct InFiles<'a> {
    pub(crate) weights: &'a mut Weights,
    pub(crate) keys: &'a KeyMap,
}

impl Origin for InFiles<'_> {
    fn whole(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let name = self.keys.in_files(name, self.weights);
        Ok(self.weights.take(&name, shape)?)
    }

    fn pieces(&mut self, name: &str, shape: &[usize], each: Each<'_>) -> Result<(), ModelError> {
        let name = self.keys.in_files(name, self.weights);
        self.weights.take_in_pieces(&name, shape, each)
    }
}

/// Fills every parameter of `module` from what `value` gives for its name and shape.
///
/// # Errors
/// The first one that `value` returns.
pub fn fill<M: Module>(module: M, device: &Device, mut value: Values<'_>) -> Result<M, ModelError> {
    fill_packing(module, device, &mut value, &mut Packing::default())
}

/// Fills `module` from a checkpoint, name by name through the key map.
///
/// # Errors
/// A tensor that is missing or has another shape.
pub fn load<M: Module>(
    module: M,
    weights: &mut Weights,
    keys: &KeyMap,
    device: &Device,
) -> Result<M, ModelError> {
    fill_packing(module, device, &mut InFiles { weights, keys }, &mut Packing::default())
}

/// As [`fill`]; what `packing` takes stays an empty parameter.
pub(crate) fn fill_packing<M: Module>(
    module: M,
    device: &Device,
    origin: &mut dyn Origin,
    packing: &mut Packing,
) -> Result<M, ModelError> {
    let mut filler = Filler { path: Path::default(), device, origin, packing, error: None };
    let module = module.map(&mut filler);
    match filler.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// All parameters of a module under the names that checkpoints use.
pub fn tensors<M: Module>(module: &M, keys: &KeyMap) -> Vec<TensorToSave<'static>> {
    let mut all = named(module);
    for tensor in &mut all {
        tensor.name = keys.on_disk(&tensor.name);
    }
    all
}

/// All parameters of a module under their own names, in the order of the network.
pub fn named<M: Module>(module: &M) -> Vec<TensorToSave<'static>> {
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.tensors
}

/// The names of a module's parameters, in the order of the network, with what identifies each.
pub fn ids<M: Module>(module: &M) -> Vec<(String, ParamId)> {
    let mut outliner = Outliner::default();
    module.visit(&mut outliner);
    outliner.outlines.into_iter().map(|outline| outline.name).zip(outliner.ids).collect()
}

/// The parameters of a module under their own names, in the order of the network, without values:
/// none is made, filled or not.
pub fn outlines<M: Module>(module: &M) -> Vec<TensorOutline> {
    let mut outliner = Outliner::default();
    module.visit(&mut outliner);
    outliner.outlines
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Filler<'a> {
    path: Path,
    device: &'a Device,
    origin: &'a mut dyn Origin,
    packing: &'a mut Packing,
    error: Option<ModelError>,
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.0.pop();
    }

    fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        let dims: Vec<usize> = shape.iter().copied().collect();
        let name = self.path.name();
        match self.packing.take(param.id, &name, &dims, self.origin, self.device) {
            Ok(None) => param,
            Ok(Some(values)) => {
                let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
                Param::initialized(param.id, tensor.require_grad_where_possible())
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

trait RequireGradWherePossible {
    fn require_grad_where_possible(self) -> Self;
}

impl<const R: usize> RequireGradWherePossible for Tensor<R> {
    /// Gradients are tracked exactly on devices that can: others run inference.
    fn require_grad_where_possible(self) -> Self {
        if self.device().is_autodiff() { self.require_grad() } else { self }
    }
}

#[derive(Default)]
struct Outliner {
    path: Path,
    outlines: Vec<TensorOutline>,
    ids: Vec<ParamId>,
}

impl ModuleVisitor for Outliner {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.0.pop();
    }

    fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
        let shape = param.lazy_shape().iter().copied().collect();
        self.outlines.push(TensorOutline { name: self.path.name(), shape });
        self.ids.push(param.id);
    }
}

#[derive(Default)]
struct Collector {
    path: Path,
    tensors: Vec<TensorToSave<'static>>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.0.pop();
    }

    fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
        let value = param.val();
        let shape = value.dims().to_vec();
        let data: Vec<f32> = value.into_data().iter::<f32>().collect();
        self.tensors.push(TensorToSave { name: self.path.name(), shape, data: Cow::Owned(data) });
    }
}
