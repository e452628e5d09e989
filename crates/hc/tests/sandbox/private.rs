//! A machine of a test's own: network and mount namespaces that vanish with the value, and a directory beside them.
//!
//! The namespaces belong to a process that waits for its input to end; when the test is over, however, the process ends and the kernel
//! takes everything away. Nothing of the machine's own is touched. The tests of the daemon use it, too.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The machine.
pub struct Private {
    keeper: Child,
    directory: PathBuf,
}

impl Private {
    /// A new machine, its directory named by `word`; `None`, with a message, where the test may not make one.
    pub fn new(word: &str) -> Option<Self> {
        if !std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0) {
            assert!(
                std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(),
                "HOSTCOMPUTE_REQUIRE_ROOT is set, and this is not root"
            );
            eprintln!("skipped: only root can make a private host");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("{word}-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the test");
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
            .arg("ip link set lo up && echo ready && cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare of util-linux");
        let mut line = String::new();
        let out = keeper.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("the keeper speaks");
        assert_eq!(line, "ready\n", "the keeper of the namespaces did not start");
        Some(Self { keeper, directory })
    }

    /// The directory of the test.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The beginning of a command that runs on this machine: its program and arguments follow.
    pub fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        let keeper = self.keeper.id().to_string();
        command.args(["--net", "--mount", "--target", &keeper, "--"]).stdin(Stdio::null());
        command
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
