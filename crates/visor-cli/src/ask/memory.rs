//! How much memory the process has held at most.

/// The highest resident set so far in bytes, where the system tells it in a file.
pub(crate) fn peak_bytes() -> Option<u64> {
    of_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_kibibytes() {
        assert_eq!(of_status("Name:\tvisor\nVmHWM:\t   12 kB\nVmRSS:\t9 kB\n"), Some(12_288));
        assert_eq!(of_status("Name:\tvisor\n"), None);
    }
}
