//! A matrix that is filled row by row: its values are never whole beside it.

use super::dynamic::Gathering;
use super::format::{Bf16, F16, Half, Int8, Single};
use super::int8::{Quantised, expect_width};
use super::pairs::Pairs;
use super::panels::Panels;
use super::vnni::Vnni;
use super::{Matrix, MatrixError, Store};

/// How a [`Matrix`] holds its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixFormat {
    /// As they are.
    Single,
    /// In the upper halves of their single precision: 8 bits of fraction. Rows that a product takes
    /// are rounded so too where the processor multiplies such numbers (AVX512-BF16).
    Bf16,
    /// The same weights. Rows that a product takes stay in single precision. For what is read a row
    /// at a time too, as a table of embeddings that also scores.
    Bf16Rows,
    /// In IEEE half precision: 11 bits of fraction, at most 65504.
    F16,
    /// In eight bits, with a factor an output. Rows that a product takes are rounded to eight bits
    /// too, each in steps of its own, and sums are taken in whole numbers.
    Int8,
    /// In eight bits, with a factor an output. Rows that a product takes stay in single precision.
    /// For what is read a row at a time too, as a table of embeddings that also scores.
    Int8Rows,
}

/// Fills a [`Matrix`] from its first row to its last. Values come in pieces of any length, and of
/// one tensor or of several whose rows lie one behind the other: each goes to its place at once, but
/// for those of a row that has not ended.
pub struct MatrixBuilder {
    filling: Filling,
    outputs: usize,
    inputs: usize,
    /// Values that have come.
    got: usize,
    /// Those of the row that has not ended.
    begun: Vec<f32>,
}

enum Filling {
    Single(Panels<Single, 2>),
    Bf16(Panels<Bf16, 2>),
    Pairs(Pairs),
    F16(Panels<F16, 2>),
    Int8(Gathering),
    Int8Rows(Panels<Int8, 4>, Vec<f32>),
}

impl MatrixBuilder {
    /// Nothing yet of `[outputs, inputs]` values: memory is taken when the first come.
    ///
    /// # Errors
    /// [`MatrixError::Size`] of more values than can be counted, [`MatrixError::TooWide`].
    pub fn new(
        format: MatrixFormat,
        dims @ [outputs, inputs]: [usize; 2],
    ) -> Result<Self, MatrixError> {
        if outputs.checked_mul(inputs).is_none() {
            return Err(MatrixError::Size { outputs, inputs, got: 0 });
        }
        if matches!(format, MatrixFormat::Int8 | MatrixFormat::Int8Rows) {
            expect_width(inputs)?;
        }
        let filling = match format {
            MatrixFormat::Single => Filling::Single(Panels::new(dims)),
            MatrixFormat::Bf16 => {
                Pairs::new(dims).map_or_else(|| Filling::Bf16(Panels::new(dims)), Filling::Pairs)
            }
            MatrixFormat::Bf16Rows => Filling::Bf16(Panels::new(dims)),
            MatrixFormat::F16 => Filling::F16(Panels::new(dims)),
            MatrixFormat::Int8 => Filling::Int8(Gathering::new(dims, Vnni::detect())),
            MatrixFormat::Int8Rows => Filling::Int8Rows(Panels::new(dims), Vec::new()),
        };
        Ok(Self { filling, outputs, inputs, got: 0, begun: Vec::new() })
    }

    /// Puts values behind those that have come. After an error the builder is of no use.
    ///
    /// # Errors
    /// [`MatrixError::Size`] of more values than there are places, [`MatrixError::Overflow`] of one
    /// that rounds to infinity, [`MatrixError::Memory`].
    pub fn push(&mut self, values: &[f32]) -> Result<(), MatrixError> {
        let &mut Self { outputs, inputs, got, .. } = self;
        if values.len() > outputs * inputs - got {
            return Err(MatrixError::Size {
                outputs,
                inputs,
                got: got.saturating_add(values.len()),
            });
        }
        self.got += values.len();
        let mut values = values;
        if !self.begun.is_empty() {
            let missing = values.len().min(inputs - self.begun.len());
            let (ending, rest) = values.split_at(missing);
            self.begun.extend_from_slice(ending);
            if self.begun.len() < inputs {
                return Ok(());
            }
            let row = std::mem::take(&mut self.begun);
            self.put(&row)?;
            values = rest;
        }
        let (rows, begun) = values.split_at(values.len() - values.len() % inputs.max(1));
        self.begun.extend_from_slice(begun);
        self.put(rows)
    }

    /// Puts whole rows behind those that are there.
    fn put(&mut self, rows: &[f32]) -> Result<(), MatrixError> {
        let inputs = self.inputs;
        if rows.is_empty() {
            return Ok(());
        }
        let whole = || Quantised::nearest(rows, [rows.len() / inputs, inputs]);
        match &mut self.filling {
            Filling::Single(panels) => panels.push(rows, &|value, _| Ok(value)),
            Filling::Bf16(panels) => panels.push(rows, &Bf16::round),
            Filling::Pairs(pairs) => pairs.push(rows),
            Filling::F16(panels) => panels.push(rows, &F16::round),
            Filling::Int8(all) => all.push(&whole()?),
            Filling::Int8Rows(panels, scales) => {
                let whole = whole()?;
                scales.extend_from_slice(whole.scales());
                panels.push(whole.values(), &|value, _| Ok(value))
            }
        }
    }

    /// The matrix, of which every row has come.
    ///
    /// # Errors
    /// [`MatrixError::Size`] if some have not.
    pub fn finish(self) -> Result<Matrix, MatrixError> {
        let Self { filling, outputs, inputs, got, .. } = self;
        super::expect_size(got, outputs, inputs)?;
        let store = match filling {
            Filling::Single(panels) => Store::Single(panels),
            Filling::Bf16(panels) => Store::Bf16(panels),
            Filling::Pairs(pairs) => Store::Pairs(pairs),
            Filling::F16(panels) => Store::F16(panels),
            Filling::Int8(weights) => Store::Int8(weights.finish()),
            Filling::Int8Rows(panels, scales) => Store::Int8Rows(panels, scales),
        };
        Ok(Matrix { store, outputs, inputs })
    }
}

impl std::fmt::Debug for MatrixBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { outputs, inputs, got, .. } = self;
        write!(f, "MatrixBuilder({outputs} x {inputs}, {got} values so far)")
    }
}
