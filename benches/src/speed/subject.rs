//! What is measured: a model, a picture that gives so many tiles, and a prompt around it.

use super::SpeedError;
use super::shapes::uniform;
use super::stage::Stage;
use std::num::NonZeroUsize;
use visor_core::cost::{Decode, DecoderShape, Flops, Keys, Prompt};
use visor_core::{LayerMode, Padding, Patches, RungId, Schedule};
use visor_model::VisorModel;
use visor_processor::{
    EncodedPrompt, ImageProcessor, Picture, PixelSize, ProcessedPicture, Setting,
};
use visor_runtime::{Backbone, DenseMode, ModelCard};

/// Text before the picture: the rest stands behind it.
const BEFORE: usize = 5;

/// A model with what its pictures are prepared by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The model.
    pub model: &'a VisorModel,
    /// How its pictures are prepared.
    pub processor: &'a ImageProcessor,
}

/// A budget that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The stock model.
    Dense,
    /// A rung, and what its cross-attention reads.
    Rung(RungId, Patches),
}

/// A picture and a prompt of a number of tiles.
#[derive(Debug)]
pub struct Example {
    /// The picture as it came.
    pub picture: Picture,
    /// What it shares its prompt with.
    pub setting: Setting,
    /// The picture as the model takes it.
    pub processed: ProcessedPicture,
    /// The prompt.
    pub prompt: EncodedPrompt,
}

impl Level {
    /// What cross-attention reads.
    pub fn patches(self) -> Patches {
        match self {
            Self::Dense => Patches::All,
            Self::Rung(_, patches) => patches,
        }
    }
}

