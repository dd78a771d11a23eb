//! The cross product of what is measured, and the order of its turns.
//!
//! Whatever is compared takes turns: a round visits every combination and the peer beside it, and
//! each round begins one further on, so that nobody has the quiet minutes to himself. A turn runs
//! all stages of one answer in their order.

use super::SpeedError;
use super::ceilings::{Ceiling, Probe};
use super::clock::Clock;
use super::peer::{Peer, Task};
use super::stage::{Stage, Turn};
use super::subject::{Example, Level, Subject};
use crate::measure::memory;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use visor_core::Schedule;
use visor_model::{AtDecision, Decoding, EncodedPictures, VisorModel};
use visor_processor::{EncodedPrompt, ProcessedPicture};
use visor_runtime::{
    Backbone, BackboneError, Cancel, Encode, Prefill, Remaining, Start, Step as DecodeStep,
};

/// In which order turns are taken, for people.
pub const ORDER: &str =
    "a round visits every combination, the peer after each; the first of a round moves on by one";

/// What is measured, and how often.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Devices by the names that they were asked for with, and a model on each; number formats of a
    /// device are models of their own.
    pub subjects: Vec<(String, Subject<'a>)>,
    /// Budgets by name.
    pub levels: Vec<(String, Level)>,
    /// Stages that rows are made of.
    pub stages: Vec<Stage>,
    /// Numbers of tiles.
    pub tiles: Vec<usize>,
    /// Requests at once.
    pub batches: Vec<usize>,
    /// Threads on the processor.
    pub threads: Vec<usize>,
    /// What time is measured by.
    pub clock: Clock,
    /// Text tokens of a prompt.
    pub text_tokens: usize,
    /// Decode steps.
    pub new_tokens: usize,
    /// Rounds before the first that counts.
    pub warm_up: usize,
    /// Rounds that count.
    pub repetitions: usize,
}

/// A row's place in the cross product; the budget is none for stages of pictures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Tiles of a picture.
    pub tiles: usize,
    /// Requests at once.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// The device.
    pub device: String,
    /// The number format of weights.
    pub dtype: String,
    /// The stage.
    pub stage: Stage,
    /// Which budget, counted in the order of the plan.
    pub level: Option<usize>,
}

/// What was seen of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Seconds, in the order of the rounds.
    pub seconds: Vec<f64>,
    /// The peer's, in the same order; empty without a peer, or where it has no such stage.
    pub peer: Vec<f64>,
    /// Most memory that was resident while the stage ran.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes that are kept of a picture, where that is what the stage is about.
    pub kept_bytes: Option<u64>,
}

/// All that was seen.
#[derive(Debug, Default)]
pub struct Observed {
    /// By row.
    pub rows: BTreeMap<Key, Seen>,
    /// One a number of threads.
    pub ceilings: Vec<Ceiling>,
}

struct Group {
    subject: usize,
    example: usize,
    batch: usize,
    pool: usize,
}

/// Is told how far the rounds are, and out of how many turns.
pub type Tell<'a> = &'a mut dyn FnMut(&str, usize, usize);

impl<'a> Plan<'a> {
    /// The examples of the plan, one a number of tiles.
    ///
    /// # Errors
    /// If a number of tiles cannot be had, or the context is too short.
    pub fn examples(&self) -> Result<Vec<Example>, SpeedError> {
        let Some((_, subject)) = self.subjects.first() else { return Ok(Vec::new()) };
        let tiles = self.tiles.iter();
        tiles.map(|&n| subject.example(n, self.text_tokens, self.new_tokens)).collect()
    }

    /// Measures everything.
    ///
    /// # Errors
    /// If the model or the peer fails, or `stop` is raised.
    pub fn run(
        &self,
        examples: &[Example],
        mut peer: Option<&mut Peer>,
        stop: &AtomicBool,
        tell: Tell<'_>,
    ) -> Result<Observed, SpeedError> {
        if self.clock == Clock::Cpu && self.threads.iter().any(|&threads| threads > 1) {
            return Err(SpeedError::CpuTimeOfThreads);
        }
        let pools = self.threads.iter().map(|&threads| pool(threads));
        let pools = pools.collect::<Result<Vec<_>, SpeedError>>()?;
        let groups = self.groups();
        let mut probe =
            self.subjects.first().map(|(_, subject)| Probe::new(subject.model.device()));
        let mut observed = Observed::default();
        let rounds = self.warm_up + self.repetitions;
        for round in 0..rounds {
            for turn in 0..groups.len() {
                let Group { subject, example, batch, pool } = groups[(round + turn) % groups.len()];
                let counts = round >= self.warm_up;
                let (device, subject) = &self.subjects[subject];
                let at = Place {
                    example: &examples[example],
                    batch,
                    clock: self.clock,
                    watch: round == 0,
                };
                let own = pools[pool].install(|| self.turns(subject, &at, round, stop))?;
                let threads = self.threads[pool];
                let theirs = match &mut peer {
                    Some(peer) => Some(peer.turn(&self.task(at.example, batch, threads))?),
                    None => None,
                };
                let key = |stage, level| Key {
                    tiles: self.tiles[example],
                    batch,
                    threads,
                    device: device.clone(),
                    dtype: subject.card().dtype.to_string(),
                    stage,
                    level,
                };
                self.note(&mut observed.rows, &key, &own, theirs.as_ref(), counts);
                tell("turns", round * groups.len() + turn + 1, rounds * groups.len());
            }
            if let Some(probe) = &mut probe {
                for (index, &threads) in self.threads.iter().enumerate() {
                    let sample = pools[index].install(|| probe.sample(threads, self.clock));
                    match observed.ceilings.get_mut(index) {
                        Some(best) => *best = best.or_better(sample),
                        None => observed.ceilings.push(sample),
                    }
                }
            }
        }
        Ok(observed)
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        for subject in 0..self.subjects.len() {
            for example in 0..self.tiles.len() {
                for &batch in &self.batches {
                    for pool in 0..self.threads.len() {
                        groups.push(Group { subject, example, batch, pool });
                    }
                }
            }
        }
        groups
    }

