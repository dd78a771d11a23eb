//! Tensors by name: every one asked for must be there, every one there must be asked for.

use crate::blob::Blob;
use crate::dtype::infinite;
use crate::header::{Entry, Format, Header, HeaderError, LENGTH_BYTES, header_bytes};
use crate::watch::{ReadingStage, Tally};
use crate::{CheckpointError, Dtype, Source, TensorOutline, Watch, files, index, scale_of};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

#[derive(Debug)]
struct Stored {
    blob: usize,
    entry: Entry,
    taken: bool,
    ignored: Option<String>,
    /// Whether it holds the factors of another tensor, and comes and goes with it.
    factors: bool,
}

/// The tensors of a checkpoint: headers are parsed and checked, data is read when it is taken.
#[derive(Debug)]
pub struct Weights {
    /// The open files, by their names in the folder.
    blobs: Vec<(String, Blob)>,
    tensors: BTreeMap<String, Stored>,
    metadata: BTreeMap<String, String>,
    tally: Tally,
}

/// A tensor that was left where it is, and why that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredTensor {
    /// The tensor.
    pub name: String,
    /// The reason that was given.
    pub because: String,
}

/// What became of the tensors in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// How many tensors were taken.
    pub tensors: usize,
    /// How many numbers they hold.
    pub parameters: u64,
    /// How many of them are stored in eight bits, so that their values are rounded ones.
    pub in_eight_bits: usize,
    /// Tensors that were left.
    pub ignored: Vec<IgnoredTensor>,
}

/// Name, shape and values of one tensor.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

impl Weights {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// If a file is missing or is not a safetensors file, or if index and shards disagree. Tensors
    /// that are not F32, F16, BF16, F64 or I8 may be there: they cannot be taken.
    pub fn open(source: &Source) -> Result<Self, CheckpointError> {
        let Some(index) = index::read(source)? else {
            return Self::from_blob(files::WEIGHTS, source.blob(files::WEIGHTS)?)?.with_factors();
        };
        let mut weights = Self::new(Vec::new(), BTreeMap::new(), BTreeMap::new());
        for shard in index.shards() {
            let opened = Self::from_blob(shard, source.blob(shard)?)?;
            for (name, stored) in opened.tensors {
                if index.weight_map.get(&name).is_none_or(|file| file != shard) {
                    return Err(CheckpointError::Unlisted { name, shard: shard.to_owned() });
                }
                let blob = weights.blobs.len();
                weights.tensors.insert(name, Stored { blob, ..stored });
            }
            weights.metadata.extend(opened.metadata);
            weights.blobs.extend(opened.blobs);
        }
        let missing = |(name, _): &(&String, &String)| !weights.tensors.contains_key(*name);
        if let Some((name, shard)) = index.weight_map.iter().find(missing) {
            return Err(CheckpointError::NotInShard { name: name.clone(), shard: shard.clone() });
        }
        weights.with_factors()
    }