impl Subject<'_> {
    /// What is known about the model.
    pub fn card(&self) -> &ModelCard {
        self.model.card()
    }

    /// Names and schedules of its budgets, cheapest first, dense last.
    pub fn levels(&self) -> Vec<(String, Level)> {
        let card = self.card();
        let ladder = card.ladder.iter();
        let rungs = ladder.flat_map(|ladder| {
            let level = |id| (ladder.rung(id).name().to_owned(), Level::Rung(id, Patches::All));
            ladder.ids().map(level)
        });
        let dense =
            (card.dense == DenseMode::Available).then(|| ("dense".to_owned(), Level::Dense));
        rungs.chain(dense).collect()
    }

    /// The budgets of these names; all for `all`. A rung that reads chosen patches has how many of
    /// them behind a colon: `sa0:16`, `sa0:auto`.
    ///
    /// # Errors
    /// [`SpeedError::Budget`].
    pub fn levels_called(&self, names: &[String]) -> Result<Vec<(String, Level)>, SpeedError> {
        let levels = self.levels();
        if names.iter().any(|name| name == "all") {
            return Ok(levels);
        }
        let find = |name: &String| {
            let (plain, patches) = match name.split_once(':') {
                Some((plain, patches)) => (plain, patches.parse().ok()),
                None => (name.as_str(), Some(Patches::All)),
            };
            let found = levels.iter().find(|(known, _)| known == plain).zip(patches);
            let found = found.and_then(|(&(_, level), patches)| match (level, patches) {
                (Level::Rung(id, _), _) => Some((name.clone(), Level::Rung(id, patches))),
                (Level::Dense, Patches::All) => Some((name.clone(), Level::Dense)),
                (Level::Dense, _) => None,
            });
            found.ok_or_else(|| SpeedError::Budget {
                got: name.clone(),
                known: levels.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
            })
        };
        names.iter().map(find).collect()
    }

    /// By what the layers run at a budget.
    pub fn schedule(&self, level: Level) -> Schedule {
        match (level, &self.card().ladder) {
            (Level::Rung(id, _), Some(ladder)) => ladder.schedule(id),
            (Level::Dense, _) | (_, None) => Schedule::dense(self.card().shape.decoder.n_layers),
        }
    }

    /// A picture that gives `tiles` tiles in a prompt of `n_text` text tokens, with room for
    /// `steps` more.
    ///
    /// # Errors
    /// If no picture does, or the context is too short.
    pub fn example(
        &self,
        tiles: usize,
        n_text: usize,
        steps: usize,
    ) -> Result<Example, SpeedError> {
        let (size, setting) = self.size_of(tiles)?;
        let values = uniform((size.width * size.height * 3) as usize, 128.0, 7);
        let levels = values.iter().map(|value| (value + 128.0) as u8).collect();
        let picture = Picture::from_rgb(size.width, size.height, levels)
            .expect("as many levels as the picture has");
        let processed = self.processor.process_in(&picture, setting)?;
        let card = self.card();
        let places = processed.arrangement.places(card.tile_tokens);
        let word = |i: usize| {
            let id = (3 + 7 * i as u32) % card.vocab as u32;
            if id == card.image_token { id.wrapping_sub(1) } else { id }
        };
        let before = BEFORE.min(n_text);
        let marks = std::iter::repeat_n(card.image_token, places.len());
        let ids: Vec<u32> =
            (0..before).map(word).chain(marks).chain((before..n_text).map(word)).collect();
        let prompt = EncodedPrompt::from_ids(&ids, card.image_token, &places)
            .expect("a marker a place, and text around them");
        let needed = prompt.len() + steps;
        match needed <= card.context {
            true => Ok(Example { picture, setting, processed, prompt }),
            false => Err(SpeedError::Context { needed, context: card.context }),
        }
    }

    /// The size of a picture that gives so many tiles.
    fn size_of(&self, tiles: usize) -> Result<(PixelSize, Setting), SpeedError> {
        let side = self.processor.tile_side();
        let most = |limit: Option<usize>| Setting {
            pictures: 1,
            max_tiles: limit.and_then(NonZeroUsize::new),
        };
        let sizes = || {
            (1..=8_u32)
                .flat_map(|rows| (1..=8_u32).map(move |cols| (rows, cols)))
                .map(|(rows, cols)| PixelSize { width: cols * side, height: rows * side })
        };
        let settings = [most(None), most(Some(tiles))];
        let found = settings.into_iter().find_map(|setting| {
            let fits = |size: &PixelSize| self.processor.arrange(*size, setting).tiles() == tiles;
            sizes().find(fits).map(|size| (size, setting))
        });
        found.ok_or_else(|| {
            let mut possible: Vec<usize> =
                sizes().map(|size| self.processor.arrange(size, most(None)).tiles()).collect();
            possible.sort_unstable();
            possible.dedup();
            let possible = possible.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            SpeedError::Tiles { tiles, possible }
        })
    }

    /// What a stage computes for a batch, by the formulas, and the bytes that it must at least
    /// move: weights once, in their format, keys and values once, in single precision. `None` where
    /// nothing is counted.
    pub fn work(
        &self,
        stage: Stage,
        level: Level,
        example: &Example,
        batch: usize,
        steps: usize,
    ) -> Option<(Flops, u64)> {
        let (shape, prompt) = (&self.card().shape, &example.prompt);
        let n_tiles = example.processed.pixels.tiles();
        let (n_text, n_visual) = (prompt.n_text(), prompt.n_visual());
        let n_question = prompt.question().len();
        let keys = match level {
            Level::Dense | Level::Rung(_, Patches::All) => Keys::All,
            Level::Rung(_, Patches::Count(count)) => {
                let selector = self.card().selector.map(|selector| selector.shape);
                Keys::Selected { n_keys: count.get().min(n_visual), from: 0, selector }
            }
            // How many are read is known when they have been chosen.
            Level::Rung(_, Patches::Auto | Patches::Random { .. }) => return None,
        };
        let sizes = Prompt { n_text, n_question, n_visual, n_tiles, keys };
        let (schedule, weight) = (self.schedule(level), self.card().dtype.bytes() as u64);
        // What fills up caches need not be moved.
        let (looks, padding) = (sizes.looks(), Padding::None);
        let kv = shape.decoder.kv_bytes(&schedule, n_text, n_visual, looks, 4, padding);
        let decoder = weights_that_run(&shape.decoder, &schedule);
        let (flops, bytes) = match stage {
            Stage::Encode => {
                let (encoder, connector) = (&shape.encoder, &shape.connector);
                let (d, d_ffn) = (encoder.d_model as u64, encoder.d_ffn as u64);
                let layer = 4 * d * d + 2 * d * d_ffn;
                let tokens = connector.tokens(encoder.n_patches).max(1) as u64;
                let connector = weights_of(connector.tile(encoder.n_patches)) / tokens;
                let patch = encoder.patch_values as u64 * d;
                let weights = layer * encoder.n_layers as u64 + connector + patch;
                let pixels = (3 * self.card().tile_side.pow(2) * n_tiles) as u64;
                (shape.vision(n_tiles), weight * weights + 4 * pixels * batch as u64)
            }
            Stage::Prefill => {
                let flops = shape.scopes(&schedule, sizes, None).lm_prefill + sizes.selection();
                let decoder = decoder + weights_that_make_keys(&shape.decoder, &schedule);
                (flops, weight * decoder + kv * batch as u64)
            }
            // What is kept is the whole picture's: of chosen patches nothing is counted.
            Stage::WarmPrefill if keys != Keys::All => return None,
            Stage::WarmPrefill => {
                let warm = shape.scopes(&schedule, sizes, None).lm_prefill
                    - shape.decoder.kept(&schedule, n_text, n_visual);
                (warm, weight * decoder + kv * batch as u64)
            }
            Stage::Decode => {
                let context = n_text + 1 + steps / 2;
                let at = Decode { context, n_visual, looks: sizes.looks() };
                let step = shape.decoder.decode_step(&schedule, at);
                (step, weight * decoder + kv * batch as u64)
            }
            Stage::Preprocess | Stage::FirstToken | Stage::EndToEnd => return None,
        };
        Some((flops * batch, bytes))
    }
}