    fn task(&self, example: &Example, batch: usize, threads: usize) -> Task {
        let &Self { clock, text_tokens, new_tokens, .. } = self;
        let visual_tokens = example.prompt.n_visual();
        let tiles = example.processed.pixels.tiles();
        Task { clock, tiles, batch, threads, text_tokens, visual_tokens, new_tokens }
    }

    fn wants(&self, stage: Stage) -> bool {
        self.stages.iter().any(|wanted| wanted.parts().contains(&stage))
    }

    /// Adds the times of a turn to their rows. The peer has one budget: it stands beside dense.
    fn note(
        &self,
        rows: &mut BTreeMap<Key, Seen>,
        key: &dyn Fn(Stage, Option<usize>) -> Key,
        own: &[(Turn, Peaks)],
        theirs: Option<&Turn>,
        counts: bool,
    ) {
        for &stage in &self.stages {
            for (level, (turn, peaks)) in own.iter().enumerate() {
                let of_pictures = stage.is_of_pictures();
                if of_pictures && level > 0 {
                    continue;
                }
                let Some(seconds) = turn.seconds(stage) else { continue };
                let row = rows.entry(key(stage, (!of_pictures).then_some(level))).or_default();
                if stage == Stage::WarmPrefill {
                    row.kept_bytes = turn.kept_bytes;
                }
                if let Some(&bytes) = peaks.get(&stage) {
                    row.peak_rss_bytes = Some(row.peak_rss_bytes.unwrap_or(0).max(bytes));
                }
                if !counts {
                    continue;
                }
                row.seconds.push(seconds);
                let beside = of_pictures || self.levels[level].1 == Level::Dense;
                // The peer has no preparing of pictures; what is summed over it is not its own.
                if beside && let Some(theirs) = theirs.and_then(|turn| turn.seconds(stage)) {
                    row.peer.push(theirs);
                }
            }
        }
    }

    /// One turn of every budget on the same pictures; the first budget moves on with the rounds.
    fn turns(
        &self,
        subject: &Subject<'_>,
        at: &Place<'_>,
        round: usize,
        stop: &AtomicBool,
    ) -> Result<Vec<(Turn, Peaks)>, SpeedError> {
        let (visual, shared) = self.look(subject, at)?;
        let n = self.levels.len();
        let mut turns = vec![shared; n];
        for offset in 0..n {
            if stop.load(Ordering::Relaxed) {
                return Err(SpeedError::Interrupted);
            }
            let level = (round + offset) % n;
            self.answer(subject, at, self.levels[level].1, &visual, &mut turns[level])?;
        }
        Ok(turns)
    }

    /// The stages of pictures, which all budgets share.
    fn look(
        &self,
        subject: &Subject<'_>,
        at: &Place<'_>,
    ) -> Result<(Vec<EncodedPictures>, (Turn, Peaks)), SpeedError> {
        let (mut turn, mut peaks) = (Turn::default(), Peaks::default());
        let mut pictures = vec![at.example.processed.clone(); at.batch];
        if self.wants(Stage::Preprocess) {
            let (processed, time) = at.timed(Stage::Preprocess, &mut peaks, || {
                let prepare = |_| {
                    let Example { picture, setting, .. } = at.example;
                    subject.processor.process_in(picture, *setting)
                };
                (0..at.batch).map(prepare).collect::<Result<Vec<ProcessedPicture>, _>>()
            });
            pictures = processed?;
            turn.preprocess = Some(time);
        }
        // Without the stage one picture is encoded, so that there is something to read.
        let is_timed = self.wants(Stage::Encode);
        pictures.truncate(if is_timed { at.batch } else { 1 });
        let (visual, time) =
            at.timed(Stage::Encode, &mut peaks, || encode(subject.model, &pictures));
        turn.encode = is_timed.then_some(time);
        Ok((visual?, (turn, peaks)))
    }

