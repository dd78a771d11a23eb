//! Every way through a model once, before anybody waits for it: where kernels are compiled and tuned
//! for the sizes that come, the first request of a size pays for all that follow.

use crate::cancel::Cancel;
use crate::card::DenseMode;
use crate::error::RunError;
use crate::model::Backbone;
use crate::request::{PictureInput, Prepared, Request};
use crate::runner::Runner;
use std::iter;
use std::num::NonZeroUsize;
use visor_core::{BudgetRequest, Padding};
use visor_processor::Picture;

/// Words of the questions, where prompts are not filled up.
const WORDS: [usize; 4] = [8, 64, 256, 1024];
/// The longest text that a shape is warmed up for, where prompts are: a longer one is rare, and its
/// own first request pays for it.
const LONGEST: usize = 2048;
/// How many requests decode together beside one alone, where rows are filled up.
const BATCHES: [usize; 5] = [2, 3, 4, 6, 8];
/// Side of the picture in pixels.
const SIDE: u32 = 64;
/// The first token of an answer comes with the prefill, the second is a decode step.
const TOKENS: usize = 2;

impl<M: Backbone> Runner<M> {
    /// Asks about a grey picture at every rung, at dense and by the policy, as far as the model has
    /// them, in questions of several lengths that its context has room for: one for every size that
    /// prompts are filled up to, where they are, and then some together. Gives the number of
    /// questions. What is kept of pictures is kept of this one, too: a runner gets its cache later.
    ///
    /// # Errors
    /// As of a request.
    pub fn warm_up(&self, cancel: &Cancel) -> Result<usize, RunError> {
        let shortest = self.grey(WORDS[0], cancel)?;
        let beside = shortest.prompt.n_text().saturating_sub(WORDS[0]);
        let taken = beside + shortest.prompt.n_visual() + TOKENS;
        let room = self.card().context.saturating_sub(taken);
        let mut asked = 0;
        for words in lengths(self.card().padding, beside, room) {
            let prepared = self.grey(words, cancel)?;
            for budget in self.ways() {
                self.generate(self.with_budget(&prepared, budget)?).finish()?;
                asked += 1;
            }
        }
        if self.card().padding == Padding::None {
            return Ok(asked);
        }
        for samples in BATCHES {
            for answer in self.answer_batch(vec![shortest.clone(); samples]) {
                answer?;
                asked += 1;
            }
        }
        Ok(asked)
    }

    fn grey(&self, words: usize, cancel: &Cancel) -> Result<Prepared, RunError> {
        let grey = Picture::from_rgb(SIDE, SIDE, vec![128; (SIDE * SIDE * 3) as usize]);
        let grey = grey.map_err(|source| RunError::Picture { index: 0, source })?;
        let mut request = Request::new("a ".repeat(words));
        request.pictures = vec![PictureInput::Decoded(grey)];
        request.settings.max_new_tokens = NonZeroUsize::new(TOKENS);
        request.cancel = cancel.clone();
        self.prepare(request)
    }

    /// The budgets that the model has.
    fn ways(&self) -> Vec<BudgetRequest> {
        let rungs = self.card().ladder.iter().flat_map(|ladder| ladder.rungs());
        let rungs = rungs.map(|rung| BudgetRequest::Rung(rung.name().to_owned()));
        let dense = (self.card().dense == DenseMode::Available).then_some(BudgetRequest::Dense);
        rungs.chain(dense).chain(self.policy().map(|_| BudgetRequest::Auto)).collect()
    }
}

/// Words of the questions, in a prompt with so many tokens `beside` them and `room` for them. Where
/// prompts are filled up each fills one size, as far as there is room, and its first decode step the
/// same.
fn lengths(padding: Padding, beside: usize, room: usize) -> Vec<usize> {
    let room = room.max(WORDS[0]);
    match padding {
        Padding::None => WORDS.into_iter().filter(|words| *words <= room).collect(),
        Padding::Steps => {
            let [first, last] = [WORDS[0], room].map(|words| padding.prompt(beside + words));
            let last = last.min(LONGEST.max(first));
            let sizes = iter::successors(Some(first), |&size| Some(padding.rows(size + 1)));
            let sizes = sizes.take_while(|size| *size <= last);
            sizes.map(|size| room.min(size - 1 - beside)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_of_prompts_that_there_is_room_for_is_warmed_up() {
        let padding = Padding::Steps;
        for (beside, room) in [(5, 60), (20, 400), (3, 100_000), (90, 0)] {
            let sizes = |words: &usize| padding.prompt(beside + words);
            let warm: Vec<usize> = lengths(padding, beside, room).iter().map(sizes).collect();
            let longest = (LONGEST - 1).min(beside + room.max(WORDS[0]));
            let mut wanted: Vec<usize> =
                (beside + WORDS[0]..=longest).map(|n_text| padding.prompt(n_text)).collect();
            wanted.dedup();
            assert_eq!(warm, wanted, "{beside} and {room}");
        }
        assert_eq!(lengths(Padding::None, 5, 300), [8, 64, 256]);
    }
}
