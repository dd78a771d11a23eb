//! Checkpoints that are damaged, incomplete or contradict themselves.

use crate::common::{QUESTION, Tiny, contents, visor};
use std::borrow::Cow;
use std::fs;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, DEFAULT_MAX_SHARD_BYTES, Dtype, Source, TensorToSave, save_checkpoint,
};

/// What is done to a checkpoint, and what its error must say.
type Damage = (&'static str, fn(&Path), &'static str);

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(folder: &Path, file: &str, from: &str, to: &str) {
    edit(folder, file, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    });
}

/// Saves the checkpoint anew with other weights, all hashes as they should be.
fn resave(folder: &Path, change: impl FnOnce(&mut Vec<TensorToSave<'static>>)) {
    let checkpoint = Checkpoint::open(Source::Folder(folder.to_owned())).unwrap();
    let mut weights = checkpoint.weights().unwrap();
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let mut tensors: Vec<TensorToSave<'static>> = names
        .into_iter()
        .map(|name| {
            let shape = weights.shape(&name).unwrap().to_vec();
            let data = Cow::Owned(weights.take(&name, &shape).unwrap());
            TensorToSave { name, shape, data }
        })
        .collect();
    change(&mut tensors);
    let files = contents(folder);
    let small = |name: &str| {
        !["config.json", "visor.json"].contains(&name) && !name.ends_with(".safetensors")
    };
    let extra: Vec<(&str, &[u8])> = files
        .iter()
        .filter(|(name, _)| small(name))
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    save_checkpoint(
        folder,
        checkpoint.config_json(),
        &extra,
        checkpoint.manifest(),
        &tensors,
        Dtype::F32,
        DEFAULT_MAX_SHARD_BYTES,
    )
    .unwrap();
}

const DAMAGES: &[Damage] = &[
    (
        "a bit of the weights",
        |f| {
            edit(f, "model.safetensors", |b| {
                let middle = b.len() / 2;
                b[middle] ^= 1;
            })
        },
        "sha256",
    ),
    ("a bit of the header", |f| edit(f, "model.safetensors", |b| b[40] ^= 1), "model.safetensors"),
    (
        "half of the weights",
        |f| edit(f, "model.safetensors", |b| b.truncate(b.len() / 2)),
        "model.safetensors",
    ),
    ("no weights in the file", |f| edit(f, "model.safetensors", Vec::clear), "model.safetensors"),
    ("a bit of the tokenizer", |f| edit(f, "tokenizer.json", |b| b[20] ^= 1), "tokenizer"),
    ("another template", |f| edit(f, "prompt_template.txt", |b| b.push(b'!')), "sha256"),
    ("half of the configuration", |f| edit(f, "config.json", |b| b.truncate(99)), "config.json"),
    ("half of the manifest", |f| edit(f, "visor.json", |b| b.truncate(b.len() / 2)), "visor.json"),
    (
        "missing weights",
        |f| fs::remove_file(f.join("model.safetensors")).unwrap(),
        "model.safetensors",
    ),
    ("missing configuration", |f| fs::remove_file(f.join("config.json")).unwrap(), "config.json"),
    ("missing tokenizer", |f| fs::remove_file(f.join("tokenizer.json")).unwrap(), "tokenizer.json"),
    (
        "missing preprocessor",
        |f| fs::remove_file(f.join("preprocessor_config.json")).unwrap(),
        "preprocessor_config.json",
    ),
    ("missing manifest", |f| fs::remove_file(f.join("visor.json")).unwrap(), "no use for"),
    (
        "an extra tensor",
        |f| {
            resave(f, |tensors| {
                tensors.push(TensorToSave {
                    name: "visor.stray".to_owned(),
                    shape: vec![1],
                    data: vec![0.0].into(),
                })
            })
        },
        "`visor.stray`",
    ),
    (
        "a missing tensor",
        |f| {
            resave(f, |tensors| {
                tensors.remove(3);
            })
        },
        "is missing from",
    ),
    (
        "a tensor of another shape",
        |f| {
            resave(f, |tensors| {
                let tensor = tensors.iter_mut().find(|tensor| tensor.shape.len() == 2).unwrap();
                tensor.shape.reverse();
                tensor.shape[0] += 1;
                tensor.data = vec![0.0; tensor.shape.iter().product()].into();
            })
        },
        "has shape",
    ),
    (
        "another width in the configuration",
        |f| {
            replace(f, "config.json", "\"hidden_size\": 64", "\"hidden_size\": 128");
            resave(f, |_| ());
        },
        "has shape",
    ),
    (
        "another depth in the configuration",
        |f| {
            replace(f, "config.json", "\"num_hidden_layers\": 7", "\"num_hidden_layers\": 8");
            resave(f, |_| ());
        },
        "7",
    ),
    (
        "cross-attention that is not there",
        |f| replace(f, "visor.json", "    1,", "    0,"),
        "visor",
    ),
    (
        "a manifest of tomorrow",
        |f| {
            replace(f, "visor.json", "\"schema_version\": 1", "\"schema_version\": 2");
        },
        "schema version 2",
    ),
    (
        "an unknown field",
        |f| {
            replace(f, "visor.json", "\"schema_version\"", "\"x\": 1, \"schema_version\"");
        },
        "visor.json",
    ),
    ("layers of two kinds at once", |f| replace(f, "visor.json", "5", "6"), "visor.json"),
];

#[test]
fn every_damage_is_an_error_that_names_it_and_nothing_is_written() {
    let tiny = Tiny::new();
    let picture = tiny.picture();
    for (what, damage, says) in DAMAGES {
        let folder = tiny.root.path().join(what.replace(' ', "-"));
        fs::create_dir(&folder).unwrap();
        for (name, content) in contents(&tiny.checkpoint()) {
            fs::write(folder.join(name), content).unwrap();
        }
        damage(&folder);
        let before = contents(&folder);
        let args = ["ask", "--model", folder.to_str().unwrap(), "--image"];
        let error = visor([&args[..], &[picture.to_str().unwrap(), QUESTION]].concat()).error(1);
        assert!(error.contains(says), "{what}: {error}");
        assert_eq!(contents(&folder), before, "{what}");
    }
}

#[test]
fn folders_that_are_no_checkpoint_are_told_what_one_is() {
    let tiny = Tiny::new();
    let file = tiny.file("model.txt", b"weights");
    for (model, says) in [
        (tiny.root.path().to_owned(), "config.json"),
        (file, "model.txt"),
        (tiny.root.path().join("nowhere"), "expected a folder with a checkpoint"),
    ] {
        let error = visor(["ask", "--model", model.to_str().unwrap(), QUESTION]).error(1);
        assert!(error.contains(says), "{error}");
    }
}
