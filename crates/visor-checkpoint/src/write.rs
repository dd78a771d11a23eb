//! Writing one safetensors file, whole or not at all.

use crate::disk::{self, Disk, sync_folder};
use crate::header::{METADATA, bytes_of};
use crate::{CheckpointError, Dtype, Sha256Sum, scale_of};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How many values are converted at a time.
const CHUNK: usize = 1 << 16;

/// A tensor with its values in storage order, last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorToSave<'a> {
    /// The name it will be taken by.
    pub name: String,
    /// Its shape; empty for a single number.
    pub shape: Vec<usize>,
    /// As many finite values as the shape says.
    pub data: Cow<'a, [f32]>,
}

/// A tensor that is to be written, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorOutline {
    /// The name it will be taken by.
    pub name: String,
    /// Its shape; empty for a single number.
    pub shape: Vec<usize>,
}

/// Gives the values of one tensor after another, so that no two need to be held in memory. It may
/// be asked for them in any order, once each.
pub type ValuesOf<'v, 'a> =
    &'v mut dyn FnMut(&TensorOutline) -> Result<Cow<'a, [f32]>, CheckpointError>;

/// The number format of a tensor, by its name.
pub type Formats<'a> = &'a dyn Fn(&str) -> Dtype;

/// Length and hash of a file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// SHA-256 of the content.
    pub sha256: Sha256Sum,
    /// Length.
    pub bytes: u64,
}

