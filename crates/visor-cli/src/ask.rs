//! `visor ask`: a question about pictures, answered at a budget.

mod batch;
mod generation;
mod json;
mod memory;
mod messages;
mod overlay;
mod pictures;
mod policy;
mod summary;
mod words;

use crate::ending::Usage;
use crate::interrupt::Interrupt;
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::threads::Threads;
use crate::untrained;
use anyhow::{Result, anyhow};
use batch::BatchArgs;
use clap::Args;
use generation::GenerationArgs;
use policy::PolicyArgs;
pub(crate) use policy::thrift;
use std::io::{IsTerminal, stdout};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use visor::{
    Answer, BudgetRequest, Cancel, DeviceRequest, Dtype, Event, Flops, LoadOptions, Model, Pair,
    Patches, Picture, PictureLimits, Prepared, Question,
};

/// Answer a question about pictures at a compute budget
#[derive(Args)]
pub(crate) struct Ask {
    /// The question
    #[arg(value_name = "PROMPT", required_unless_present_any = ["messages", "batch"])]
    prompt: Option<String>,

    /// A picture: PNG, JPEG, WebP, BMP or GIF; `-` reads it from standard input
    #[arg(long = "image", value_name = "PIC", conflicts_with = "messages")]
    images: Vec<PathBuf>,

    #[command(flatten)]
    model: ModelChoice,

    /// How much to compute: a rung of the model's ladder, a rung and the most patches that are read
    /// from its decision on (sa1-k8), auto to let its policy choose, or dense [default: auto where
    /// the model has a policy, else the largest rung]
    #[arg(long, value_name = "RUNG|auto|dense")]
    budget: Option<BudgetRequest>,

    /// Most GFLOPs before the first token; without --budget, the policy chooses below, or the
    /// largest rung below is taken where there is no policy
    #[arg(long, value_name = "X", value_parser = ceiling)]
    max_gflops: Option<Flops>,

    /// Most tiles that a picture is cut into, where the model cuts pictures; 1 is not at all
    /// [default: as many as the checkpoint makes]
    #[arg(long, value_name = "N")]
    max_tiles: Option<NonZeroUsize>,

    #[command(flatten)]
    policy: PolicyArgs,

    /// Patches that cross-attention may read: all, auto to let the question choose how many, or a
    /// number; anything but all needs a model with a selector
    #[arg(long, value_name = "all|auto|K", default_value = "all")]
    patches: Patches,

    /// Draw the patches that the question chose, with their scores, on its picture
    #[arg(long, value_name = "OUT.png", conflicts_with = "messages")]
    overlay: Option<PathBuf>,

    /// The device: cpu, wgpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceRequest,

    /// Number format that weights are held in: f32, f16, bf16 (cpu and cuda) or int8 (cpu alone)
    #[arg(long, default_value = "f32")]
    dtype: Dtype,

    #[command(flatten)]
    generation: GenerationArgs,

    #[command(flatten)]
    threads: Threads,

    /// A JSON file with a conversation as chat messages, in place of PROMPT and --image
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "raw_prompt"])]
    messages: Option<PathBuf>,

    /// Take PROMPT as the rendered chat template: nothing is added to it
    #[arg(long)]
    raw_prompt: bool,

    /// Print one JSON object with answer, budget, cost and times
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    batch: BatchArgs,
}

fn ceiling(text: &str) -> Result<Flops, String> {
    let giga = text.parse::<f64>().ok();
    giga.and_then(positive).ok_or_else(|| "expected a positive number".to_owned())
}

/// A ceiling of so many GFLOPs, if that is a positive number.
fn positive(giga: f64) -> Option<Flops> {
    Flops::from_giga(giga).filter(|flops| *flops > Flops(0))
}

impl Ask {
    /// A pair of a rung and a number of patches is a budget of every model that could run it.
    fn paired(&self, model: Model) -> Result<Model> {
        let Some(BudgetRequest::Rung(name)) = &self.budget else { return Ok(model) };
        let Some((ladder, pair)) = model.card().ladder.as_ref().zip(Pair::parse(name)) else {
            return Ok(model);
        };
        let known = ladder.by_name(name).is_some() || ladder.by_name(&pair.rung).is_none();
        match known || model.card().selector.is_none() {
            true => Ok(model),
            false => Ok(model.with_pairs(&[pair])?),
        }
    }