    /// The stages of a budget, on pictures that have been encoded.
    fn answer(
        &self,
        subject: &Subject<'_>,
        at: &Place<'_>,
        level: Level,
        visual: &[EncodedPictures],
        (turn, peaks): &mut (Turn, Peaks),
    ) -> Result<(), SpeedError> {
        let (model, cancel) = (subject.model, &Cancel::new());
        let start = match (level, &subject.card().ladder) {
            (Level::Rung(_, patches), Some(ladder)) => {
                Start::Budgeted { ladder, routing: None, patches }
            }
            (Level::Dense, _) | (_, None) => Start::Dense,
        };
        let (schedule, prompt) = (&subject.schedule(level), &at.example.prompt);
        let capacity = prompt.n_text() + self.new_tokens;
        let question = Question { model, start, schedule, prompt, capacity, cancel };
        if self.wants(Stage::WarmPrefill) {
            let keep = |visual: &EncodedPictures| model.keep(visual.clone(), u64::MAX);
            let kept: Vec<EncodedPictures> = visual.iter().map(keep).collect();
            question.ask(&kept, kept.len())?;
            turn.kept_bytes = kept.first().map(|kept| model.visual_bytes(kept));
            let again = || question.ask(&kept, at.batch);
            let (again, time) = at.timed(Stage::WarmPrefill, peaks, again);
            again?;
            turn.warm_prefill = Some(time);
        }
        if !self.wants(Stage::Prefill) {
            return Ok(());
        }
        let (reached, time) = at.timed(Stage::Prefill, peaks, || question.ask(visual, at.batch));
        turn.prefill = Some(time);
        let mut states = reached?;
        if !self.wants(Stage::Decode) || self.new_tokens == 0 {
            return Ok(());
        }
        let (done, time) =
            at.timed(Stage::Decode, peaks, || decode(model, &mut states, self.new_tokens));
        done?;
        turn.decode = Some((time, self.new_tokens));
        Ok(())
    }
}

/// Pictures as the layers read them.
fn encode(
    model: &VisorModel,
    pictures: &[ProcessedPicture],
) -> Result<Vec<EncodedPictures>, BackboneError> {
    let cancel = Cancel::new();
    let sample = |picture| Encode { pictures: slice::from_ref(picture), owners: vec![&cancel] };
    let samples: Vec<_> = pictures.iter().map(sample).collect();
    all_of(model.encode_batch(&samples))
}

/// So many steps of all answers together.
fn decode(
    model: &VisorModel,
    states: &mut [Decoding],
    new_tokens: usize,
) -> Result<(), BackboneError> {
    for token in 0..new_tokens {
        let token = 3 + token as u32 % 5;
        let mut steps: Vec<_> =
            states.iter_mut().map(|state| DecodeStep { state, token }).collect();
        black_box(all_of(model.decode_step_batch(&mut steps))?);
    }
    Ok(())
}

/// What is asked about each picture of a batch.
struct Question<'a> {
    model: &'a VisorModel,
    start: Start<'a>,
    schedule: &'a Schedule,
    prompt: &'a EncodedPrompt,
    capacity: usize,
    cancel: &'a Cancel,
}

impl Question<'_> {
    /// Runs all layers for so many prompts about these pictures.
    fn ask(
        &self,
        visual: &[EncodedPictures],
        batch: usize,
    ) -> Result<Vec<Decoding>, BackboneError> {
        let &Self { model, start, schedule, prompt, capacity, cancel } = self;
        let sample = |index: usize| {
            let visual = vec![&visual[index % visual.len()]];
            Prefill { prompt, visual, start, capacity, cancel }
        };
        let samples: Vec<_> = (0..batch).map(sample).collect();
        let states = all_of(model.prefill_to_decision_batch(&samples))?;
        let remaining = |state: AtDecision| Remaining { state, schedule, cancel };
        let reached = all_of(model.prefill_rest_batch(states.into_iter().map(remaining).collect()));
        Ok(reached?.into_iter().map(|(_, decoding)| decoding).collect())
    }
}

/// The most memory by stage.
type Peaks = BTreeMap<Stage, u64>;

struct Place<'a> {
    example: &'a Example,
    batch: usize,
    clock: Clock,
    /// Whether memory is watched, which disturbs times.
    watch: bool,
}

impl Place<'_> {
    /// Runs a stage and gives its seconds.
    fn timed<T>(&self, stage: Stage, peaks: &mut Peaks, work: impl FnOnce() -> T) -> (T, f64) {
        if self.watch {
            memory::forget_peak();
        }
        let mut out = None;
        let time = self.clock.seconds(|| out = Some(work()));
        if self.watch
            && let Some(bytes) = memory::peak()
        {
            peaks.insert(stage, bytes);
        }
        (out.expect("the work has run"), time)
    }
}

fn pool(threads: usize) -> Result<ThreadPool, SpeedError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|source| SpeedError::Threads { threads, source })
}

fn all_of<T>(results: Vec<Result<T, BackboneError>>) -> Result<Vec<T>, BackboneError> {
    results.into_iter().collect()
}