/// Writes tensors and free text to one file: at any moment the path holds the old file, whole, or
/// the new one, whole. The same tensors make the same bytes, in whatever order they come.
///
/// # Errors
/// If a name is used twice, values and shape disagree, a value is not finite or does not fit into
/// `dtype`, or the file cannot be written. The old file, if there is one, is then untouched.
pub fn write_safetensors(
    path: &Path,
    tensors: &[TensorToSave<'_>],
    dtype: Dtype,
    metadata: &BTreeMap<String, String>,
) -> Result<FileDigest, CheckpointError> {
    let held = Held::new(tensors)?;
    let outlines = sorted(&held.outlines)?;
    expect_factors(&outlines, &|_| dtype)?;
    let values = &mut |outline: &TensorOutline| held.values(outline);
    write_atomically(path, disk::REAL, |out| encode(out, &outlines, &|_| dtype, metadata, values))
}

/// Creates a file beside `path`, lets `content` write it, and renames it to `path`.
pub(crate) fn write_atomically<E>(
    path: &Path,
    disk: Disk<'_>,
    content: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<FileDigest, CheckpointError>
where
    E: Into<WriteError>,
{
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let io = |action| CheckpointError::io(action, path.display());
    // Dropped, and with it removed, on every way out but the last.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".visor-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(io("write"))?;
    let digest = write_through(file.as_file(), &path.display(), disk, content)?;
    file.persist(path).map_err(|error| io("replace")(error.error))?;
    sync_folder(folder).map_err(io("write"))?;
    Ok(digest)
}

/// Fills a file that was just created, hashes what goes by and makes it durable.
pub(crate) fn write_through<E>(
    file: &std::fs::File,
    name: &dyn std::fmt::Display,
    disk: Disk<'_>,
    content: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<FileDigest, CheckpointError>
where
    E: Into<WriteError>,
{
    let io = || CheckpointError::io("write", name);
    let mut out = Hashing { inner: BufWriter::new(disk(file)), hasher: Sha256::new(), bytes: 0 };
    content(&mut out).map_err(|error| match error.into() {
        WriteError::Io(error) => io()(error),
        WriteError::Content(error) => error,
    })?;
    out.flush().map_err(io())?;
    let Hashing { hasher, bytes, .. } = out;
    file.sync_all().map_err(io())?;
    Ok(FileDigest { sha256: Sha256Sum::finish(hasher), bytes })
}

/// What can fail while a file is being filled.
pub(crate) enum WriteError {
    Io(io::Error),
    Content(CheckpointError),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Tensors that are in memory, by name.
pub(crate) struct Held<'t, 'a> {
    pub(crate) outlines: Vec<TensorOutline>,
    tensors: BTreeMap<&'t str, &'t TensorToSave<'a>>,
}

impl<'t, 'a> Held<'t, 'a> {
    /// Of tensors whose numbers of values are those of their shapes.
    pub(crate) fn new(tensors: &'t [TensorToSave<'a>]) -> Result<Self, CheckpointError> {
        let outline = |tensor: &TensorToSave<'_>| {
            let outline = TensorOutline { name: tensor.name.clone(), shape: tensor.shape.clone() };
            outline.expect_values(tensor.data.len()).map(|()| outline)
        };
        let outlines = tensors.iter().map(outline).collect::<Result<_, _>>()?;
        let tensors = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        Ok(Self { outlines, tensors })
    }

    pub(crate) fn values(
        &self,
        outline: &TensorOutline,
    ) -> Result<Cow<'t, [f32]>, CheckpointError> {
        match self.tensors.get(outline.name.as_str()) {
            Some(tensor) => Ok(Cow::Borrowed(&tensor.data)),
            None => Err(CheckpointError::Name { what: "tensor", name: outline.name.clone() }),
        }
    }
}

impl TensorOutline {
    fn expect_values(&self, values: usize) -> Result<(), CheckpointError> {
        if bytes_of(Dtype::F32.bytes(), &self.shape) == Some(4 * values as u64) {
            return Ok(());
        }
        let Self { name, shape } = self.clone();
        Err(CheckpointError::Values { name, shape, values })
    }

    /// How many values it has; none where they cannot be counted, which no values agree with.
    fn n_values(&self) -> usize {
        bytes_of(Dtype::F32.bytes(), &self.shape).map_or(0, |bytes| (bytes / 4) as usize)
    }

    /// Its length in a file.
    pub(crate) fn bytes(&self, dtype: Dtype) -> u64 {
        (self.n_values() * dtype.bytes()) as u64
    }
}

/// Whole numbers mean nothing without their factors.
pub(crate) fn expect_factors(
    tensors: &[&TensorOutline],
    formats: Formats<'_>,
) -> Result<(), CheckpointError> {
    let whole = tensors.iter().filter(|tensor| formats(&tensor.name) == Dtype::I8);
    let mut lacking = whole.filter(|tensor| {
        let scale = scale_of(&tensor.name);
        let found = tensors.binary_search_by(|other| other.name.as_str().cmp(&scale));
        let fits =
            |at: usize| tensors[at].shape == tensor.shape[..1] && formats(&scale) == Dtype::F32;
        tensor.shape.len() != 2 || !found.is_ok_and(fits)
    });
    match lacking.next() {
        None => Ok(()),
        Some(TensorOutline { name, shape }) => {
            let (name, shape, scale) = (name.clone(), shape.clone(), scale_of(name));
            Err(CheckpointError::Factors { name, shape, scale })
        }
    }
}

/// The tensors in order of their names, once names have been checked.
pub(crate) fn sorted(outlines: &[TensorOutline]) -> Result<Vec<&TensorOutline>, CheckpointError> {
    let mut sorted: Vec<_> = outlines.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = sorted.windows(2).find(|pair| pair[0].name == pair[1].name).map(|pair| pair[0]);
    let reserved = sorted.iter().copied().find(|outline| outline.name == METADATA);
    match twice.or(reserved) {
        Some(outline) => Err(CheckpointError::Name { what: "tensor", name: outline.name.clone() }),
        None => Ok(sorted),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum RawEntry<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor { dtype: &'static str, shape: &'a [usize], data_offsets: (u64, u64) },
}

/// Writes the content of a safetensors file. `tensors` come from [`sorted`].
pub(crate) fn encode(
    out: &mut dyn Write,
    tensors: &[&TensorOutline],
    formats: Formats<'_>,
    metadata: &BTreeMap<String, String>,
    values: ValuesOf<'_, '_>,
) -> Result<(), WriteError> {
    let mut header = BTreeMap::new();
    if !metadata.is_empty() {
        header.insert(METADATA, RawEntry::Metadata(metadata));
    }
    let mut end = 0;
    for tensor in tensors {
        let (begin, dtype) = (end, formats(&tensor.name));
        end += tensor.bytes(dtype);
        let data_offsets = (begin, end);
        let entry = RawEntry::Tensor { dtype: dtype.name(), shape: &tensor.shape, data_offsets };
        header.insert(&tensor.name, entry);
    }
    let mut json = serde_json::to_vec(&header).map_err(io::Error::from)?;
    // Spaces up to a multiple of 8, so that the data is aligned for readers that map it.
    json.resize(json.len().next_multiple_of(8), b' ');
    out.write_all(&(json.len() as u64).to_le_bytes())?;
    out.write_all(&json)?;

    let mut bytes = Vec::with_capacity(CHUNK * Dtype::F32.bytes());
    for tensor in tensors {
        let dtype = formats(&tensor.name);
        let data = values(tensor).map_err(WriteError::Content)?;
        tensor.expect_values(data.len()).map_err(WriteError::Content)?;
        for (chunk, values) in data.chunks(CHUNK).enumerate() {
            bytes.clear();
            dtype.encode(values, &mut bytes).map_err(|place| {
                let (name, index, value) =
                    (tensor.name.clone(), chunk * CHUNK + place, values[place]);
                WriteError::Content(if value.is_finite() {
                    CheckpointError::Overflow { name, index, value, dtype }
                } else {
                    CheckpointError::NonFinite { name, index, value }
                })
            })?;
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
