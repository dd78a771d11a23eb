//! The header of a safetensors file: parsed under limits, checked against the file.

use crate::{Dtype, unique};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// The length field before the header.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// Longer headers are refused, as in the reference implementation.
const MAX_HEADER: u64 = 100_000_000;

/// The key that is not a tensor.
pub(crate) const METADATA: &str = "__metadata__";

/// Why a file is not a safetensors file that can be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// There is not even a length.
    #[error("it has {file_bytes} bytes, too few for a safetensors file")]
    TooShort {
        /// Length of the file.
        file_bytes: u64,
    },
    /// The header does not fit into the file.
    #[error(
        "its header claims {header_bytes} bytes, the file has {file_bytes}: it is cut short \
         or no safetensors file"
    )]
    Truncated {
        /// Length of the header as it is written.
        header_bytes: u64,
        /// Length of the file.
        file_bytes: u64,
    },
    /// The header is longer than any real one.
    #[error("its header claims {header_bytes} bytes, more than the limit of {MAX_HEADER}")]
    TooLong {
        /// Length of the header as it is written.
        header_bytes: u64,
    },
    /// The header is not the expected JSON.
    #[error("its header is not readable: {0}")]
    Json(serde_json::Error),
    /// A tensor is stored in a format whose numbers nobody can count.
    #[error(
        "tensor `{name}` is stored as {dtype:?}, which is not known: only F32, F16, BF16 and I8 are \
         read"
    )]
    Dtype {
        /// The tensor.
        name: String,
        /// Its format.
        dtype: String,
    },
    /// A tensor's shape and its place in the file do not fit together.
    #[error("tensor `{name}` of shape {shape:?} does not fill bytes {begin}..{end} as {dtype}")]
    Size {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its format.
        dtype: &'static str,
        /// Where its data begins, after the header.
        begin: u64,
        /// Where its data ends.
        end: u64,
    },
    /// Two tensors overlap, or bytes between them belong to none.
    #[error(
        "tensor `{name}` begins at byte {begin}, expected {expected}: data overlaps or has a hole"
    )]
    Offset {
        /// The tensor.
        name: String,
        /// Where its data begins.
        begin: u64,
        /// Where the one before it ends.
        expected: u64,
    },
    /// The tensors and the file do not end at the same byte.
    #[error(
        "its tensors take {tensors} bytes, the file holds {data}: it is cut short or has \
         bytes left over"
    )]
    DataLength {
        /// End of the last tensor.
        tensors: u64,
        /// Bytes after the header.
        data: u64,
    },
}

/// Formats that are never read, by name and bytes of a number. Files may hold them, as older ones
/// hold positions, as long as nobody takes them.
const UNREAD: [(&str, usize); 8] = [
    ("BOOL", 1),
    ("U8", 1),
    ("I16", 2),
    ("U16", 2),
    ("I32", 4),
    ("U32", 4),
    ("I64", 8),
    ("U64", 8),
];

/// How the numbers of a stored tensor lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Read(Dtype),
    Unread { name: &'static str, bytes: usize },
}

impl Format {
    fn from_name(name: &str) -> Option<Self> {
        let left = || {
            let &(name, bytes) = UNREAD.iter().find(|(known, _)| *known == name)?;
            Some(Self::Unread { name, bytes })
        };
        Dtype::from_name(name).map(Self::Read).or_else(left)
    }

    /// The name in a header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read(dtype) => dtype.name(),
            Self::Unread { name, .. } => name,
        }
    }

    /// Bytes of one number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Read(dtype) => dtype.bytes(),
            Self::Unread { bytes, .. } => bytes,
        }
    }

    /// The format, if it is read.
    pub(crate) fn read(self) -> Option<Dtype> {
        match self {
            Self::Read(dtype) => Some(dtype),
            Self::Unread { .. } => None,
        }
    }
}

