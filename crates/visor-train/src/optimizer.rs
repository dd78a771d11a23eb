//! AdamW over all parameters as one flat vector.
//!
//! One vector makes a step a handful of operations, a global norm one sum, and a resume state
//! three tensors whose meaning is the order of the network's parameters.

use crate::error::TrainError;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{
    AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashSet;
use std::fmt;

/// Settings of AdamW. There is no weight decay (method, section 3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Decay of the mean gradient.
    pub beta_1: f32,
    /// Decay of the mean square.
    pub beta_2: f32,
    /// Largest norm of a gradient; longer ones are shortened to it.
    pub clip: f32,
}

/// Which parameters of a module learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// All of them.
    All,
    /// These.
    Only(HashSet<ParamId>),
}

impl Chosen {
    fn has(&self, id: ParamId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}

/// The parameters of a module that learn, with their moments, off the autodiff graph.
pub struct FlatAdamW {
    optimizer: AdamW,
    chosen: Chosen,
    clip: f32,
    parameters: Tensor<1>,
    moments: Option<AdaptiveMomentumState<1>>,
}

impl fmt::Debug for FlatAdamW {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.moments.as_ref().map_or(0, |moments| moments.time);
        f.debug_struct("FlatAdamW").field("parameters", &self.len()).field("steps", &taken).finish()
    }
}

/// What must be kept to go on exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// All parameters.
    pub parameters: Vec<f32>,
    /// Mean gradient; empty before the first step.
    pub moment_1: Vec<f32>,
    /// Mean square gradient.
    pub moment_2: Vec<f32>,
    /// Steps taken.
    pub time: usize,
}

impl FlatAdamW {
    /// Starts from the values that `module` has; all of it learns.
    pub fn new<M: Module>(module: &M, settings: Settings) -> Self {
        Self::over(module, settings, Chosen::All)
    }

    /// The same where only some parameters learn, at least one.
    pub fn over<M: Module>(module: &M, settings: Settings, chosen: Chosen) -> Self {
        let mut flattener = Flattener { chosen: &chosen, parts: Vec::new() };
        module.visit(&mut flattener);
        let parameters = Tensor::cat(flattener.parts, 0);
        Self {
            optimizer: AdamWConfig::new()
                .with_beta_1(settings.beta_1)
                .with_beta_2(settings.beta_2)
                .with_epsilon(1e-8)
                .with_weight_decay(0.0)
                .build(),
            clip: settings.clip,
            parameters,
            moments: None,
            chosen,
        }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        let [n] = self.parameters.dims();
        n
    }

    /// Whether there is nothing to train.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The gradient of all parameters, zeros where a parameter was not used.
    pub fn flatten<M: Module>(&self, module: &M, gradients: GradientsParams) -> Tensor<1> {
        let (device, chosen) = (self.parameters.device(), &self.chosen);
        let mut collector = GradientCollector { gradients, parts: Vec::new(), device, chosen };
        module.visit(&mut collector);
        Tensor::cat(collector.parts, 0)
    }

    /// One step; returns the module with its new values and the norm of the gradient before
    /// clipping.
    pub fn step<M: Module>(&mut self, module: M, gradient: Tensor<1>, lr: f64) -> (M, f32) {
        let norm = gradient.clone().square().sum().sqrt().into_scalar::<f32>();
        let gradient = if norm > self.clip { gradient * (self.clip / norm) } else { gradient };
        let state = self.moments.take().map(AdamWState::new);
        let (parameters, state) = self.optimizer.step(lr, self.parameters.clone(), gradient, state);
        self.parameters = parameters;
        self.moments = state.map(|state| state.momentum);
        (self.write(module), norm)
    }

    /// The module with the values held here.
    pub fn write<M: Module>(&self, module: M) -> M {
        let Self { parameters, chosen, .. } = self;
        module.map(&mut Writer { parameters, chosen, offset: 0 })
    }

    /// What must be kept to go on exactly.
    pub fn state(&self) -> State {
        let host = |tensor: &Tensor<1>| tensor.to_data().iter::<f32>().collect::<Vec<f32>>();
        let parameters = host(&self.parameters);
        match &self.moments {
            Some(moments) => State {
                parameters,
                moment_1: host(&moments.moment_1),
                moment_2: host(&moments.moment_2),
                time: moments.time,
            },
            None => State { parameters, moment_1: Vec::new(), moment_2: Vec::new(), time: 0 },
        }
    }

