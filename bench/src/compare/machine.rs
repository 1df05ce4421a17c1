//! What the measurements were made on, and with.

use super::peers::{self, Peer, Visitor};
use anyhow::Result;
use core_affinity::CoreId;

/// The cores that threads may be pinned to.
pub(crate) fn cores() -> Vec<CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// Says on standard error what runs where.
pub(crate) fn describe() -> Result<()> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor of unknown model", |(_, model)| model);
    eprintln!("machine: {model}, {} cores", cores().len());
    eprintln!("keyflip: {}", env!("CARGO_PKG_VERSION"));
    peers::visit(&mut Versions)
}

struct Versions;

impl Visitor for Versions {
    fn visit<P: Peer>(&mut self) -> Result<()> {
        eprintln!("{}: {}", P::NAME, P::version()?);
        if let Some(reason) = P::NO_SFU {
            eprintln!("{}: not in sfu, since it {reason}", P::NAME);
        }
        if let Some(reason) = P::NO_REKEY {
            eprintln!("{}: not where keys turn, since it {reason}", P::NAME);
        }
        Ok(())
    }
}
