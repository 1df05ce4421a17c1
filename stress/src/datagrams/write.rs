//! Datagrams with other payloads, as a capture file.
//!
//! Always raw IP (link type 101): the one link type that every input can be turned into, since each datagram has an IP
//! header while not each has a link layer, and one classic pcap has one link type for all. The IP header (options and
//! extension headers included) is the one that was read; lengths and checksums are computed anew.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use etherparse::err::ValueTooBigError;
use etherparse::{Ipv4Header, Ipv6Header, UdpHeader};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};

use super::Datagram;

/// Room for the largest IPv6 packet, and what tcpdump writes.
const SNAP_LEN: u32 = 262_144;

/// Writes a pcap (little-endian, microseconds, raw IP) of the given datagrams, each with the given UDP payload instead
/// of its own.
///
/// # Errors
///
/// The file cannot be written, a payload does not fit into a UDP datagram, or a timestamp does not fit into a pcap
/// (after the year 2106). The error names the file, and the datagram by its packet number in the file that it was read
/// from.
pub fn write_plain(path: &Path, plain: &[(&Datagram, &[u8])]) -> Result<()> {
    write(path, plain).with_context(|| format!("cannot write {}", path.display()))
}

fn write(path: &Path, plain: &[(&Datagram, &[u8])]) -> Result<()> {
    let header = PcapHeader {
        snaplen: SNAP_LEN,
        datalink: DataLink::RAW,
        ts_resolution: TsResolution::MicroSecond,
        endianness: Endianness::Little,
        ..PcapHeader::default()
    };
    let mut pcap = PcapWriter::with_header(BufWriter::new(File::create(path)?), header)?;
    for (datagram, payload) in plain {
        let read_as = || format!("datagram read from packet {}", datagram.frame);
        let packet = datagram.ip_packet(payload).with_context(read_as)?;
        let len = u32::try_from(packet.len())?;
        pcap.write_packet(&PcapPacket::new(datagram.timestamp, len, &packet)).with_context(read_as)?;
    }
    // Dropping the buffer would write it too, and swallow the error of a full disk.
    pcap.into_writer().flush()?;
    Ok(())
}

impl Datagram {
    /// The IP packet with another UDP payload; all else but lengths and checksums stays.
    fn ip_packet(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let (source, destination) = (self.source.port(), self.destination.port());
        let len = UdpHeader::LEN + payload.len();
        let mut packet = Vec::with_capacity(self.ip_header.len() + len);
        let udp = if self.source.is_ipv4() {
            let (mut ip, extensions) = Ipv4Header::from_slice(&self.ip_header)?;
            ip.set_payload_len(extensions.len() + len).map_err(too_long)?;
            ip.header_checksum = ip.calc_header_checksum();
            packet.extend_from_slice(&ip.to_bytes());
            packet.extend_from_slice(extensions);
            UdpHeader::with_ipv4_checksum(source, destination, &ip, payload).map_err(too_long)?
        } else {
            let (mut ip, extensions) = Ipv6Header::from_slice(&self.ip_header)?;
            ip.set_payload_length(extensions.len() + len).map_err(too_long)?;
            packet.extend_from_slice(&ip.to_bytes());
            packet.extend_from_slice(extensions);
            UdpHeader::with_ipv6_checksum(source, destination, &ip, payload).map_err(too_long)?
        };
        packet.extend_from_slice(&udp.to_bytes());
        packet.extend_from_slice(payload);
        Ok(packet)
    }
}

/// etherparse words this for programmers; the user wants the two numbers.
fn too_long(error: ValueTooBigError<usize>) -> anyhow::Error {
    anyhow::anyhow!("{} octets do not fit into one datagram, which holds {}", error.actual, error.max_allowed)
}
