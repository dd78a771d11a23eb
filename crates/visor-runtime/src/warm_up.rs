//! Every way through a model once, before anybody waits for it: where kernels are compiled and tuned
//! for the sizes that come, the first request of a size pays for all that follow.

use crate::cancel::Cancel;
use crate::card::DenseMode;
use crate::error::RunError;
use crate::model::Backbone;
use crate::request::{PictureInput, Prepared, Request};
use crate::runner::Runner;
use std::num::NonZeroUsize;
use visor_core::BudgetRequest;
use visor_processor::Picture;

/// Words of the questions. Between two of them kernels are those of the larger.
const WORDS: [usize; 4] = [8, 64, 256, 1024];
/// Side of the picture in pixels.
const SIDE: u32 = 64;
/// The first token of an answer comes with the prefill, the second is a decode step.
const TOKENS: usize = 2;

impl<M: Backbone> Runner<M> {
    /// Asks about a grey picture at every rung, at dense and by the policy, as far as the model has
    /// them, in questions of several lengths that its context has room for. Gives the number of
    /// questions. What is kept of pictures is kept of this one, too: a runner gets its cache later.
    ///
    /// # Errors
    /// As of a request.
    pub fn warm_up(&self, cancel: &Cancel) -> Result<usize, RunError> {
        let shortest = self.grey(WORDS[0], cancel)?;
        let beside = shortest.prompt.n_text().saturating_sub(WORDS[0]) + shortest.prompt.n_visual();
        let room = self.card().context.saturating_sub(beside + TOKENS);
        let mut asked = 0;
        for words in WORDS.into_iter().filter(|words| *words <= room.max(WORDS[0])) {
            let prepared = self.grey(words, cancel)?;
            for budget in self.ways() {
                self.generate(self.with_budget(&prepared, budget)?).finish()?;
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