    /// Opens one safetensors file, whatever its name.
    ///
    /// # Errors
    /// If it cannot be read or is not a safetensors file.
    pub fn open_file(path: &Path) -> Result<Self, CheckpointError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::from_blob(&name, Blob::open(path)?)?.with_factors()
    }

    /// Holds every matrix of whole numbers against the factors of its rows.
    fn with_factors(mut self) -> Result<Self, CheckpointError> {
        let whole =
            |(_, stored): &(&String, &Stored)| stored.entry.format == Format::Read(Dtype::I8);
        let matrices = self.tensors.iter().filter(whole);
        let matrices: Vec<(String, Vec<usize>)> =
            matrices.map(|(name, stored)| (name.clone(), stored.entry.shape.clone())).collect();
        for (name, shape) in matrices {
            let factors = self.tensors.get_mut(&scale_of(&name));
            match (factors, shape.as_slice()) {
                (Some(factors), &[rows, _])
                    if factors.entry.format == Format::Read(Dtype::F32)
                        && factors.entry.shape == [rows] =>
                {
                    factors.factors = true;
                }
                _ => return Err(CheckpointError::Factors { scale: scale_of(&name), name, shape }),
            }
        }
        Ok(self)
    }

    fn from_blob(name: &str, blob: Blob) -> Result<Self, CheckpointError> {
        blob.expect_no_pointer()?;
        let bad = |problem| CheckpointError::Header { file: blob.shown().to_owned(), problem };
        if blob.len() < LENGTH_BYTES {
            return Err(bad(HeaderError::TooShort { file_bytes: blob.len() }));
        }
        let mut first = [0; LENGTH_BYTES as usize];
        first.copy_from_slice(&blob.bytes(0, LENGTH_BYTES as usize)?);
        let header_bytes = header_bytes(first, blob.len()).map_err(bad)?;
        let json = blob.bytes(LENGTH_BYTES, header_bytes)?;
        let Header { tensors, metadata } = Header::parse(&json, blob.len()).map_err(bad)?;
        let stored = |entry| Stored { blob: 0, entry, taken: false, ignored: None, factors: false };
        let tensors = tensors.into_iter().map(|(name, entry)| (name, stored(entry))).collect();
        Ok(Self::new(vec![(name.to_owned(), blob)], tensors, metadata))
    }

    fn new(
        blobs: Vec<(String, Blob)>,
        tensors: BTreeMap<String, Stored>,
        metadata: BTreeMap<String, String>,
    ) -> Self {
        let tally = Tally::new(None, ReadingStage::Load, 0);
        Self { blobs, tensors, metadata, tally }
    }

    /// The same, telling `watch` how far it is while tensors are taken.
    pub(crate) fn watched(self, watch: Option<Watch>) -> Self {
        let tally = Tally::new(watch, ReadingStage::Load, self.bytes());
        Self { tally, ..self }
    }

    /// Who is told.
    pub(crate) fn watch(&self) -> Option<Watch> {
        self.tally.watch()
    }

    /// Bytes of all tensors on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.tensors.values().map(|stored| stored.entry.bytes).sum()
    }

    /// The names of all tensors, in order of the alphabet, without those that hold factors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let tensors = self.tensors.iter().filter(|(_, stored)| !stored.factors);
        tensors.map(|(name, _)| name.as_str())
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|stored| stored.entry.shape.as_slice())
    }

    /// The number format of a tensor on disk; `None` as well for one that is not read.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).and_then(|stored| stored.entry.format.read())
    }

    /// How many numbers all tensors hold.
    pub fn parameters(&self) -> u64 {
        let tensors = self.tensors.values().filter(|stored| !stored.factors);
        tensors.map(Stored::parameters).sum()
    }

    /// The free text in the headers.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The files that were opened, each with its name in the folder.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Blob)> {
        self.blobs.iter().map(|(name, blob)| (name.as_str(), blob))
    }

    /// Reads one tensor and marks it as used, whole numbers times their factors. Taking it again, as a
    /// tied head does, is allowed.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Shape`] and [`CheckpointError::NotRead`]
    /// before anything is allocated; [`CheckpointError::NonFinite`] if a value is infinite or not a
    /// number; or the file cannot be read.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let (stored, _) = self.readable(name, shape)?;
        let (_, blob) = &self.blobs[stored.blob];
        let no_memory = || {
            CheckpointError::io("hold a tensor of", blob.shown())(io::ErrorKind::OutOfMemory.into())
        };
        let mut values = Vec::new();
        let n = usize::try_from(stored.parameters()).map_err(|_| no_memory())?;
        values.try_reserve_exact(n).map_err(|_| no_memory())?;
        self.take_in_pieces(name, shape, &mut |piece| {
            values.extend_from_slice(piece);
            Ok::<_, CheckpointError>(())
        })?;
        Ok(values)
    }

    /// The same for who needs no tensor whole: passes its values to `each` from the first to the last,
    /// about a mebibyte of the file at a time. Pieces do not end where rows do.
    ///
    /// # Errors
    /// As [`take`](Self::take), before `each` is given anything or behind values that are right; or
    /// what `each` returns.
    pub fn take_in_pieces<E: From<CheckpointError>>(
        &mut self,
        name: &str,
        shape: &[usize],
        each: &mut dyn FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (stored, dtype) = self.readable(name, shape)?;
        let Stored { blob, entry: Entry { start, bytes, .. }, .. } = *stored;
        let factors = match (dtype, shape) {
            (Dtype::I8, &[rows, width]) => Some((self.take(&scale_of(name), &[rows])?, width)),
            _ => None,
        };
        let (_, blob) = &self.blobs[blob];
        let tally = &mut self.tally;
        let (mut values, mut known) = (Vec::new(), 0);
        blob.read(start, bytes, |piece| {
            values.clear();
            dtype.decode(piece, &mut values);
            if let Some((factors, width)) = &factors {
                multiply(&mut values, known, factors, *width);
            }
            tally.add(piece.len());
            if let Some(place) = infinite(&values) {
                let (name, index, value) = (name.to_owned(), known + place, values[place]);
                return Err(CheckpointError::NonFinite { name, index, value }.into());
            }
            known += values.len();
            each(&values)
        })?;
        if let Some(stored) = self.tensors.get_mut(name) {
            stored.taken = true;
        }
        Ok(())
    }

    /// A tensor that can be taken in this shape, and its number format.
    fn readable(&self, name: &str, shape: &[usize]) -> Result<(&Stored, Dtype), CheckpointError> {
        let missing = || Self::missing(&self.blobs, name, shape);
        let stored = self.tensors.get(name).ok_or_else(missing)?;
        if stored.entry.shape != shape {
            return Err(CheckpointError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                got: stored.entry.shape.clone(),
            });
        }
        let format = stored.entry.format;
        Ok((stored, format.read().ok_or_else(|| not_read(name, format))?))
    }

    /// Says that some tensors are rightly left: `pattern` is a name, a prefix followed by `*`, or a
    /// suffix behind one.
    /// A pattern that fits no tensor is no error: checkpoints of one family differ.
    pub fn ignore(&mut self, pattern: &str, because: &str) {
        let fits = |name: &str| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
            (Some(prefix), _) => name.starts_with(prefix),
            (None, Some(suffix)) => name.ends_with(suffix),
            (None, None) => name == pattern,
        };
        for (_, stored) in self.tensors.iter_mut().filter(|(name, _)| fits(name)) {
            stored.ignored = Some(because.to_owned());
        }
    }

    /// Holds the headers against what will be taken, before anything is read.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Shape`], [`CheckpointError::NotRead`], or
    /// [`CheckpointError::Unused`] if a tensor is neither wanted nor ignored.
    pub fn expect(&self, wanted: &[TensorOutline]) -> Result<(), CheckpointError> {
        let mut left: BTreeSet<&str> = self
            .tensors
            .iter()
            .filter(|(_, stored)| stored.ignored.is_none() && !stored.factors)
            .map(|(name, _)| name.as_str())
            .collect();
        for TensorOutline { name, shape } in wanted {
            left.remove(name.as_str());
            let Some(Stored { entry, .. }) = self.tensors.get(name) else {
                return Err(Self::missing(&self.blobs, name, shape));
            };
            if entry.shape != *shape {
                let (name, expected, got) = (name.clone(), shape.clone(), entry.shape.clone());
                return Err(CheckpointError::Shape { name, expected, got });
            }
            if entry.format.read().is_none() {
                return Err(not_read(name, entry.format));
            }
        }
        match left.is_empty() {
            true => Ok(()),
            false => {
                let names = left.into_iter().map(str::to_owned).collect();
                Err(CheckpointError::Unused { names })
            }
        }
    }

    fn missing(blobs: &[(String, Blob)], name: &str, shape: &[usize]) -> CheckpointError {
        CheckpointError::Missing {
            name: name.to_owned(),
            shape: shape.to_vec(),
            file: blobs.first().map(|(_, b)| b.shown().to_owned()).unwrap_or_default(),
        }
    }

    /// Ends the loading.
    ///
    /// # Errors
    /// [`CheckpointError::Unused`] if a tensor was neither taken nor ignored.
    pub fn finish(self) -> Result<LoadReport, CheckpointError> {
        let (taken, left): (Vec<_>, Vec<_>) =
            self.tensors.into_iter().partition(|(_, stored)| stored.taken);
        let mut ignored = Vec::new();
        let mut unused = Vec::new();
        // Factors are left where their matrix is, which is reported.
        for (name, stored) in left.iter().filter(|(_, stored)| !stored.factors) {
            match &stored.ignored {
                Some(because) => {
                    ignored.push(IgnoredTensor { name: name.clone(), because: because.clone() });
                }
                None => unused.push(name.clone()),
            }
        }
        if !unused.is_empty() {
            return Err(CheckpointError::Unused { names: unused });
        }
        let taken = taken.iter().filter(|(_, stored)| !stored.factors);
        let parameters = taken.clone().map(|(_, stored)| stored.parameters()).sum();
        let of_whole_numbers =
            |(_, stored): &&(String, Stored)| stored.entry.format == Format::Read(Dtype::I8);
        let in_eight_bits = taken.clone().filter(of_whole_numbers).count();
        Ok(LoadReport { tensors: taken.count(), parameters, in_eight_bits, ignored })
    }

    /// Feeds everything about one tensor to `hasher`, its bytes as they are, whether or not they are
    /// read as numbers. Lengths go before contents, so that no two sets of tensors feed the same
    /// bytes. `read` is told how many more bytes have been read.
    pub(crate) fn hash(
        &self,
        name: &str,
        hasher: &mut Sha256,
        read: &mut dyn FnMut(usize),
    ) -> Result<(), CheckpointError> {
        let Some(stored) = self.tensors.get(name) else { return Ok(()) };
        let Entry { format, ref shape, start, bytes } = stored.entry;
        for text in [name, format.name()] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.update((shape.len() as u64).to_le_bytes());
        for &n in shape {
            hasher.update((n as u64).to_le_bytes());
        }
        self.blobs[stored.blob].1.read(start, bytes, |piece| {
            hasher.update(piece);
            read(piece.len());
            Ok::<_, CheckpointError>(())
        })?;
        match format {
            Format::Read(Dtype::I8) => self.hash(&scale_of(name), hasher, read),
            Format::Read(_) | Format::Unread { .. } => Ok(()),
        }
    }
}

