//! The training of a selector's weights through a frozen backbone, on the generated suite, from
//! first to last step.

use super::clip::{ClipTeacher, InWorld};
use super::progress::{Progress, StepOutcome};
use super::settings::{BackboneTraining, Settings};
use super::state::{self, Origins};
use super::step::{Course, Seen};
use super::teacher::{self, Relevance, Teacher};
use super::world::World;
use crate::error::TrainError;
use crate::optimizer::{self, FlatAdamW};
use crate::run::{LOG, Lines};
use crate::schedule::warm_cosine;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use visor_model::init::Noise;
use visor_model::selector::Selector;
use visor_model::{Network, weights};

/// What a training goes by.
#[derive(Debug)]
pub struct Lessons<'a> {
    /// The backbone and the world that it is asked about.
    pub world: &'a World<'a>,
    /// How the selector is trained.
    pub settings: Settings,
    /// What teaches it, where that is not a teacher that is trained first on pictures and captions.
    pub clip: Option<&'a ClipTeacher>,
    /// The digest of the model.
    pub base: String,
    /// The folder of the run: its state and its log.
    pub folder: &'a Path,
    /// Steps between lines of the log.
    pub log: u64,
    /// Steps between states on disk.
    pub save: u64,
}

/// A trained selector.
#[derive(Debug)]
pub struct Fitted {
    /// On a device without gradients.
    pub selector: Selector,
    /// The backbone's weights, where it learned along.
    pub network: Option<Network>,
}

/// The parts of a saved state: the selector's and, where it learns along, the backbone's.
const OF_SELECTOR: &str = "";
const OF_NETWORK: &str = "backbone.";

/// What learns, with its optimisers.
struct Pupils {
    selector: Selector,
    of_selector: FlatAdamW,
    network: Network,
    of_network: Option<FlatAdamW>,
    done: u64,
}

/// Trains a selector for the backbone of `lessons`, from the saved state if the folder holds one.
/// `device` must be one that tracks gradients.
///
/// The state is saved at the end and whenever `stop` is raised. What draws, draws by the number of
/// the step, and a teacher of captions is trained anew, to the same bits: a training that goes on
/// ends as one that was never stopped.
///
/// # Errors
/// [`TrainError::NoLadder`] of a stock model, [`TrainError::NoReader`] where nothing cross-attends,
/// [`TrainError::NonFinite`], [`TrainError::Stopped`] if `stop` was raised, or
/// [`TrainError::OtherRun`] where the state is of another training.
pub fn fit(
    lessons: &Lessons<'_>,
    device: &Device,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Progress),
) -> Result<Fitted, TrainError> {
    let &Lessons { world, settings, folder, .. } = lessons;
    let (ladder, reading) = (world.ladder()?, world.reading()?);
    let course = Course { world, device, ladder, reading, settings };
    let mut pupils = Pupils::new(lessons, device)?;
    pupils.resume(lessons)?;
    tell(Progress::Started { from: pupils.done });
    if pupils.done == settings.steps {
        return Ok(pupils.fitted());
    }
    let mut lines = Lines::open(&folder.join(LOG), pupils.done)?;
    let (seeing, captioned);
    let teacher: &dyn Relevance = match lessons.clip {
        Some(clip) => {
            seeing = InWorld { clip, world };
            &seeing
        }
        None => {
            captioned = Teacher::train(world, settings.seed, teacher::STEPS, device)?;
            &captioned
        }
    };
    while pupils.done < settings.steps {
        let outcome = pupils.step(&course, teacher)?;
        tell(Progress::Stepped(outcome));
        let (step, last) = (outcome.step, outcome.step == settings.steps);
        let stopped = stop.load(Ordering::Relaxed);
        if step.is_multiple_of(lessons.log) || last {
            lines.write(&outcome)?;
        }
        if step.is_multiple_of(lessons.save) || last || stopped {
            pupils.save(lessons)?;
        }
        if stopped && !last {
            return Err(TrainError::Stopped { step });
        }
    }
    Ok(pupils.fitted())
}

impl Pupils {
    fn new(lessons: &Lessons<'_>, device: &Device) -> Result<Self, TrainError> {
        let &Lessons { world, settings, .. } = lessons;
        let card = settings.card(world.model);
        // As a loaded selector has it.
        let eps = world.model.network().decoder().eps();
        let selector = fill(Selector::new(card, eps, device), settings.seed, device)?;
        let adam = optimizer::Settings { beta_1: 0.9, beta_2: 0.98, clip: 1.0 };
        let network = world.model.network().clone().to_device(device);
        let (network, of_network) = match settings.backbone {
            BackboneTraining::Frozen => (network.no_grad(), None),
            BackboneTraining::Joint { .. } => {
                let network = optimizer::tracked(network);
                let of_network = FlatAdamW::new(&network, adam);
                (network, Some(of_network))
            }
        };
        let of_selector = FlatAdamW::new(&selector, adam);
        Ok(Self { selector, of_selector, network, of_network, done: 0 })
    }

