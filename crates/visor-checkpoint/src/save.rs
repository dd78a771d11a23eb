//! Saving a whole checkpoint folder, all of it or nothing.

use crate::disk::{self, Disk, sync_folder};
use crate::source::{MIB, is_plain_name};
use crate::swap::swap_in;
use crate::write::{
    Formats, Held, TensorOutline, ValuesOf, WriteError, encode, expect_factors, sorted,
    write_through,
};
use crate::{CheckpointError, Dtype, Manifest, Sha256Sum, TensorToSave, files, index};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The size above which weights are cut into shards, unless told otherwise.
pub const DEFAULT_MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// Files of a checkpoint folder beside weights and [`files::SMALL`], which saving therefore may
/// replace.
const KNOWN: [&str; 4] = [files::CONFIG, files::MANIFEST, files::INDEX, files::STAMP];

/// Saves a checkpoint: `config.json`, other small files, weights and, if there is a manifest,
/// `visor.json` with the SHA-256 of all of them but prose (`*.md`).
///
/// Everything is written to a temporary folder beside `folder`, made durable and then exchanged
/// with it, so that a reader sees the old checkpoint or the new one. Weights above
/// `max_shard_bytes` are cut into shards with an index.
///
/// # Errors
/// If something cannot be written, for instance since the disk is full, a value does not fit into
/// `dtype`, names collide, the manifest could not be read again, or the folder holds what is not
/// part of a checkpoint and would be lost. The old folder is then as it was, and no temporary files
/// remain.
pub fn save_checkpoint(
    folder: &Path,
    config_json: &[u8],
    extra_files: &[(&str, &[u8])],
    manifest: Option<&Manifest>,
    tensors: &[TensorToSave<'_>],
    dtype: Dtype,
    max_shard_bytes: u64,
) -> Result<(), CheckpointError> {
    let held = Held::new(tensors)?;
    let streamed =
        Streamed { outlines: &held.outlines, values: &mut |outline| held.values(outline) };
    let formats = &|_: &str| dtype;
    let parts = Parts { config_json, extra_files, manifest, formats, max_shard_bytes };
    save_streamed(folder, &parts, streamed)
}

/// Tensors whose values are made one after another.
pub struct Streamed<'v, 'a> {
    /// What there is.
    pub outlines: &'v [TensorOutline],
    /// The values of each.
    pub values: ValuesOf<'v, 'a>,
}

impl std::fmt::Debug for Streamed<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed").field("outlines", &self.outlines.len()).finish_non_exhaustive()
    }
}

/// What a checkpoint folder gets beside the values of its tensors.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// `config.json`.
    pub config_json: &'a [u8],
    /// Other small files, by name.
    pub extra_files: &'a [(&'a str, &'a [u8])],
    /// `visor.json`, without the hashes of the files, which are made when they are written.
    pub manifest: Option<&'a Manifest>,
    /// The number format of each tensor. The values of one that is stored as [`Dtype::I8`] are
    /// whole numbers, and its factors a tensor of their own, called [`scale_of`](crate::scale_of)
    /// it.
    pub formats: Formats<'a>,
    /// Larger weights are cut into shards with an index.
    pub max_shard_bytes: u64,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.extra_files.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Parts").field("extra_files", &names).finish_non_exhaustive()
    }
}

/// As [`save_checkpoint`], with one tensor in memory at a time, each in a number format of its own.
///
/// # Errors
/// As [`save_checkpoint`], and what the values' own source returns.
pub fn save_streamed(
    folder: &Path,
    parts: &Parts<'_>,
    tensors: Streamed<'_, '_>,
) -> Result<(), CheckpointError> {
    save_on(disk::REAL, folder, parts, tensors)
}

pub(crate) fn save_on(
    disk: Disk<'_>,
    folder: &Path,
    parts: &Parts<'_>,
    tensors: Streamed<'_, '_>,
) -> Result<(), CheckpointError> {
    check(parts)?;
    let target = Target::resolve(folder)?;
    if target.old.is_some() {
        refuse_to_delete(&target.path, parts)?;
    }

    let io = |action| CheckpointError::io(action, folder.display());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".visor-saving-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    // Dropped, and with it removed, on every way out but the last.
    let staged = builder.tempdir_in(&target.parent).map_err(io("write beside"))?;
    let mut staging = Staging { disk, folder: staged.path(), shown: folder, sums: BTreeMap::new() };
    staging.write(files::CONFIG, |out| Ok(out.write_all(parts.config_json)?))?;
    for (name, content) in parts.extra_files {
        staging.write(name, |out| Ok(out.write_all(content)?))?;
    }
    staging.weights(parts, tensors)?;
    if let Some(manifest) = parts.manifest {
        let manifest = Manifest { files: staging.sums.clone(), ..manifest.clone() };
        let json = manifest.to_json();
        // What is saved can be opened again.
        Manifest::parse(json.as_bytes())?;
        staging.write(files::MANIFEST, |out| Ok(out.write_all(json.as_bytes())?))?;
    }
    if let Some(old) = target.old {
        std::fs::set_permissions(staged.path(), old.permissions()).map_err(io("write"))?;
    }
    sync_folder(staged.path()).map_err(io("write"))?;
    swap_in(staged, &target.path).map_err(io("replace"))?;
    sync_folder(&target.parent).map_err(io("write beside"))
}