    /// Goes on from a state of the same network.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] if it has another number of parameters.
    pub fn restore(&mut self, state: State) -> Result<(), TrainError> {
        if state.parameters.len() != self.len() {
            return Err(TrainError::Recipe {
                field: "number of saved parameters",
                got: state.parameters.len().to_string(),
                expected: "as many as the network has",
            });
        }
        let device = self.parameters.device();
        let lift = |values: Vec<f32>| {
            let n = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [n]), &device)
        };
        self.moments = (state.time > 0).then(|| {
            AdaptiveMomentumState::new(state.time, lift(state.moment_1), lift(state.moment_2))
        });
        self.parameters = lift(state.parameters);
        Ok(())
    }
}

/// The same module with gradients tracked for every parameter, wherever its values come from.
pub(crate) fn tracked<M: Module>(module: M) -> M {
    module.map(&mut Tracker)
}

struct Tracker;

impl ModuleMapper for Tracker {
    fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        let value = Tensor::from_inner(param.val().inner()).require_grad();
        Param::initialized(param.id, value)
    }
}

/// The same module with gradients tracked for the parameters that learn, and no other one on the
/// autodiff graph.
pub(crate) fn tracked_where<M: Module>(module: M, chosen: &Chosen) -> M {
    module.map(&mut ChosenTracker(chosen))
}

struct ChosenTracker<'a>(&'a Chosen);

impl ModuleMapper for ChosenTracker<'_> {
    fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        let Self(chosen) = self;
        let value = param.val();
        let value = match chosen.has(param.id) {
            true => value.autodiff().detach().require_grad(),
            false => value.detach(),
        };
        Param::initialized(param.id, value)
    }
}

/// The sum of the gradients of a step's parts.
#[derive(Debug, Default)]
pub(crate) struct Gradient(Option<Tensor<1>>);

impl Gradient {
    pub(crate) fn add(&mut self, part: Tensor<1>) {
        self.0 = Some(match self.0.take() {
            Some(sum) => sum + part,
            None => part,
        });
    }

    /// `None` of a step without parts.
    pub(crate) fn sum(self) -> Option<Tensor<1>> {
        self.0
    }
}

/// The same module off the autodiff graph.
pub(crate) fn plain<M: Module>(module: M) -> M {
    module.map(&mut Plain)
}

struct Plain;

impl ModuleMapper for Plain {
    fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        Param::initialized(param.id, param.val().inner())
    }
}

struct Flattener<'a> {
    chosen: &'a Chosen,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flattener<'_> {
    fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
        if !self.chosen.has(param.id) {
            return;
        }
        let value = param.val();
        let n = value.dims().iter().product::<usize>();
        self.parts.push(value.inner().reshape([n]));
    }
}

struct GradientCollector<'a> {
    gradients: GradientsParams,
    parts: Vec<Tensor<1>>,
    device: Device,
    chosen: &'a Chosen,
}

impl ModuleVisitor for GradientCollector<'_> {
    fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
        if !self.chosen.has(param.id) {
            return;
        }
        let n = param.dims().iter().product::<usize>();
        self.parts.push(match self.gradients.remove::<R>(param.id) {
            Some(gradient) => gradient.reshape([n]),
            None => Tensor::zeros([n], &self.device),
        });
    }
}

struct Writer<'a> {
    parameters: &'a Tensor<1>,
    chosen: &'a Chosen,
    offset: usize,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        if !self.chosen.has(param.id) {
            return param;
        }
        let shape = param.dims();
        let n = shape.iter().product::<usize>();
        let value = self.parameters.clone().narrow(0, self.offset, n).reshape(shape);
        self.offset += n;
        let value = match param.val().gradient_checkpointing_strategy() {
            Some(strategy) => Tensor::from_inner(value)
                .with_gradient_checkpointing_strategy(strategy)
                .require_grad(),
            None => value,
        };
        Param::initialized(param.id, value)
    }
}
