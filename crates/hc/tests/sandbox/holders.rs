//! Who has files open, as `/proc` tells.

use std::path::Path;

/// The processes that have this file, or one below this directory, open: their numbers.
pub fn holders(path: &Path) -> Vec<String> {
    let path = path.canonicalize().expect("there");
    let holds = |pid: &String| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        open.any(|target| target.starts_with(&path))
    };
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.filter(|pid| pid.parse::<u32>().is_ok()).filter(holds).collect()
}
