//! One column of a row group, a row at a time: a value, or a list of them.

use super::record::Value;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

/// A column of which rows are left.
pub(super) struct Leaf {
    reader: ColumnReader,
    levels: Levels,
}

/// What the levels of a column say.
#[derive(Clone, Copy)]
struct Levels {
    /// The definition level of a value that is there.
    top: i16,
    /// That of an element of a list, be it null.
    element: i16,
    /// Whether rows are lists.
    listed: bool,
}

impl Leaf {
    pub(super) fn new(group: &dyn RowGroupReader, leaf: usize) -> Result<Self, ParquetError> {
        if leaf >= group.num_columns() {
            return Err(ParquetError::General("the column is not there".to_owned()));
        }
        let column = group.metadata().schema_descr().column(leaf);
        if column.max_rep_level() > 1 {
            return Err(ParquetError::NYI("lists of lists are not read".to_owned()));
        }
        let levels = Levels {
            top: column.max_def_level(),
            element: column.repeated_ancestor_def_level(),
            listed: column.max_rep_level() == 1,
        };
        Ok(Self { reader: group.get_column_reader(leaf)?, levels })
    }

    /// The same with `row` next.
    pub(super) fn at(
        group: &dyn RowGroupReader,
        leaf: usize,
        row: usize,
    ) -> Result<Self, ParquetError> {
        let mut found = Self::new(group, leaf)?;
        let skipped = match &mut found.reader {
            ColumnReader::ByteArrayColumnReader(reader) => reader.skip_records(row)?,
            _ => return Err(ParquetError::General("the column holds no bytes".to_owned())),
        };
        if skipped < row { Err(ended()) } else { Ok(found) }
    }

    /// What the next row holds.
    pub(super) fn next(&mut self) -> Result<Value, ParquetError> {
        let levels = self.levels;
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => one(reader, levels, Value::Truth),
            ColumnReader::Int32ColumnReader(reader) => {
                one(reader, levels, |whole| Value::Whole(whole.into()))
            }
            ColumnReader::Int64ColumnReader(reader) => one(reader, levels, Value::Whole),
            ColumnReader::FloatColumnReader(reader) => {
                one(reader, levels, |real| Value::Real(real.into()))
            }
            ColumnReader::DoubleColumnReader(reader) => one(reader, levels, Value::Real),
            ColumnReader::ByteArrayColumnReader(reader) => one(reader, levels, Value::Bytes),
            ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                Err(ParquetError::NYI("values of a fixed length are not read".to_owned()))
            }
        }
    }
}

fn one<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    levels: Levels,
    value: impl Fn(T::T) -> Value,
) -> Result<Value, ParquetError> {
    let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (rows, _, _) =
        reader.read_records(1, Some(&mut defined), Some(&mut repeated), &mut values)?;
    if rows == 0 {
        return Err(ended());
    }
    let mut values = values.into_iter().map(value);
    if !levels.listed {
        let hollow = defined.first().is_some_and(|&level| level > 0);
        let nothing = if hollow { Value::Hollow } else { Value::Null };
        return Ok(values.next().unwrap_or(nothing));
    }
    let elements = defined.into_iter().filter(|&level| level >= levels.element);
    let element = |level| if level == levels.top { values.next() } else { None };
    Ok(Value::List(elements.map(element).map(|value| value.unwrap_or(Value::Null)).collect()))
}

fn ended() -> ParquetError {
    ParquetError::EOF("the column ends before the rows do".to_owned())
}

/// The column of a name: a value or a list of values, `a.b` for the field of a struct, and the
/// bytes of a picture, which is a struct of `bytes` and `path`.
///
/// The error lists the columns that are there.
pub(super) fn find(schema: &SchemaDescriptor, name: &str) -> Result<usize, String> {
    let picture = format!("{name}.bytes");
    let is = |wanted: &str| schema.columns().iter().position(|leaf| plain(leaf.path()) == wanted);
    if let Some(leaf) = is(name).or_else(|| is(&picture)) {
        return Ok(leaf);
    }
    let named = |fields: Vec<String>| fields.join(", ");
    let inside: Vec<String> = schema
        .columns()
        .iter()
        .filter_map(|leaf| Some(plain(leaf.path()).strip_prefix(name)?.strip_prefix('.')?.into()))
        .map(|field: String| format!("`{field}`"))
        .collect();
    if !inside.is_empty() {
        return Err(format!(
            "column `{name}` is a struct of {}: expected a value, a list of values, or a picture \
             (`bytes` and `path`)",
            named(inside)
        ));
    }
    let there = schema.root_schema().get_fields().iter().map(|field| format!("`{}`", field.name()));
    Err(format!("there is no column `{name}`, but {}", named(there.collect())))
}

/// A column's name without the groups that writers put around the elements of a list.
pub(super) fn plain(path: &ColumnPath) -> String {
    let around = |part: &&String| !["list", "element", "item", "array"].contains(&part.as_str());
    let (first, rest) = path.parts().split_first().map_or((None, &[][..]), |(a, b)| (Some(a), b));
    let parts: Vec<&str> =
        first.into_iter().chain(rest.iter().filter(around)).map(String::as_str).collect();
    parts.join(".")
}