/// The decoder's weights that a row of text meets, head and cross-attention's queries included.
fn weights_that_run(decoder: &DecoderShape, schedule: &Schedule) -> u64 {
    let layer = weights_of(decoder.projections(1) + decoder.ffn(1));
    let crossing = schedule.count(LayerMode::CrossAttention) as u64;
    layer * decoder.n_layers as u64
        + weights_of(decoder.cross_queries(1)) * crossing
        + weights_of(decoder.head())
}

/// Those that make keys and values for cross-attention, which a picture meets once.
fn weights_that_make_keys(decoder: &DecoderShape, schedule: &Schedule) -> u64 {
    weights_of(decoder.cross_keys(1)) * schedule.count(LayerMode::CrossAttention) as u64
}

/// The weights of products over one row.
fn weights_of(row: Flops) -> u64 {
    row.0 / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use visor_checkpoint::{Checkpoint, Source};
    use visor_model::weights::outlines;
    use visor_model::{Blueprint, Head, Network};
    use visor_runtime::device::{DeviceRequest, open};

    #[test]
    fn the_weights_that_a_prefill_reads_are_the_matrices_of_the_network() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nano");
        let checkpoint = Checkpoint::open(Source::Folder(folder)).expect("a shipped model");
        let Blueprint { config, extension, card, .. } = Blueprint::read(&checkpoint).expect("read");
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let network = Network::new(&config, extension.as_ref(), Head::Tied, &device);
        let outlines = outlines(network.decoder());
        let matrices = |which: &dyn Fn(&str) -> bool| -> usize {
            // Norms, gates and null pairs are vectors; the table of tokens is the head as well.
            let matrices = outlines.iter().filter(|outline| outline.shape.len() == 2);
            let chosen = matrices.filter(|outline| which(&outline.name));
            chosen.map(|outline| outline.shape.iter().product::<usize>()).sum()
        };
        let (decoder, ladder) = (card.shape.decoder, card.ladder.expect("a ladder"));
        let dense = Schedule::dense(decoder.n_layers);
        let lowest = ladder.schedule(ladder.cheapest());
        let read = |schedule| {
            weights_that_run(&decoder, schedule) + weights_that_make_keys(&decoder, schedule)
        };
        assert_eq!(read(&dense), matrices(&|name| !name.contains("cross")) as u64);
        assert_eq!(read(&lowest), matrices(&|_| true) as u64);
    }
}
