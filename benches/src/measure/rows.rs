//! The rows that the compared model answers itself: rungs, routed rows, controls.

use super::{BATCH, MeasureError, Plan, check};
use crate::compare::observation::{Answer, Flops, Group, Part, RowHead};
use crate::compare::store::{Entry, Store};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use visor_core::cost::Scopes;
use visor_core::{BudgetRequest, Patches, Thrift};
use visor_runtime::{Decided, Event, Level, Request};
use visor_train::data::{Item, ItemPicture};

/// The name of a routed row.
pub(super) fn auto_name(thrift: Option<Thrift>) -> String {
    thrift.map_or_else(|| "auto".to_owned(), |thrift| format!("auto@{thrift}"))
}

/// The name of a rung whose cross-attention reads chosen patches.
pub(super) fn patches_name(rung: &str, patches: Patches) -> String {
    format!("{rung}+{patches}")
}

/// Answers a batch of items.
type Answering<'a> = &'a mut dyn FnMut(&[Item]) -> Result<Vec<Answer>, MeasureError>;

/// Pictures that a control shows in place of an item's own.
#[derive(Clone, Copy)]
enum Shown {
    Blank,
    Swapped,
}

impl Plan<'_> {
    /// Asks every rung every question.
    pub(super) fn rung_rows(
        &self,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        for rung in &self.rungs {
            let head = head(rung, Group::Rung, format!("every question at {rung}"));
            self.fill(store, head, stop, tell, &mut |items| self.ask(items, items, rung))?;
        }
        Ok(())
    }

    /// Asks every rung every question, with the patches that each question chooses.
    pub(super) fn patch_rows(
        &self,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        let plain = self.rungs.iter().filter(|rung| self.reads_everything(rung));
        for (rung, &patches) in plain.flat_map(|r| self.patches.iter().map(move |p| (r, p))) {
            let what = match patches {
                Patches::Auto => "as many patches as each question needs".to_owned(),
                fixed => format!("{fixed} patches a question"),
            };
            let name = patches_name(rung, patches);
            let head = head(&name, Group::Patches, format!("{what}, at {rung}"));
            self.fill(store, head, stop, tell, &mut |items| {
                self.ask_with(items, items, rung, &|_| patches)
            })?;
        }
        Ok(())
    }

    /// Asks the policy every question, at every thrift, and looks up what the chosen rung answered.
    pub(super) fn auto_rows(
        &self,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        for &thrift in &self.thrifts {
            let about = match thrift {
                None => "the policy chooses for every question, at its own thrift".to_owned(),
                Some(thrift) => format!("the policy chooses for every question, thrift {thrift}"),
            };
            let name = auto_name(thrift);
            let head = head(&name, Group::Auto, about);
            self.route(store, head, &self.data.items, thrift, stop, tell)?;
        }
        if let Some(&thrift) = self.thrifts.first() {
            // Within a family, so that what the words tell stays as it is.
            let shown = swapped_within_families(&self.data.items);
            let about = "the policy decides on another picture of the same family".to_owned();
            let head = head("swapped-policy", Group::Control, about);
            self.route(store, head, &shown, thrift, stop, tell)?;
        }
        Ok(())
    }

    /// Answers to blank and to swapped pictures, which tell what words alone tell, and to a part of
    /// the patches that nothing chose.
    pub(super) fn control_rows(
        &self,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        let (Some(lowest), Some(rung)) = (self.rungs.first(), self.rungs.last()) else {
            return Ok(());
        };
        for rung in if lowest == rung { vec![rung] } else { vec![lowest, rung] } {
            for one_in in [2, 4].into_iter().filter_map(NonZeroUsize::new) {
                self.random_row(rung, one_in, store, stop, tell)?;
            }
        }
        let controls = [
            ("blank", Shown::Blank, "a blank picture"),
            ("swapped", Shown::Swapped, "another's picture"),
        ];
        for (word, shown, about) in controls {
            let pictures = match shown {
                Shown::Blank => visor_train::data::blank(&self.data.items),
                Shown::Swapped => swapped(&self.data.items),
            };
            let head =
                head(&format!("{word}@{rung}"), Group::Control, format!("{about}, at {rung}"));
            self.fill(store, head, stop, tell, &mut |items| {
                let first = self.index_of(items);
                let shown = &pictures[first..first + items.len()];
                self.ask(items, shown, rung)
            })?;
        }
        Ok(())
    }

    /// Answers of a rung whose cross-attention reads some patches at random, others for every
    /// question. Nothing of the kind is asked of a pair, which says itself what is read.
    fn random_row(
        &self,
        rung: &str,
        one_in: NonZeroUsize,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        if !self.reads_everything(rung) {
            return Ok(());
        }
        let about = format!("one patch in {one_in} at random is read, at {rung}");
        let head = head(&format!("random-1/{one_in}@{rung}"), Group::Control, about);
        self.fill(store, head, stop, tell, &mut |items| {
            let first = self.index_of(items) as u64;
            let patches = |offset| Patches::Random { one_in, draw: first + offset };
            self.ask_with(items, items, rung, &patches)
        })
    }

    /// Whether a rung is none of the pairs with a number of patches.
    fn reads_everything(&self, rung: &str) -> bool {
        let ladder = self.runner.card().ladder.as_ref();
        let rung = ladder.and_then(|ladder| Some(ladder.rung(ladder.by_name(rung)?)));
        rung.is_some_and(|rung| rung.patches().is_none())
    }

    /// Asks `items` at a rung with the pictures of `shown`, which are read whole.
    pub(super) fn ask(
        &self,
        items: &[Item],
        shown: &[Item],
        rung: &str,
    ) -> Result<Vec<Answer>, MeasureError> {
        self.ask_with(items, shown, rung, &|_| Patches::All)
    }

    /// The same, reading the patches that are said for each place in the batch.
    fn ask_with(
        &self,
        items: &[Item],
        shown: &[Item],
        rung: &str,
        patches: &dyn Fn(u64) -> Patches,
    ) -> Result<Vec<Answer>, MeasureError> {
        let budget = BudgetRequest::Rung(rung.to_owned());
        let failed = |item: &Item, because| MeasureError::Question { id: item.id.clone(), because };
        let mut batch = Vec::with_capacity(items.len());
        for ((item, shown), place) in items.iter().zip(shown).zip(0..) {
            let request = self.request(item, shown, budget.clone(), None)?;
            let request = Request { patches: patches(place), ..request };
            batch.push(self.runner.prepare(request).map_err(|error| failed(item, error))?);
        }
        let outcomes = self.runner.answer_batch(batch);
        let answers = items.iter().zip(outcomes).map(|(item, outcome)| {
            let outcome = outcome.map_err(|error| failed(item, error))?;
            Ok(Answer {
                score: Some(item.score(&outcome.text)),
                rung: None,
                flops: flops(&outcome.cost.cold),
                self_attention_layers: outcome.decided.self_attention_layers.len() as u16,
            })
        });
        answers.collect()
    }

    fn request(
        &self,
        item: &Item,
        shown: &Item,
        budget: BudgetRequest,
        thrift: Option<Thrift>,
    ) -> Result<Request, MeasureError> {
        let settings = self.generation();
        let budget = Some(budget);
        Ok(Request { budget, thrift, settings, ..item.request_about(&shown.pictures)? })
    }

    /// What the policy decides on each item with the pictures of `shown`.
    fn route(
        &self,
        store: &mut Store,
        head: RowHead,
        shown: &[Item],
        thrift: Option<Thrift>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        // What each rung answered is there already.
        let rungs = self.rungs.iter();
        let known: BTreeMap<String, Vec<Option<f32>>> = rungs
            .map(|rung| {
                let scores = store.answers(rung).iter().map(|answer| answer.score).collect();
                (rung.clone(), scores)
            })
            .collect();
        self.fill(store, head, stop, tell, &mut |items| {
            let first = self.index_of(items);
            let mut answers = Vec::with_capacity(items.len());
            for (offset, item) in items.iter().enumerate() {
                let index = first + offset;
                let failed = |because| MeasureError::Question { id: item.id.clone(), because };
                let request = self.request(item, &shown[index], BudgetRequest::Auto, thrift)?;
                let prepared = self.runner.prepare(request).map_err(failed)?;
                let costs = prepared.costs().clone();
                let decided = decided(self.runner.generate(prepared)).map_err(failed)?;
                let Level::Rung(rung) = decided.level else { return Err(MeasureError::NoLadder) };
                answers.push(Answer {
                    score: known.get(&decided.name).and_then(|scores| scores[index]),
                    rung: Some(rung.index() as u16),
                    flops: flops(&costs.rung(rung).scopes),
                    self_attention_layers: decided.self_attention_layers.len() as u16,
                });
            }
            Ok(answers)
        })
    }

    fn index_of(&self, items: &[Item]) -> usize {
        let id = items.first().map(|item| &item.id);
        self.data.items.iter().position(|item| Some(&item.id) == id).unwrap_or(0)
    }

    /// Declares a row and lets `answer` do what is left of it, a batch at a time.
    fn fill(
        &self,
        store: &mut Store,
        head: RowHead,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
        answer: Answering<'_>,
    ) -> Result<(), MeasureError> {
        let row = head.name.clone();
        if !store.has_row(&row) {
            store.append(Entry::Row(head))?;
        }
        let n = self.data.items.len();
        let mut first = store.answered(&row);
        while first < n {
            check(stop)?;
            // A line of the store is worth several batches.
            let last = (first + 8 * BATCH).min(n);
            let mut answers = Vec::with_capacity(last - first);
            for items in self.data.items[first..last].chunks(BATCH) {
                answers.extend(answer(items)?);
            }
            store.append(Entry::Answers(Part { row: row.clone(), first, answers }))?;
            first = last;
            tell(&row, first, n);
        }
        Ok(())
    }
}

