//! `cargo xtask bench`: the benchmarks in process, then those over loopback.

use crate::command::{cargo, command, show};
use crate::machine;
use anyhow::{Result, bail};
use std::path::Path;

/// Runs `cargo bench`, then bench/run.sh, which needs nginx and wrk.
pub fn run(root: &Path) -> Result<()> {
    show(cargo().current_dir(root).args(["bench", "--workspace", "--all-features", "--benches"]))?;
    let script = root.join("bench/run.sh");
    if !script.exists() {
        bail!("bench/run.sh is missing: the benchmarks over loopback did not run");
    }
    machine::need_programs(&[("nginx", "nginx"), ("wrk", "wrk")])?;
    show(command(script).current_dir(root))
}