impl Stored {
    fn parameters(&self) -> u64 {
        self.entry.bytes / self.entry.format.bytes() as u64
    }
}

/// Multiplies values of a matrix, which are those from place `first` on, with the factors of their
/// rows.
fn multiply(values: &mut [f32], first: usize, factors: &[f32], width: usize) {
    let (mut values, mut place) = (values, first);
    while !values.is_empty() {
        let length = values.len().min(width - place % width);
        let (row, rest) = values.split_at_mut(length);
        row.iter_mut().for_each(|value| *value *= factors[place / width]);
        (values, place) = (rest, place + length);
    }
}

fn not_read(name: &str, format: Format) -> CheckpointError {
    CheckpointError::NotRead { name: name.to_owned(), dtype: format.name() }
}

/// Reads all tensors of one file, in order of the alphabet.
///
/// # Errors
/// As [`Weights::open_file`] and [`Weights::take`].
pub fn read_safetensors(path: &Path) -> Result<Vec<NamedTensor>, CheckpointError> {
    let mut weights = Weights::open_file(path)?;
    let shapes: Vec<(String, Vec<usize>)> = weights
        .tensors
        .iter()
        .map(|(name, stored)| (name.clone(), stored.entry.shape.clone()))
        .collect();
    shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = weights.take(&name, &shape)?;
            Ok((name, shape, values))
        })
        .collect()
}