fn head(name: &str, group: Group, about: String) -> RowHead {
    RowHead { name: name.to_owned(), group, about, network: None, visual_tokens: None }
}

/// The first event of a generation; the rest is not run.
fn decided(
    mut generation: impl Iterator<Item = Result<Event, visor_runtime::RunError>>,
) -> Result<Decided, visor_runtime::RunError> {
    match generation.next() {
        Some(Ok(Event::Decided(decided))) => Ok(decided),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => unreachable!("a generation begins with its decision"),
    }
}

pub(super) fn flops(scopes: &Scopes) -> Flops {
    Flops {
        end_to_end: scopes.end_to_end.0,
        lm_prefill: scopes.lm_prefill.0,
        vision_side: scopes.vision_side.0,
        decode_step: scopes.decode_step.0,
    }
}

/// Every item with the pictures of the next one that is about others, where there is one.
fn swapped(items: &[Item]) -> Vec<Item> {
    let next = |index: usize| {
        let behind = (1..items.len()).map(|by| &items[(index + by) % items.len()].pictures);
        let own: &Vec<ItemPicture> = &items[index].pictures;
        behind.into_iter().find(|other| *other != own).unwrap_or(own).clone()
    };
    items.iter().enumerate().map(|(i, item)| Item { pictures: next(i), ..item.clone() }).collect()
}

/// Every item with the pictures of another one of its family.
fn swapped_within_families(items: &[Item]) -> Vec<Item> {
    let mut families: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        families.entry(&item.family).or_default().push(index);
    }
    let mut shown = items.to_vec();
    for members in families.values() {
        // A half turn, so that light and heavy pictures meet by chance.
        let turn = members.len() / 2 + 1;
        for (place, &index) in members.iter().enumerate() {
            let other = members[(place + turn) % members.len()];
            shown[index].pictures.clone_from(&items[other].pictures);
        }
    }
    shown
}
