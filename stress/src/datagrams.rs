//! UDP datagrams out of a capture file, and back into one.
//!
//! Read are Ethernet (with VLAN tags), raw IP, Linux cooked captures (SLL and SLL2) and BSD loopback, IPv4 and IPv6,
//! each packet by the link type of its own interface. What is not a whole UDP datagram is counted and left out:
//! [`Traffic`] says how much of it there was.
//!
//! [`write_plain`] writes datagrams with other payloads in them.

mod frames;
mod write;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LenSource, TransportSlice, ip_number};
use pcap_file::DataLink;

use self::frames::{Frame, frames};
pub use self::write::write_plain;

/// One UDP datagram of a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its packet number in the file, counted from 1 as Wireshark does (frames that were skipped count too).
    pub frame: usize,
    /// Since 1970-01-01 00:00 UTC; zero if the file has no time for it.
    pub timestamp: Duration,
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// The UDP payload.
    pub payload: Vec<u8>,
    /// The IP header with its options or extension headers: all that precedes the UDP header.
    ip_header: Vec<u8>,
}

/// What a capture file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The UDP datagrams, in the order of the file.
    pub datagrams: Vec<Datagram>,
    /// Frames left out because they are not UDP over IP.
    pub other: usize,
    /// Fragments of UDP datagrams, left out: nothing here reassembles them.
    pub fragments: usize,
    /// UDP datagrams left out because the file has only a part of them (captured with a snap length), or because their
    /// length fields contradict what there is. A snapped frame that ends before it says whether it is UDP counts here.
    pub snapped: usize,
}

impl Traffic {
    /// Reads a pcap or pcapng file as a whole.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is neither pcap nor pcapng, ends inside a packet, or has a packet of a link type that
    /// is not read here. The error names the file, and the packet where there is one.
    pub fn read(path: &Path) -> Result<Self> {
        let file = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&file).with_context(|| format!("{}", path.display()))
    }

    fn parse(file: &[u8]) -> Result<Self> {
        let mut traffic = Traffic::default();
        for frame in frames(file)? {
            match Found::of(&frame).with_context(|| format!("packet {}", frame.number))? {
                Found::Datagram(datagram) => traffic.datagrams.push(datagram),
                Found::Other => traffic.other += 1,
                Found::Fragment => traffic.fragments += 1,
                Found::Snapped => traffic.snapped += 1,
            }
        }
        Ok(traffic)
    }
}

/// What one frame turned out to be.
enum Found {
    Datagram(Datagram),
    Other,
    Fragment,
    Snapped,
}

impl Found {
    fn of(frame: &Frame<'_>) -> Result<Self> {
        let Some(packet) = sliced(frame.link, &frame.octets)? else {
            return Ok(Self::unreadable(frame));
        };
        let (source, destination, ip_header) = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let (header, extensions) = (ip.header(), ip.extensions());
                let extensions = extensions.auth.as_ref().map_or(&[][..], |auth| auth.slice());
                let octets = [header.slice(), extensions].concat();
                (header.source_addr().into(), header.destination_addr().into(), octets)
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let octets = [ip.header().slice(), ip.extensions().slice()].concat();
                (ip.header().source_addr().into(), ip.header().destination_addr().into(), octets)
            }
            Some(LaxNetSlice::Arp(_)) => return Ok(Self::Other),
            None if packet.stop_err.is_some() => return Ok(Self::unreadable(frame)),
            None => return Ok(Self::Other),
        };
        match (packet.ip_payload(), &packet.transport) {
            // Where an extension header is cut off, it stands for what would have come after it.
            (Some(ip), _) if ip.ip_number.is_ipv6_ext_header_value() => Ok(Self::unreadable(frame)),
            (Some(ip), _) if ip.ip_number != ip_number::UDP => Ok(Self::Other),
            (Some(ip), _) if ip.fragmented => Ok(Self::Fragment),
            (_, Some(TransportSlice::Udp(udp))) if udp.payload_len_source() == LenSource::UdpHeaderLen => {
                Ok(Self::Datagram(Datagram {
                    frame: frame.number,
                    timestamp: frame.timestamp,
                    source: SocketAddr::new(source, udp.source_port()),
                    destination: SocketAddr::new(destination, udp.destination_port()),
                    payload: udp.payload().to_vec(),
                    ip_header,
                }))
            }
            _ => Ok(Self::Snapped),
        }
    }

    /// A frame whose headers make no sense: either they are cut off, or it is no traffic of ours.
    fn unreadable(frame: &Frame<'_>) -> Self {
        if frame.snapped { Self::Snapped } else { Self::Other }
    }
}

/// The layers of a frame; `None` if it is too short for its link layer or is no IP where there must be some.
fn sliced(link: DataLink, octets: &[u8]) -> Result<Option<LaxSlicedPacket<'_>>> {
    Ok(match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(octets).ok(),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => LaxSlicedPacket::from_ip(octets).ok(),
        // Four octets of address family, in the octet order of the capturing machine (LOOP: in network order). 2 is
        // IPv4 everywhere; IPv6 is 24, 28 or 30 on the BSDs, 10 on Linux, 23 on Windows.
        DataLink::NULL | DataLink::LOOP => match octets.split_first_chunk() {
            Some(([2 | 10 | 23 | 24 | 28 | 30, 0, 0, 0] | [0, 0, 0, 2 | 10 | 23 | 24 | 28 | 30], ip)) => {
                LaxSlicedPacket::from_ip(ip).ok()
            }
            _ => None,
        },
        // By hand: etherparse knows cooked frames of Ethernet devices only, not those of the loopback, and no SLL2.
        DataLink::LINUX_SLL => octets.split_first_chunk::<16>().map(|(&[.., high, low], payload)| {
            LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes([high, low])), payload)
        }),
        DataLink::LINUX_SLL2 => octets.split_first_chunk::<20>().map(|(&[high, low, ..], payload)| {
            LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes([high, low])), payload)
        }),
        link => bail!(
            "link type {} is not supported; keep only Ethernet, IP or cooked interfaces, or \
             capture with `tcpdump -i any`",
            u32::from(link)
        ),
    })
}
