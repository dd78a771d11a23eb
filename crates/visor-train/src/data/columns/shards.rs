//! The files that a split of a dataset lies in.

use super::leaf::{self, Leaf, plain};
use super::record::Record;
use super::{guarded, open};
use crate::error::TrainError;
use parquet::file::reader::FileReader;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a split in order, which have the same columns.
#[derive(Debug)]
pub(in crate::data) struct Shards {
    /// At least one.
    paths: Vec<Arc<Path>>,
    /// Columns by their plain names, with their types.
    columns: Vec<(String, String)>,
}

impl Shards {
    /// The files of `split` in the first of the folders `places` of `folder` that holds any; `""`
    /// is the folder itself.
    ///
    /// They are called `SPLIT-00000-of-00004.parquet`, with anything behind a further hyphen, or
    /// `SPLIT.parquet` where there is one; or `0000.parquet` in a folder `SPLIT`, as the hub
    /// converts datasets.
    ///
    /// # Errors
    /// If one is missing, there twice, damaged, or has other columns than the first.
    pub(in crate::data) fn find(
        folder: &Path,
        places: &[&str],
        split: &str,
    ) -> Result<Option<Self>, TrainError> {
        for place in places {
            let place = folder.join(place);
            let mut named = tables(&place)?;
            named.retain(|path| {
                let rest = stem(path).strip_prefix(split);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            });
            if !named.is_empty() {
                complete(&place, &named, |path| numbered(stem(path), split))?;
                return Self::alike(named).map(Some);
            }
            let place = place.join(split);
            let converted = tables(&place)?;
            if !converted.is_empty() {
                let all = converted.len();
                let number = |path: &PathBuf| Some((stem(path).parse().ok()?, all));
                complete(&place, &converted, number)?;
                return Self::alike(converted).map(Some);
            }
        }
        Ok(None)
    }

    fn alike(paths: Vec<PathBuf>) -> Result<Self, TrainError> {
        let mut found = Self { paths: Vec::new(), columns: Vec::new() };
        for path in paths {
            let unusable = |because| TrainError::Unusable { path: path.clone(), because };
            let columns = columns(&path).map_err(unusable)?;
            if let Some(first) = found.paths.first() {
                let other = |(name, _): &(String, String)| format!("`{name}`");
                let mine = columns.iter().filter(|column| !found.columns.contains(column));
                let theirs = found.columns.iter().filter(|column| !columns.contains(column));
                let mut differing: Vec<String> = mine.chain(theirs).map(other).collect();
                differing.sort();
                differing.dedup();
                if !differing.is_empty() {
                    return Err(unusable(format!(
                        "{} differ from those of `{}`: expected shards with the same columns",
                        differing.join(", "),
                        first.display()
                    )));
                }
            }
            found.columns = columns;
            found.paths.push(path.into());
        }
        Ok(found)
    }

    /// Whether there is a column of this name.
    pub(in crate::data) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == column)
    }

    /// Reads the rows, of each the columns `columns`.
    ///
    /// # Errors
    /// Those of `take`; if a column is missing, or a file is damaged.
    pub(in crate::data) fn read(
        &self,
        columns: &[&str],
        mut take: impl FnMut(&Record<'_>) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let mut ordinal = 0;
        for path in &self.paths {
            let unusable = |because| TrainError::Unusable { path: path.to_path_buf(), because };
            let reader = open(path).map_err(unusable)?;
            let schema = reader.metadata().file_metadata().schema_descr_ptr();
            let leaves = columns.iter().map(|column| leaf::find(&schema, column));
            let leaves: Vec<usize> = leaves.collect::<Result<_, _>>().map_err(unusable)?;
            let mut number = 0;
            for group in 0..reader.num_row_groups() {
                let rows = reader.metadata().row_group(group).num_rows();
                let begun = guarded(|| {
                    let group = reader.get_row_group(group)?;
                    leaves.iter().map(|&leaf| Leaf::new(&*group, leaf)).collect()
                });
                let mut begun: Vec<Leaf> = begun.map_err(unusable)?;
                for row in 0..usize::try_from(rows).unwrap_or_default() {
                    number += 1;
                    ordinal += 1;
                    let mut values = Vec::with_capacity(columns.len());
                    for (leaf, column) in begun.iter_mut().zip(columns) {
                        values.push(guarded(|| leaf.next()).map_err(|because| {
                            unusable(format!("row {number}, column `{column}`: {because}"))
                        })?);
                    }
                    let leaves = leaves.as_slice();
                    take(&Record { path, columns, leaves, values, group, row, number, ordinal })?;
                }
            }
        }
        Ok(())
    }
}

/// The columns of a table by their plain names, with their types.
fn columns(path: &Path) -> Result<Vec<(String, String)>, String> {
    let reader = open(path)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let column = |leaf: &Arc<parquet::schema::types::ColumnDescriptor>| {
        let listed = if leaf.max_rep_level() > 0 { "list of " } else { "" };
        (plain(leaf.path()), format!("{listed}{}", leaf.physical_type()))
    };
    Ok(schema.columns().iter().map(column).collect())
}

/// The tables in a folder by name; none where there is no folder.
fn tables(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| TrainError::File { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut tables = entries
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect::<Result<Vec<_>, TrainError>>()?;
    tables.retain(|path| path.extension() == Some("parquet".as_ref()) && path.is_file());
    tables.sort();
    Ok(tables)
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default()
}

/// Which of how many shards a name says that it is.
fn numbered(stem: &str, split: &str) -> Option<(usize, usize)> {
    let rest = stem.strip_prefix(split)?;
    if rest.is_empty() {
        return Some((0, 1));
    }
    let (number, rest) = rest.strip_prefix('-')?.split_once("-of-")?;
    let all = rest.split_once('-').map_or(rest, |(all, _)| all);
    Some((number.parse().ok()?, all.parse().ok()?))
}

/// Fails where not every shard is there once: a download that was cut off, or two of them.
fn complete(
    folder: &Path,
    paths: &[PathBuf],
    number: impl Fn(&PathBuf) -> Option<(usize, usize)>,
) -> Result<(), TrainError> {
    let found: Option<Vec<(usize, usize)>> = paths.iter().map(number).collect();
    let is_whole = |found: &Vec<(usize, usize)>| {
        found.iter().enumerate().all(|(index, &own)| own == (index, paths.len()))
    };
    if found.as_ref().is_some_and(is_whole) {
        return Ok(());
    }
    let names: Vec<String> = paths.iter().map(|path| format!("`{}`", stem(path))).collect();
    Err(TrainError::Unusable {
        path: folder.to_owned(),
        because: format!(
            "expected every shard of a split once, as `test-00000-of-00002` and \
             `test-00001-of-00002`, not {}",
            names.join(", ")
        ),
    })
}
