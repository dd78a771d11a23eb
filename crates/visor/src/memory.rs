//! How much memory a program may still take. A system that promises more than it has ends the program
//! that believes it, so what needs much asks first.

use std::fs;
use std::path::Path;
use thiserror::Error;

/// There is less memory than is needed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{} MiB of memory are needed and {} MiB are free", needed >> 20, free >> 20)]
pub struct TooLittleMemory {
    /// Bytes that are needed.
    pub needed: u64,
    /// Bytes that can be had.
    pub free: u64,
}

/// Holds bytes that are about to be taken against those that are free, where the system tells.
///
/// # Errors
/// [`TooLittleMemory`].
pub fn expect_free(needed: u64) -> Result<(), TooLittleMemory> {
    match free() {
        Some(free) if free < needed => Err(TooLittleMemory { needed, free }),
        Some(_) | None => Ok(()),
    }
}

/// Bytes that can be had without taking them from others: of the machine, and of the group of
/// processes that a container bounds. `None` where the system does not tell.
pub fn free() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(Path::new(path)).ok();
    let group = |name: &str| read(&format!("/sys/fs/cgroup/memory.{name}"));
    let machine = read("/proc/meminfo").as_deref().and_then(of_machine);
    let bounded = group("max").zip(group("current")).and_then(|(max, now)| of_group(&max, &now));
    [machine, bounded].into_iter().flatten().min()
}

/// From `/proc/meminfo`.
fn of_machine(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// From a group's bound, which may be `max`, and what its processes have.
fn of_group(max: &str, now: &str) -> Option<u64> {
    let (max, now): (u64, u64) = (max.trim().parse().ok()?, now.trim().parse().ok()?);
    Some(max.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_as_the_system_tells_it() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:      2048 kB\n";
        assert_eq!(of_machine(text), Some(2 << 20));
        assert_eq!(of_machine("MemTotal: 1 kB\n"), None);
        assert_eq!(of_group("3000\n", "1000\n"), Some(2000));
        assert_eq!((of_group("max\n", "1000\n"), of_group("1", "2")), (None, Some(0)));
    }

    #[test]
    fn more_than_any_machine_has_is_too_much_and_nothing_is_not() {
        assert_eq!(expect_free(0), Ok(()));
        if let Some(free) = free() {
            let error = expect_free(u64::MAX).expect_err("too much");
            assert_eq!(error.needed, u64::MAX);
            assert!(error.free.abs_diff(free) < 8 << 30, "{error}");
            assert!(error.to_string().contains("MiB of memory are needed"), "{error}");
        }
    }
}
