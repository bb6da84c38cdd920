//! How much memory this process has used, where the system says so.

/// `, peak memory 0.71 GB`, or nothing.
pub(crate) fn peak() -> String {
    peak_bytes()
        .map_or(String::new(), |bytes| format!(", peak memory {:.2} GB", bytes as f64 / 1e9))
}

/// The most host memory the process has had at once, in bytes; `None` but on Linux.
pub(crate) fn peak_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// The host memory that the process has now, in bytes; `None` but on Linux.
pub(crate) fn resident_bytes() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Memory that programs can still have, in bytes; `None` but on Linux.
pub(crate) fn available_bytes() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// The machine's memory in bytes; `None` but on Linux.
pub(crate) fn total_bytes() -> Option<u64> {
    field("/proc/meminfo", "MemTotal:")
}

fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