/// One tensor, as far as the header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) format: Format,
    pub(crate) shape: Vec<usize>,
    /// Counted from the beginning of the file.
    pub(crate) start: u64,
    pub(crate) bytes: u64,
}

/// A header that agrees with its file.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) tensors: BTreeMap<String, Entry>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The length of the header from the first bytes of a file of `file_bytes` bytes.
pub(crate) fn header_bytes(
    first: [u8; LENGTH_BYTES as usize],
    file_bytes: u64,
) -> Result<usize, HeaderError> {
    let header_bytes = u64::from_le_bytes(first);
    if header_bytes > MAX_HEADER {
        return Err(HeaderError::TooLong { header_bytes });
    }
    if header_bytes > file_bytes.saturating_sub(LENGTH_BYTES) {
        return Err(HeaderError::Truncated { header_bytes, file_bytes });
    }
    usize::try_from(header_bytes).map_err(|_| HeaderError::TooLong { header_bytes })
}

impl Header {
    /// Parses `json` and checks that its tensors fill the rest of a file of `file_bytes` bytes.
    pub(crate) fn parse(json: &[u8], file_bytes: u64) -> Result<Self, HeaderError> {
        let raw: RawHeader = serde_json::from_slice(json).map_err(HeaderError::Json)?;
        let data_start = LENGTH_BYTES + json.len() as u64;
        let data = file_bytes.saturating_sub(data_start);

        let mut tensors = BTreeMap::new();
        for (name, raw) in raw.tensors {
            let Some(format) = Format::from_name(&raw.dtype) else {
                return Err(HeaderError::Dtype { name, dtype: raw.dtype });
            };
            let RawEntry { shape, data_offsets: (begin, end), .. } = raw;
            let fits = |bytes| end.checked_sub(begin) == Some(bytes) && end <= data;
            let bytes = bytes_of(format.bytes(), &shape).filter(|&bytes| fits(bytes));
            let Some(bytes) = bytes else {
                let dtype = format.name();
                return Err(HeaderError::Size { name, shape, dtype, begin, end });
            };
            tensors.insert(name, Entry { format, shape, start: data_start + begin, bytes });
        }

        let mut in_order: Vec<(&String, &Entry)> = tensors.iter().collect();
        in_order.sort_by_key(|(_, entry)| (entry.start, entry.bytes));
        let mut expected = data_start;
        for (name, entry) in in_order {
            if entry.start != expected {
                return Err(HeaderError::Offset {
                    name: name.clone(),
                    begin: entry.start - data_start,
                    expected: expected - data_start,
                });
            }
            expected += entry.bytes;
        }
        let used = expected - data_start;
        if used != data {
            return Err(HeaderError::DataLength { tensors: used, data });
        }
        Ok(Self { tensors, metadata: raw.metadata })
    }
}

/// Bytes of a tensor of numbers of `each` bytes, if they can be counted.
pub(crate) fn bytes_of(each: usize, shape: &[usize]) -> Option<u64> {
    shape.iter().try_fold(each as u64, |bytes, &n| bytes.checked_mul(n as u64))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

struct RawHeader {
    tensors: BTreeMap<String, RawEntry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawMetadata(#[serde(deserialize_with = "unique::map")] BTreeMap<String, String>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawHeader, A::Error> {
                let mut tensors = BTreeMap::new();
                let mut metadata = None;
                while let Some(key) = entries.next_key::<String>()? {
                    let twice = if key == METADATA {
                        metadata.replace(entries.next_value::<RawMetadata>()?).is_some()
                    } else if tensors.contains_key(&key) {
                        true
                    } else {
                        tensors.insert(key.clone(), entries.next_value()?);
                        false
                    };
                    if twice {
                        let twice = format_args!("`{key}` is there twice");
                        return Err(A::Error::custom(twice));
                    }
                }
                let metadata = metadata.map(|RawMetadata(map)| map).unwrap_or_default();
                Ok(RawHeader { tensors, metadata })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}
