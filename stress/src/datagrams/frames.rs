//! The packet records of a capture file, whatever its format.
//!
//! Classic pcap in either octet order with microseconds or nanoseconds, and pcapng with any number of sections and
//! interfaces. Three habits of `pcap-file` 2.0 are worked around here, so that nobody else has to know them:
//!
//! 1. Its checked pcap reader refuses a record whose original length exceeds the snap length, which is what *every*
//!    snapped record looks like. The raw records are read instead; what was cut off is for the caller to judge.
//! 2. It takes each pcapng timestamp for nanoseconds. [`Clock`] undoes that with the interface's own resolution (by
//!    default microseconds) and offset.
//! 3. It parses every pcapng block, and fails on odd ones of no interest here (name resolution, statistics). Blocks are
//!    split off raw, and only packets are parsed.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use pcap_file::pcap::{PcapParser, RawPcapPacket};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK};
use pcap_file::pcapng::{Block, PcapNgParser};
use pcap_file::{DataLink, PcapError, TsResolution};

/// The first octets of a pcapng file (its section header's block type, a palindrome).
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// One packet record.
pub(super) struct Frame<'a> {
    /// Which packet of the file this is, counted from 1 as Wireshark and tshark do.
    pub(super) number: usize,
    /// Since 1970-01-01 00:00 UTC; zero where the file does not say (pcapng simple packets).
    pub(super) timestamp: Duration,
    /// What `octets` begins with.
    pub(super) link: DataLink,
    /// What was captured of the packet.
    pub(super) octets: Cow<'a, [u8]>,
    /// Whether that is less than there was on the wire.
    pub(super) snapped: bool,
}

/// All packet records of a capture file's contents.
///
/// # Errors
///
/// The contents are neither pcap nor pcapng, are damaged, or end inside a record: the error names the packet.
pub(super) fn frames(file: &[u8]) -> Result<Vec<Frame<'_>>> {
    if file.starts_with(&PCAPNG_MAGIC) { pcapng_frames(file) } else { pcap_frames(file) }
}

fn pcap_frames(file: &[u8]) -> Result<Vec<Frame<'_>>> {
    let (mut rest, parser) = PcapParser::new(file)
        .map_err(explained)
        .context("not a pcap or pcapng file (a compressed one must be unpacked first)")?;
    let header = parser.header();
    let link = link_type(header.datalink);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let number = frames.len() + 1;
        let (after, record) =
            parser.next_raw_packet(rest).map_err(explained).with_context(|| format!("packet {number}"))?;
        let RawPcapPacket { ts_sec, ts_frac, incl_len, orig_len, data: octets } = record;
        let fraction = match header.ts_resolution {
            TsResolution::MicroSecond => Duration::from_micros(ts_frac.into()),
            TsResolution::NanoSecond => Duration::from_nanos(ts_frac.into()),
        };
        let timestamp = Duration::from_secs(ts_sec.into()) + fraction;
        frames.push(Frame { number, timestamp, link, octets, snapped: incl_len < orig_len });
        rest = after;
    }
    Ok(frames)
}

fn pcapng_frames(file: &[u8]) -> Result<Vec<Frame<'_>>> {
    let (mut rest, mut parser) = PcapNgParser::new(file).map_err(explained).context("pcapng section header")?;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let number = frames.len() + 1;
        // This keeps the parser's sections and interfaces; parsing the same packet block again below changes neither.
        let (after, raw) =
            parser.next_raw_block(rest).map_err(explained).with_context(|| format!("block before packet {number}"))?;
        if matches!(raw.type_, ENHANCED_PACKET_BLOCK | SIMPLE_PACKET_BLOCK | PACKET_BLOCK) {
            let (_, block) = parser.next_block(rest).map_err(explained).with_context(|| format!("packet {number}"))?;
            frames.push(packet_block(block, parser.interfaces(), number).with_context(|| format!("packet {number}"))?);
        }
        rest = after;
    }
    Ok(frames)
}

fn packet_block<'a>(
    block: Block<'a>,
    interfaces: &[InterfaceDescriptionBlock<'_>],
    number: usize,
) -> Result<Frame<'a>> {
    match block {
        Block::EnhancedPacket(packet) => {
            let id = packet.interface_id;
            let interface = usize::try_from(id).ok().and_then(|id| interfaces.get(id));
            let interface = interface.with_context(|| format!("interface {id} is not described before it"))?;
            // The crate filled a `Duration` with the file's ticks as if they were nanoseconds.
            let timestamp = Clock::of(interface)?.time(packet.timestamp.as_nanos())?;
            let snapped = packet.data.len() < usize::try_from(packet.original_len)?;
            Ok(Frame { number, timestamp, link: link_type(interface.linktype), octets: packet.data, snapped })
        }
        Block::SimplePacket(packet) => {
            let interface = interfaces.first().context("a simple packet block needs an interface before it")?;
            // The block has no captured length of its own, and the crate leaves the padding in the data.
            let wire_len = usize::try_from(packet.original_len)?;
            let snap_len = if interface.snaplen == 0 { usize::MAX } else { usize::try_from(interface.snaplen)? };
            let len = wire_len.min(snap_len);
            let octets = match packet.data {
                Cow::Borrowed(data) => data.get(..len).context("shorter than its length field says")?.into(),
                Cow::Owned(data) => data.get(..len).context("shorter than its length field says")?.to_vec().into(),
            };
            let link = link_type(interface.linktype);
            Ok(Frame { number, timestamp: Duration::ZERO, link, octets, snapped: len < wire_len })
        }
        _ => bail!("obsolete pcapng packet block; rewrite the file with `editcap -F pcap IN OUT`"),
    }
}

/// How one pcapng interface counts time.
struct Clock {
    ticks_per_second: u64,
    offset: i64,
}

impl Clock {
    fn of(interface: &InterfaceDescriptionBlock<'_>) -> Result<Self> {
        let mut clock = Clock { ticks_per_second: 1_000_000, offset: 0 };
        for option in &interface.options {
            match option {
                InterfaceDescriptionOption::IfTsResol(value) => {
                    // The top bit tells a power of two from a power of ten.
                    let (base, exponent) = (if value & 0x80 == 0 { 10_u64 } else { 2 }, u32::from(value & 0x7f));
                    let ticks = base.checked_pow(exponent);
                    clock.ticks_per_second = ticks.with_context(|| format!("clock of {base}^-{exponent} seconds"))?;
                }
                InterfaceDescriptionOption::IfTsOffset(seconds) => clock.offset = seconds.cast_signed(),
                _ => {}
            }
        }
        Ok(clock)
    }

    fn time(&self, ticks: u128) -> Result<Duration> {
        let per_second = u128::from(self.ticks_per_second);
        let seconds = i128::try_from(ticks / per_second)? + i128::from(self.offset);
        ensure!(seconds >= 0, "timestamp before 1970");
        Ok(Duration::new(u64::try_from(seconds)?, u32::try_from(ticks % per_second * 1_000_000_000 / per_second)?))
    }
}

/// The link type alone: the upper half of the field tells the length of a frame check sequence.
fn link_type(field: DataLink) -> DataLink {
    DataLink::from(u32::from(field) & 0xffff)
}

/// What the user can do about it. "Need more bytes" means something else when there are no more.
fn explained(error: PcapError) -> anyhow::Error {
    match error {
        PcapError::IncompleteBuffer => {
            anyhow!("the file ends inside it: the file was cut off or is damaged; copy or capture it again")
        }
        error => anyhow!("{error}; if Wireshark opens the file, rewrite it with `editcap -F pcap IN OUT`"),
    }
}
