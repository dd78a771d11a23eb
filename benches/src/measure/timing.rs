//! How long requests take, budget beside budget: rows take turns on the same questions, in another
//! order each time, so that no row has the quiet minutes to itself.

use super::{MeasureError, Plan, check, memory, rows};
use crate::compare::observation::TimingSample;
use crate::compare::store::{Entry, Store};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use visor_core::{BudgetRequest, Thrift};
use visor_runtime::{Request, Timing};

/// Requests of each row before the first that counts.
pub const WARM_UP: usize = 5;

/// In which order rows take turns, for people.
pub const ORDER: &str = "rows take turns on each question, the first row moves on by one each time";

/// Requests over which memory is watched.
const WATCHED: usize = 8;

struct Timed {
    row: String,
    budget: BudgetRequest,
    thrift: Option<Thrift>,
}

impl Plan<'_> {
    /// Times every rung and the main routed row, one request at a time as a user would.
    pub(super) fn times(
        &self,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        let mut all: Vec<Timed> = self
            .rungs
            .iter()
            .map(|rung| {
                let budget = BudgetRequest::Rung(rung.clone());
                Timed { row: rung.clone(), budget, thrift: None }
            })
            .collect();
        all.extend(self.thrifts.first().map(|&thrift| Timed {
            row: rows::auto_name(thrift),
            budget: BudgetRequest::Auto,
            thrift,
        }));
        let done = all.iter().all(|timed| store.timed(&timed.row) >= self.timed);
        if self.timed == 0 || done {
            return Ok(());
        }
        let mut samples: Vec<Vec<TimingSample>> = vec![Vec::new(); all.len()];
        let n = self.data.items.len();
        for round in 0..WARM_UP + self.timed {
            check(stop)?;
            // Spread over the data, whatever order these are in.
            let item = round * 7919 % n;
            for turn in 0..all.len() {
                let place = (round + turn) % all.len();
                let sample = self.time(&all[place], item)?;
                if round >= WARM_UP {
                    samples[place].push(sample);
                }
            }
            tell("timing", round + 1, WARM_UP + self.timed);
        }
        for (timed, samples) in all.iter().zip(samples) {
            store.append(Entry::Timing { row: timed.row.clone(), samples })?;
            memory::forget_peak();
            for item in 0..WATCHED.min(n) {
                self.time(timed, item)?;
            }
            if let Some(bytes) = memory::peak() {
                store.append(Entry::PeakMemory { row: timed.row.clone(), bytes })?;
            }
        }
        Ok(())
    }

    fn time(&self, timed: &Timed, index: usize) -> Result<TimingSample, MeasureError> {
        let item = &self.data.items[index];
        let failed = |because| MeasureError::Question { id: item.id.clone(), because };
        let settings = self.generation();
        let budget = Some(timed.budget.clone());
        let request = Request { budget, thrift: timed.thrift, settings, ..item.request()? };
        let prepared = self.runner.prepare(request).map_err(failed)?;
        let outcome = self.runner.generate(prepared).finish().map_err(failed)?;
        Ok(sample(index, &outcome.timing))
    }
}

fn sample(item: usize, timing: &Timing) -> TimingSample {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    TimingSample {
        item: item as u64,
        preprocess: nanos(timing.preprocess),
        encode: nanos(timing.encode),
        prefill: nanos(timing.prefill),
        decode: nanos(timing.decode),
        first_token: nanos(timing.first_token),
        total: nanos(timing.total),
    }
}