struct Staging<'a> {
    disk: Disk<'a>,
    folder: &'a Path,
    /// The folder as messages call it.
    shown: &'a Path,
    sums: BTreeMap<String, Sha256Sum>,
}

impl Staging<'_> {
    fn write(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
    ) -> Result<(), CheckpointError> {
        let shown = self.shown.join(name);
        let file = File::create_new(self.folder.join(name))
            .map_err(CheckpointError::io("write", shown.display()))?;
        let digest = write_through(&file, &shown.display(), self.disk, content)?;
        // Prose may be edited later, and nothing depends on it.
        if !name.ends_with(".md") {
            self.sums.insert(name.to_owned(), digest.sha256);
        }
        Ok(())
    }

    fn weights(
        &mut self,
        parts: &Parts<'_>,
        tensors: Streamed<'_, '_>,
    ) -> Result<(), CheckpointError> {
        let Streamed { outlines, values } = tensors;
        let tensors = sorted(outlines)?;
        expect_factors(&tensors, parts.formats)?;
        // transformers refuses files without it.
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let shards = shards(&tensors, parts.formats, parts.max_shard_bytes);
        if let [_] | [] = shards.as_slice() {
            let encode =
                |out: &mut dyn Write| encode(out, &tensors, parts.formats, &metadata, values);
            return self.write(files::WEIGHTS, encode);
        }
        let mut weight_map = BTreeMap::new();
        let mut total = 0;
        for (number, shard) in shards.iter().enumerate() {
            let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
            self.write(&name, |out| encode(out, shard, parts.formats, &metadata, &mut *values))?;
            for tensor in *shard {
                total += tensor.bytes((parts.formats)(&tensor.name));
                weight_map.insert(tensor.name.as_str(), name.clone());
            }
        }
        let json = index::to_json(&weight_map, total)?;
        self.write(files::INDEX, |out| Ok(out.write_all(&json)?))
    }
}

/// Cuts the tensors so that no shard of several is larger than `max`.
fn shards<'t, 'a>(
    mut tensors: &'t [&'a TensorOutline],
    formats: Formats<'_>,
    max: u64,
) -> Vec<&'t [&'a TensorOutline]> {
    let mut shards = Vec::new();
    while !tensors.is_empty() {
        let mut size = 0_u64;
        let fitting = tensors.iter().take_while(|tensor| {
            size = size.saturating_add(tensor.bytes(formats(&tensor.name)));
            size <= max
        });
        let (shard, rest) = tensors.split_at(fitting.count().max(1));
        shards.push(shard);
        tensors = rest;
    }
    shards
}

/// What can be found wrong before anything is written.
fn check(parts: &Parts<'_>) -> Result<(), CheckpointError> {
    let config_bytes = parts.config_json.len() as u64;
    if config_bytes > MIB {
        let file = files::CONFIG.to_owned();
        return Err(CheckpointError::TooLarge { file, bytes: config_bytes, limit: MIB });
    }
    serde_json::from_slice::<IgnoredAny>(parts.config_json)
        .map_err(CheckpointError::json(files::CONFIG))?;
    for (place, (name, _)) in parts.extra_files.iter().enumerate() {
        let reserved = [files::CONFIG, files::MANIFEST, files::INDEX].contains(name)
            || name.ends_with(".safetensors");
        let twice = parts.extra_files[..place].iter().any(|(earlier, _)| earlier == name);
        if reserved || twice || !is_plain_name(name) {
            return Err(CheckpointError::Name { what: "file", name: (*name).to_owned() });
        }
    }
    Ok(())
}

/// Where the folder goes.
struct Target {
    path: PathBuf,
    parent: PathBuf,
    /// The folder that is there.
    old: Option<std::fs::Metadata>,
}