    pub(crate) fn run(&self) -> Result<()> {
        if self.batch.is_wanted()? {
            return batch::run(self, &self.batch);
        }
        let settings = self.generation.settings()?;
        let cancel = Cancel::new();
        let shown = self.shown()?;
        let question = self.question(shown.as_deref())?.patches(self.patches);
        let mut question = question.settings(settings).cancel(cancel.clone());
        if let Some(budget) = &self.budget {
            question = question.budget(budget.clone());
        }
        if let Some(ceiling) = self.max_gflops {
            question = question.ceiling(ceiling);
        }
        if let Some(max_tiles) = self.max_tiles {
            question = question.max_tiles(max_tiles);
        }
        if let Some(thrift) = self.policy.thrift() {
            question = question.thrift(thrift);
        }
        let policy = self.policy.find(self.budget.as_ref())?;
        let model_ref = self.model.find()?;
        self.threads.start()?;
        let options = LoadOptions::default().device(self.device).dtype(self.dtype).policy(policy);
        let model = self.paired(loading::load(&model_ref, &options)?)?;
        untrained::warn(&model, [self.patches]);
        let prepared = model.prepare(question).map_err(failed)?;
        if let Some(warning) = words::warning(prepared.unknown_words(), &model_ref) {
            output::note(&warning);
        }
        // Before this, Control-C ends the process, which has nothing to put in order.
        let _interrupt = Interrupt::watch(move || cancel.cancel())?;
        let plan = overlay::Plan::of(&prepared, model.card());
        let answer = self.answer(&model, prepared)?;
        if let (Some(path), Some(shown)) = (&self.overlay, &shown) {
            let decode = |bytes: &Vec<u8>| Picture::decode(bytes, &PictureLimits::default());
            let pictures = shown.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
            overlay::write(path, &pictures, &plan, &answer)?;
        }
        if self.json {
            let report = json::Report::new(&answer, &model, self.policy.thrift());
            output::answer(&serde_json::to_string(&report)?)?;
        }
        output::note(&summary::of(&answer, &model, self.policy.thrift()));
        Ok(())
    }

    /// The bytes of the pictures that an overlay is drawn on.
    fn shown(&self) -> Result<Option<Vec<Vec<u8>>>> {
        match (&self.overlay, self.patches, self.images.as_slice()) {
            (None, ..) => Ok(None),
            (Some(_), Patches::All, _) => Err(Usage::because(
                "--overlay shows the patches that a question chooses: say how many with \
                 --patches auto or --patches K",
            )),
            (Some(_), _, []) => Err(Usage::because("--overlay draws on pictures of --image")),
            (Some(_), _, images) => pictures::all(images).map(Some),
        }
    }

    /// `shown` are the pictures, where they have been read already.
    fn question(&self, shown: Option<&[Vec<u8>]>) -> Result<Question> {
        if let Some(file) = &self.messages {
            return messages::question(file);
        }
        let prompt = self.prompt.as_deref().unwrap_or_default();
        if prompt.trim().is_empty() {
            return Err(Usage::because("the prompt is empty: expected a question"));
        }
        let question =
            if self.raw_prompt { Question::rendered(prompt) } else { Question::new(prompt) };
        match shown {
            Some(shown) => Ok(shown.iter().cloned().fold(question, Question::picture_bytes)),
            None => pictures::add(question, &self.images),
        }
    }

    /// Runs the request; unless JSON is wanted, prints the answer, on a terminal while it grows.
    fn answer(&self, model: &Model, prepared: Prepared) -> Result<Answer> {
        let grows = !self.json && stdout().is_terminal();
        for event in model.generate(prepared) {
            match event {
                Ok(Event::Token { text, .. }) if grows => output::part(&text)?,
                Ok(Event::Finished(answer)) => {
                    match (self.json, grows) {
                        (true, _) => {}
                        (false, true) => output::answer("")?,
                        (false, false) => output::answer(&answer.text)?,
                    }
                    return Ok(*answer);
                }
                Ok(_) => {}
                Err(error) => {
                    if grows {
                        output::answer("")?;
                    }
                    return Err(failed(error.into()));
                }
            }
        }
        Err(anyhow!("the model ended without an answer"))
    }
}
