//! Captures with a side file: what a receiver must make of each datagram.
//!
//! A capture is a pcap and a JSON file beside it. The fields of the JSON file are in `format` and `values`, what must
//! hold between them in `check`, the counting of accepted and rejected packets in `tally`; all of it is re-exported
//! here. [`Capture::load`] pairs the n-th UDP datagram of the pcap with `packets[n]`, and refuses the pair unless every
//! length, port, kind, SSRC and sequence number agrees: an oracle that judges the wrong packet would be worse than
//! none.

mod check;
mod format;
mod tally;
mod values;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

pub use self::format::{Key, Packet, Side, UdpPorts};
pub use self::tally::{Accepted, Tally, Totals};
pub use self::values::{Kind, Sha256Sum, Ssrc, Verdict};
use crate::datagrams::{Datagram, Traffic};

/// The folder of the captures that come with this crate.
pub const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/captures");

/// One capture: its side file and its datagrams, which agree with each other.
#[derive(Debug)]
pub struct Capture {
    /// The side file's name without folder and extension.
    pub name: String,
    /// What is known about the capture.
    pub side: Side,
    /// The datagrams; the n-th belongs to `side.packets[n]`.
    pub datagrams: Vec<Datagram>,
}

impl Capture {
    /// Reads a side file, and the capture file that it names, from the same folder.
    ///
    /// # Errors
    ///
    /// Either file cannot be read or makes no sense, or they do not agree. The error names the file and the packet.
    pub fn load(json: &Path) -> Result<Self> {
        let text = std::fs::read(json).with_context(|| format!("cannot read {}", json.display()))?;
        let side = Side::parse(&text).with_context(|| format!("{}", json.display()))?;
        let pcap = json.with_file_name(&side.capture);
        let traffic = Traffic::read(&pcap).with_context(|| format!("capture of {}", json.display()))?;
        Self::pair(name(json), side, traffic)
            .with_context(|| format!("{} does not belong to {}", pcap.display(), json.display()))
    }

    fn pair(name: String, side: Side, traffic: Traffic) -> Result<Self> {
        let Traffic { datagrams, other, fragments, snapped } = traffic;
        ensure!(
            datagrams.len() == side.packets.len(),
            "it has {} whole UDP datagrams (left out: {snapped} snapped, {fragments} fragments, {other} others), and {} \
             packets are described",
            datagrams.len(),
            side.packets.len()
        );
        for (packet, datagram) in side.packets.iter().zip(&datagrams) {
            agree(&side, packet, datagram)
                .with_context(|| format!("packet {} (number {} in the capture)", packet.n, datagram.frame))?;
        }
        Ok(Capture { name, side, datagrams })
    }
}

/// Whether a datagram can be the described packet.
fn agree(side: &Side, packet: &Packet, datagram: &Datagram) -> Result<()> {
    let (port, payload) = (datagram.destination.port(), datagram.payload.as_slice());
    ensure!(payload.len() == packet.len, "payload of {} octets, described as {}", payload.len(), packet.len);
    let Some(kind) = side.udp_ports.kind(port, payload) else {
        bail!("sent to port {port}, which is neither the RTP nor the RTCP port");
    };
    ensure!(kind == packet.kind, "{kind} by its port and payload type, described as {}", packet.kind);
    // What the packet itself says about the fields that stay in the clear; it may be too short to say anything.
    if let Some(ssrc) = kind.ssrc(payload) {
        ensure!(ssrc == packet.ssrc, "SSRC {ssrc}, described as {}", packet.ssrc);
    }
    if let (Kind::Rtp, &[_, _, high, low, ..]) = (kind, payload) {
        let seq = u16::from_be_bytes([high, low]);
        let described = packet.seq.map_or("missing".to_owned(), |seq| seq.to_string());
        ensure!(packet.seq == Some(seq), "sequence number {seq}, described as {described}");
    }
    Ok(())
}

/// A side file's name without folder and extension.
pub fn name(json: &Path) -> String {
    json.file_stem().unwrap_or(json.as_os_str()).to_string_lossy().into_owned()
}

/// The side files of a folder (every `*.json`), sorted by name.
///
/// # Errors
///
/// The folder cannot be read, or has none.
pub fn side_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = entries().with_context(|| format!("cannot read the folder {}", dir.display()))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    ensure!(!paths.is_empty(), "{} has no captures: expected NAME.json files with a pcap beside each", dir.display());
    Ok(paths)
}

/// Loads every capture of a folder (every `*.json` with its pcap), sorted by name.
///
/// # Errors
///
/// The folder cannot be read, has no side file, or one of its captures does not load: none is skipped.
pub fn load_dir(dir: &Path) -> Result<Vec<Capture>> {
    side_files(dir)?.iter().map(|path| Capture::load(path)).collect()
}