impl Target {
    /// Follows links, so that the folder behind a link is replaced and not the link, and makes sure
    /// that there is a parent.
    fn resolve(folder: &Path) -> Result<Self, CheckpointError> {
        let io = |action| CheckpointError::io(action, folder.display());
        let old = match std::fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => Some(metadata),
            Ok(_) => {
                return Err(CheckpointError::NoFolder { folder: folder.display().to_string() });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("open")(error)),
        };
        let no_name = || io("replace")(std::io::ErrorKind::InvalidInput.into());
        if old.is_some() {
            let path = folder.canonicalize().map_err(io("open"))?;
            let parent = path.parent().ok_or_else(no_name)?.to_owned();
            return Ok(Self { path, parent, old });
        }
        let name = folder.file_name().ok_or_else(no_name)?;
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(io("create"))?;
        let parent = parent.canonicalize().map_err(io("open"))?;
        Ok(Self { path: parent.join(name), parent, old })
    }
}

fn is_weights(name: &str) -> bool {
    let shard = || name.starts_with("model-") && name.ends_with(".safetensors");
    name == files::WEIGHTS || shard()
}

/// The old folder is removed whole, so it may hold nothing but what a checkpoint consists of.
fn refuse_to_delete(path: &Path, parts: &Parts<'_>) -> Result<(), CheckpointError> {
    let io = || CheckpointError::io("read", path.display());
    let listed = std::fs::read(path.join(files::MANIFEST))
        .ok()
        .and_then(|json| Manifest::parse(&json).ok())
        .map(|manifest| manifest.files)
        .unwrap_or_default();
    for entry in std::fs::read_dir(path).map_err(io())? {
        let entry = entry.map_err(io())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = KNOWN.contains(&name.as_str())
            || files::SMALL.contains(&name.as_str())
            || is_weights(&name)
            || listed.contains_key(&name)
            || parts.extra_files.iter().any(|(extra, _)| *extra == name);
        if !ours || entry.file_type().map_err(io())?.is_dir() {
            let folder = path.display().to_string();
            return Err(CheckpointError::WouldDelete { folder, entry: name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, Source};
    use std::cell::Cell;
    use std::fs;
    use std::io;
    use std::rc::Rc;

    /// A disk with room for so many bytes.
    struct Room<'a> {
        left: Rc<Cell<usize>>,
        file: &'a File,
    }

    impl Write for Room<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.left.get());
            if n == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.left.set(self.left.get() - n);
            self.file.write(&bytes[..n])
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    fn save_with_room(room: usize, folder: &Path, value: f32) -> Result<(), CheckpointError> {
        let tensors = ["a", "b", "c"].map(|name| TensorToSave {
            name: name.to_owned(),
            shape: vec![32],
            data: vec![value; 32].into(),
        });
        let parts = Parts {
            config_json: b"{}",
            extra_files: &[("tokenizer.json", b"{}")],
            manifest: None,
            formats: &|_| Dtype::F32,
            max_shard_bytes: 256,
        };
        let left = Rc::new(Cell::new(room));
        let held = Held::new(&tensors)?;
        let values = &mut |outline: &TensorOutline| held.values(outline);
        let tensors = Streamed { outlines: &held.outlines, values };
        save_on(&|file| Box::new(Room { left: Rc::clone(&left), file }), folder, &parts, tensors)
    }

    fn value(folder: &Path) -> f32 {
        let checkpoint = Checkpoint::open(Source::Folder(folder.to_owned())).expect("opened");
        let mut weights = checkpoint.weights().expect("weights");
        weights.take("c", &[32]).expect("taken")[0]
    }

    #[test]
    fn a_full_disk_leaves_the_old_checkpoint_and_no_temporary_files() {
        let root = tempfile::TempDir::new().expect("a folder");
        let folder = root.path().join("model");
        save_with_room(usize::MAX, &folder, 1.0).expect("room enough");
        let files = || fs::read_dir(&folder).expect("the folder");
        let size = |entry: io::Result<fs::DirEntry>| {
            entry.expect("a file").metadata().expect("its size").len() as usize
        };
        let needed: usize = files().map(size).sum();
        for room in (0..needed).step_by(7).chain([needed - 1]) {
            let error = save_with_room(room, &folder, 2.0).expect_err("the disk is full");
            let CheckpointError::Io { source, .. } = &error else { panic!("{error}") };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{error}");
            assert_eq!(value(&folder), 1.0);
            assert_eq!(fs::read_dir(root.path()).expect("the parent").count(), 1, "{room}");
        }
        save_with_room(needed, &folder, 2.0).expect("just room enough");
        assert_eq!(value(&folder), 2.0);
    }

    #[test]
    fn a_full_disk_saves_nothing_where_nothing_was() {
        let root = tempfile::TempDir::new().expect("a folder");
        save_with_room(100, &root.path().join("model"), 1.0).expect_err("the disk is full");
        assert_eq!(fs::read_dir(root.path()).expect("the parent").count(), 0);
    }
}
