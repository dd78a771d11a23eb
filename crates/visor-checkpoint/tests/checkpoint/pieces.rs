//! Tensors that are larger than what is read at a time.

use crate::support::{ONE_FILE, open, save_tensors};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use visor_checkpoint::{
    CheckpointError, Dtype, Parts, Reading, ReadingStage, Streamed, TensorOutline, TensorToSave,
    Watch, Weights, save_streamed, scale_of,
};

/// Rows that end within pieces, and a mebibyte and a half of them in a byte each.
const SHAPE: [usize; 2] = [1539, 1023];
/// Most bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// Values that all number formats can hold.
fn large() -> TensorToSave<'static> {
    let data: Vec<f32> = (0..SHAPE[0] * SHAPE[1]).map(|i| (i % 251) as f32 - 125.0).collect();
    TensorToSave { name: "large".to_owned(), shape: SHAPE.to_vec(), data: data.into() }
}

fn weights(folder: &Path) -> Weights {
    open(folder).and_then(|checkpoint| checkpoint.weights()).expect("opened")
}

/// All values in pieces, and the length of each.
fn pieces(weights: &mut Weights) -> Result<(Vec<f32>, Vec<usize>), CheckpointError> {
    let (mut all, mut lengths) = (Vec::new(), Vec::new());
    weights.take_in_pieces("large", &SHAPE, &mut |piece| {
        all.extend_from_slice(piece);
        lengths.push(piece.len());
        Ok::<_, CheckpointError>(())
    })?;
    Ok((all, lengths))
}

#[test]
fn pieces_of_a_tensor_are_small_and_together_what_is_taken_whole() {
    for dtype in Dtype::ALL {
        let root = TempDir::new().expect("a folder");
        let folder = root.path().join("m");
        save_tensors(&folder, &[large()], None, dtype, ONE_FILE).expect("saved");
        let mut weights = weights(&folder);
        let (all, lengths) = pieces(&mut weights).expect("taken");
        assert!(all == *large().data && all == weights.take("large", &SHAPE).expect("taken"));
        assert!(lengths.len() > 2, "{dtype}: {lengths:?}");
        assert!(lengths.iter().all(|&length| length * dtype.bytes() <= PIECE), "{lengths:?}");
        assert_eq!(weights.finish().expect("nothing is left").tensors, 1);
    }
}

#[test]
fn whole_numbers_in_pieces_are_times_the_factors_of_their_rows() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("m");
    let factors: Vec<f32> = (0..SHAPE[0]).map(|row| 0.5 + row as f32 / 1024.0).collect();
    let factors =
        TensorToSave { name: scale_of("large"), shape: vec![SHAPE[0]], data: factors.into() };
    let tensors = [large(), factors.clone()];
    let outlines: Vec<TensorOutline> = tensors
        .iter()
        .map(|t| TensorOutline { name: t.name.clone(), shape: t.shape.clone() })
        .collect();
    let values = &mut |outline: &TensorOutline| {
        let tensor = tensors.iter().find(|tensor| tensor.name == outline.name);
        Ok(tensor.expect("one of them").data.clone())
    };
    let formats = |name: &str| if name == "large" { Dtype::I8 } else { Dtype::F32 };
    let parts = Parts {
        config_json: b"{}",
        extra_files: &[],
        manifest: None,
        formats: &formats,
        max_shard_bytes: ONE_FILE,
    };
    save_streamed(&folder, &parts, Streamed { outlines: &outlines, values }).expect("saved");
    let (all, lengths) = pieces(&mut weights(&folder)).expect("taken");
    assert_eq!(lengths, [PIECE, SHAPE[0] * SHAPE[1] - PIECE]);
    let wanted = large();
    let rows = wanted.data.chunks_exact(SHAPE[1]).zip(factors.data.iter());
    let wanted: Vec<f32> =
        rows.flat_map(|(row, factor)| row.iter().map(move |value| value * factor)).collect();
    assert!(all == wanted, "each row has its own factor");
}

#[test]
fn a_value_that_is_not_finite_is_counted_through_all_pieces() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("m");
    save_tensors(&folder, &[large()], None, Dtype::F32, ONE_FILE).expect("saved");
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("read");
    let place = bytes.len() - 4 * 10;
    bytes[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).expect("written");
    let bad = SHAPE[0] * SHAPE[1] - 10;
    let mut seen = 0;
    let error = weights(&folder)
        .take_in_pieces("large", &SHAPE, &mut |piece| {
            seen += piece.len();
            Ok::<_, CheckpointError>(())
        })
        .expect_err("not finite");
    assert!(matches!(error, CheckpointError::NonFinite { index, .. } if index == bad), "{error}");
    assert!(seen > 0 && seen <= bad, "{seen}: what is wrong is passed to nobody");
    // The same file without its end.
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
    let error = open(&folder).and_then(|checkpoint| checkpoint.weights()).map(|_| ());
    assert!(matches!(error, Err(CheckpointError::Header { .. })), "{error:?}");
}

#[test]
fn what_the_reader_of_pieces_finds_wrong_ends_the_reading() {
    #[derive(Debug)]
    enum Wrong {
        File(CheckpointError),
        Mine,
    }
    impl From<CheckpointError> for Wrong {
        fn from(error: CheckpointError) -> Self {
            Self::File(error)
        }
    }
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("m");
    save_tensors(&folder, &[large()], None, Dtype::BF16, ONE_FILE).expect("saved");
    let mut weights = weights(&folder);
    let mut pieces = 0;
    let mut refuse = |_: &[f32]| -> Result<(), Wrong> {
        pieces += 1;
        Err(Wrong::Mine)
    };
    let error = weights.take_in_pieces("large", &SHAPE, &mut refuse).expect_err("refused");
    assert!(matches!(error, Wrong::Mine), "{error:?}");
    let error = weights.take_in_pieces("large", &[1], &mut refuse).expect_err("another shape");
    assert!(matches!(error, Wrong::File(CheckpointError::Shape { .. })), "{error:?}");
    assert_eq!(pieces, 1);
    // What was not read to its end has not been taken.
    assert!(matches!(weights.finish(), Err(CheckpointError::Unused { .. })));
}

#[test]
fn a_watcher_is_told_of_every_piece() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("m");
    save_tensors(&folder, &[large()], None, Dtype::BF16, ONE_FILE).expect("saved");
    let told: Arc<Mutex<Vec<Reading>>> = Arc::default();
    let seen = Arc::clone(&told);
    let watch = Watch::new(move |reading| seen.lock().expect("told").push(reading));
    let mut weights = open(&folder).expect("opened").watched(watch).weights().expect("opened");
    let (_, lengths) = pieces(&mut weights).expect("taken");
    let told = told.lock().expect("told");
    let mut done = 0;
    let wanted: Vec<u64> = lengths
        .iter()
        .map(|&length| {
            done += 2 * length as u64;
            done
        })
        .collect();
    assert!(told.iter().all(|reading| reading.stage == ReadingStage::Load));
    assert_eq!(told.iter().map(|reading| reading.done).collect::<Vec<_>>(), wanted);
    assert_eq!(told.last().map(|last| last.bytes), Some(done));
}
