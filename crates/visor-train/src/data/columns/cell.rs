//! Where a picture lies in a table.

use super::leaf::Leaf;
use super::record::Value;
use super::{guarded, open};
use parquet::data_type::ByteArray;
use parquet::file::reader::FileReader;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a picture lies in a table: its bytes can be read again, at the cost of the footer and of
/// the page that they lie in; the pages before that are passed over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    path: Arc<Path>,
    group: usize,
    /// In its group.
    row: usize,
    /// Which of the columns.
    leaf: usize,
    /// In the file, counted from 1.
    number: usize,
}

impl Cell {
    pub(super) fn new(
        path: &Arc<Path>,
        (group, row): (usize, usize),
        leaf: usize,
        number: usize,
    ) -> Self {
        Self { path: Arc::clone(path), group, row, leaf, number }
    }

    /// The file of the table.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes that lie there.
    pub(in crate::data) fn bytes(&self) -> Result<Vec<u8>, String> {
        let reader = open(&self.path)?;
        let changed = || format!("{self} is no picture any more");
        if self.group >= reader.num_row_groups() {
            return Err(changed());
        }
        let value = guarded(|| {
            let group = reader.get_row_group(self.group)?;
            Leaf::at(&*group, self.leaf, self.row)?.next()
        });
        match value.map_err(|because| format!("{self}: {because}"))? {
            Value::Bytes(bytes) => Ok(bytes.data().to_vec()),
            _ => Err(changed()),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, row {}", self.path.display(), self.number)
    }
}

/// A picture in a row that is being read.
#[derive(Clone, Debug)]
pub(in crate::data) struct Embedded {
    /// Where it lies.
    pub(in crate::data) cell: Cell,
    pub(super) bytes: ByteArray,
}

impl Embedded {
    /// The file that it would be.
    pub(in crate::data) fn bytes(&self) -> &[u8] {
        self.bytes.data()
    }
}
