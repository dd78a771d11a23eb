//! Putting a finished folder in the place of an old one.

use std::io;
use std::path::Path;
use tempfile::TempDir;

/// Moves `staged` to `target`. What was at `target` before is removed.
///
/// Where the system can exchange two folders in one step, a reader finds the old folder or the new
/// one at every moment. Elsewhere there is an instant without either; if the second step fails the
/// old folder is put back.
pub(crate) fn swap_in(staged: TempDir, target: &Path) -> io::Result<()> {
    if !target.exists() {
        std::fs::rename(staged.path(), target)?;
        // There is nothing left at the temporary path to clean up.
        let _ = staged.keep();
        return Ok(());
    }
    match exchange(staged.path(), target) {
        // The temporary path now holds the old folder, and is removed as any temporary folder is.
        Ok(()) => Ok(()),
        Err(error) if is_unsupported(&error) => in_two_steps(staged, target),
        Err(error) => Err(error),
    }
}

fn in_two_steps(staged: TempDir, target: &Path) -> io::Result<()> {
    let parent = target.parent().unwrap_or(target);
    let old = tempfile::Builder::new().prefix(".visor-old-").tempdir_in(parent)?;
    let aside = old.path().join("checkpoint");
    std::fs::rename(target, &aside)?;
    if let Err(error) = std::fs::rename(staged.path(), target) {
        if std::fs::rename(&aside, target).is_err() {
            // The old checkpoint could not be put back: at least it must not be removed.
            let _ = old.keep();
        }
        return Err(error);
    }
    let _ = staged.keep();
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// File systems that cannot exchange say so in several ways.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn old_and_new() -> (TempDir, TempDir, std::path::PathBuf) {
        let root = TempDir::new().expect("a folder");
        let target = root.path().join("model");
        fs::create_dir(&target).expect("the old folder");
        fs::write(target.join("old"), "old").expect("an old file");
        let staged = TempDir::new_in(root.path()).expect("the new folder");
        fs::write(staged.path().join("new"), "new").expect("a new file");
        (root, staged, target)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }

    #[test]
    fn both_ways_of_swapping_leave_the_new_folder_and_nothing_else() {
        for swap in [swap_in, in_two_steps] {
            let (root, staged, target) = old_and_new();
            swap(staged, &target).expect("swapped");
            assert_eq!(names(&target), ["new"]);
            assert_eq!(names(root.path()), ["model"]);
        }
    }

    #[test]
    fn the_old_folder_is_put_back_when_the_second_step_fails() {
        let (root, staged, target) = old_and_new();
        fs::remove_dir_all(staged.path()).expect("the new folder goes away");
        in_two_steps(staged, &target).expect_err("nothing to swap in");
        assert_eq!(names(&target), ["old"]);
        assert_eq!(names(root.path()), ["model"]);
    }
}
