//! The most memory that was resident while something ran, where the system can tell.

use std::fs;

/// Forgets what was resident before. Linux alone can.
pub(crate) fn forget_peak() {
    // Where this fails the peak is that of the whole process, an upper bound.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Bytes; `None` where the system does not tell.
pub(crate) fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_holds_what_was_used() {
        let Some(_) = peak() else { return };
        forget_peak();
        let used = vec![7_u8; 64 << 20];
        let seen = peak().expect("told before");
        assert!(seen > used.iter().filter(|&&byte| byte == 7).count() as u64, "{seen}");
    }
}