    /// Does the next step.
    fn step(
        &mut self,
        course: &Course<'_>,
        teacher: &dyn Relevance,
    ) -> Result<StepOutcome, TrainError> {
        let (settings, step) = (course.settings, self.done + 1);
        let (loss, seen) = course.loss(&self.network, &self.selector, teacher, self.done)?;
        let value = loss.clone().detach().into_scalar::<f32>();
        if !value.is_finite() {
            let pass = settings.supervision.word().to_owned();
            return Err(TrainError::NonFinite { step, pass, loss: value });
        }
        let share = warm_cosine(step, settings.steps);
        let mut gradients = loss.backward();
        let own = GradientsParams::from_module(&mut gradients, &self.selector);
        let gradient = self.of_selector.flatten(&self.selector, own);
        let rate = settings.learning_rate * share;
        let (selector, gradient_norm) =
            self.of_selector.step(self.selector.clone(), gradient, rate);
        self.selector = selector;
        if let (Some(optimizer), BackboneTraining::Joint { learning_rate }) =
            (&mut self.of_network, settings.backbone)
        {
            let own = GradientsParams::from_module(&mut gradients, &self.network);
            let gradient = optimizer.flatten(&self.network, own);
            let rate = learning_rate * share;
            (self.network, _) = optimizer.step(self.network.clone(), gradient, rate);
        }
        self.done = step;
        let Seen { answers, patches } = seen;
        Ok(StepOutcome { step, answers, patches, gradient_norm })
    }

    fn save(&self, lessons: &Lessons<'_>) -> Result<(), TrainError> {
        let of_network =
            self.of_network.as_ref().map(|of_network| (OF_NETWORK, of_network.state()));
        let parts = [(OF_SELECTOR, self.of_selector.state())].into_iter().chain(of_network);
        state::save(lessons.folder, &lessons.origins(), self.done, parts)
    }

    fn resume(&mut self, lessons: &Lessons<'_>) -> Result<(), TrainError> {
        let Some(mut saved) = state::open(lessons.folder, &lessons.origins())? else {
            return Ok(());
        };
        self.of_selector.restore(saved.part(OF_SELECTOR)?)?;
        self.selector = self.of_selector.write(self.selector.clone());
        if let Some(of_network) = &mut self.of_network {
            of_network.restore(saved.part(OF_NETWORK)?)?;
            self.network = of_network.write(self.network.clone());
        }
        self.done = saved.step()?;
        Ok(())
    }

    fn fitted(self) -> Fitted {
        let Self { selector, network, of_network, .. } = self;
        let network = of_network.map(|_| optimizer::plain(network));
        Fitted { selector: optimizer::plain(selector), network }
    }
}

impl Lessons<'_> {
    fn origins(&self) -> Origins<'_> {
        let teacher = self.clip.map_or("captions".to_owned(), |clip| clip.digest().to_string());
        let suite = self.world.suite.name().to_string();
        let others = vec![("model", self.base.clone()), ("suite", suite), ("teacher", teacher)];
        Origins { settings: &self.settings, others }
    }
}

/// A selector before it is trained.
pub(super) fn fill(selector: Selector, seed: u64, device: &Device) -> Result<Selector, TrainError> {
    Ok(weights::fill(selector, device, &mut |name, shape| Ok(first_values(name, shape, seed)))?)
}

/// First values of a selector's parameter: queries and keys from the same random matrix, so that
/// like is compared with like.
pub(crate) fn first_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let n = shape.iter().product();
    let own =
        |name: &str, spread: f32| Noise::new(seed, &format!("selector.{name}")).normal(n, spread);
    match *shape {
        _ if name == "sharpness" => vec![4.0],
        _ if name.ends_with("norm.weight") => vec![1.0; n],
        [_] => vec![0.0; n],
        [_, d_in] if name.ends_with("_proj.weight") => {
            let spread = (d_in as f32).powf(-0.5);
            let common = own("meet", spread);
            let noise = own(name, 0.3 * spread);
            common.into_iter().zip(noise).map(|(common, own)| common + own).collect()
        }
        [_, d_in] if name.contains("linear_2") => own(name, 0.1 * (d_in as f32).powf(-0.5)),
        [_, d_in] => own(name, (d_in as f32).powf(-0.5)),
        _ => vec![0.0; n],
    }
}
