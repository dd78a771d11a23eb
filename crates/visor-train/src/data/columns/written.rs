//! Small tables for tests, with the columns that the hub's have.

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Copy)]
pub(in crate::data) enum Kind {
    Text,
    Texts,
    /// Eight bits.
    Small,
    Whole,
    Truth,
    Reals,
    /// A struct of `bytes` and `path`: the picture that [`png`] makes of a name, or
    /// `{"bytes": "other bytes"}`.
    Picture,
    /// A struct of this one text.
    Struct(&'static str),
}

/// How a table is laid out.
#[derive(Clone, Copy)]
pub(in crate::data) struct Form {
    pub(in crate::data) codec: Compression,
    /// Rows in a row group.
    pub(in crate::data) group: usize,
    /// Rows in a page.
    pub(in crate::data) page: usize,
}

impl Default for Form {
    fn default() -> Self {
        Self { codec: Compression::SNAPPY, group: 2, page: 1024 }
    }
}

/// A picture whose pixels depend on its name.
pub(in crate::data) fn png(name: &str) -> Vec<u8> {
    let grey = name.bytes().fold(0_u8, u8::wrapping_add);
    visor_tasks::encode_png(&[grey; 12], 2, 2).expect("a picture")
}

/// Writes the rows, each an object; what one lacks is null.
pub(in crate::data) fn write(path: &Path, columns: &[(&str, Kind)], rows: &[Value], form: Form) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    let fields: String = columns.iter().map(|(name, kind)| kind.field(name)).collect();
    let schema = parse_message_type(&format!("message schema {{ {fields} }}")).expect("a schema");
    let properties = WriterProperties::builder()
        .set_compression(form.codec)
        .set_data_page_row_count_limit(form.page)
        .set_write_batch_size(1)
        .build();
    let file = File::create(path).expect("a file");
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).expect("a writer");
    for rows in rows.chunks(form.group) {
        let mut group = writer.next_row_group().expect("a group");
        for (name, kind) in columns {
            kind.write(&mut group, &rows.iter().map(|row| &row[*name]).collect::<Vec<_>>());
        }
        group.close().expect("a whole group");
    }
    writer.close().expect("a whole file");
}

impl Kind {
    fn field(self, name: &str) -> String {
        let list = |element: &str| {
            format!(
                "optional group {name} (LIST) {{ repeated group list {{ optional {element}; }} }} "
            )
        };
        match self {
            Self::Text => format!("optional binary {name} (STRING); "),
            Self::Texts => list("binary element (STRING)"),
            Self::Small => format!("optional int32 {name} (INTEGER(8,true)); "),
            Self::Whole => format!("optional int64 {name}; "),
            Self::Truth => format!("optional boolean {name}; "),
            Self::Reals => list("float element"),
            Self::Picture => format!(
                "optional group {name} {{ optional binary bytes; optional binary path (STRING); }} "
            ),
            Self::Struct(field) => {
                format!("optional group {name} {{ optional binary {field} (STRING); }} ")
            }
        }
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, File>, rows: &[&Value]) {
        let text = |value: &Value| value.as_str().map(ByteArray::from);
        match self {
            Self::Text => flat::<ByteArrayType>(group, rows, |row| (1, text(row))),
            Self::Small => flat::<Int32Type>(group, rows, |row| {
                (1, row.as_i64().map(|whole| i32::try_from(whole).expect("a small number")))
            }),
            Self::Whole => flat::<Int64Type>(group, rows, |row| (1, row.as_i64())),
            Self::Truth => flat::<BoolType>(group, rows, |row| (1, row.as_bool())),
            Self::Struct(field) => {
                flat::<ByteArrayType>(group, rows, |row| (2, text(&row[field])));
            }
            Self::Picture => {
                flat::<ByteArrayType>(group, rows, |row| match row {
                    Value::String(name) => (2, Some(png(name).into())),
                    row => (2, text(&row["bytes"])),
                });
                // The path is null, as that of most pictures on the hub.
                flat::<ByteArrayType>(group, rows, |_| (2, None));
            }
            Self::Texts => listed::<ByteArrayType>(group, rows, text),
            Self::Reals => {
                listed::<FloatType>(group, rows, |real| real.as_f64().map(|real| real as f32));
            }
        }
    }
}

/// A column of one value a row, with the level at which it is there.
fn flat<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: &[&Value],
    value: impl Fn(&Value) -> (i16, Option<T::T>),
) {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for row in rows {
        let (top, value) = value(row);
        levels.push(match (&value, row) {
            (Some(_), _) => top,
            (None, Value::Null) => 0,
            (None, _) => top - 1,
        });
        values.extend(value);
    }
    let mut column = group.next_column().expect("a column").expect("one more");
    column.typed::<T>().write_batch(&values, Some(&levels), None).expect("written");
    column.close().expect("a whole column");
}

/// A column of lists.
fn listed<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: &[&Value],
    element: impl Fn(&Value) -> Option<T::T>,
) {
    let (mut values, mut levels, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match row {
            Value::Array(elements) if !elements.is_empty() => {
                for (index, value) in elements.iter().enumerate() {
                    let value = element(value);
                    levels.push(if value.is_some() { 3 } else { 2 });
                    repeated.push(i16::from(index > 0));
                    values.extend(value);
                }
            }
            row => {
                levels.push(i16::from(row.is_array()));
                repeated.push(0);
            }
        }
    }
    let mut column = group.next_column().expect("a column").expect("one more");
    column.typed::<T>().write_batch(&values, Some(&levels), Some(&repeated)).expect("written");
    column.close().expect("a whole column");
}
