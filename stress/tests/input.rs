//! The input layer: capture files, side files, and the oracle that judges by them.

use std::borrow::Cow;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etherparse::{IpFragOffset, IpHeaders, Ipv4Header, Ipv6FlowLabel, PacketBuilder, UdpHeader, VlanId, ip_number};
use keyflip_stress::datagrams::{Datagram, Traffic, write_plain};
use keyflip_stress::oracle::{Difference, Oracle, Outcome};
use keyflip_stress::side::{Capture, Kind, SHIPPED, Sha256Sum, Side, UdpPorts, Verdict, load_dir};
use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::{PcapNgWriter, RawBlock};
use pcap_file::{DataLink, Endianness, TsResolution};
use serde_json::{Value, json};
use tempfile::TempDir;

const T: Duration = Duration::new(1_700_000_000, 123_456_789);
const T_MICROS: Duration = Duration::new(1_700_000_000, 123_456_000);
const PAYLOAD: &[u8] = b"\x80\x00\x00\x07a payload of odd length";

// ---------------------------------------------------------------- capture files made here

fn ethernet(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(4004, 5004);
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// IPv4/UDP without a link layer.
fn ipv4(payload: &[u8]) -> Vec<u8> {
    ethernet(payload).split_off(14)
}

fn ipv6(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 9).udp(4004, 5004).write(&mut packet, payload).unwrap();
    packet
}

struct File {
    _dir: TempDir,
    path: PathBuf,
}

impl File {
    fn new(name: &str, contents: &[u8]) -> File {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, contents).unwrap();
        File { _dir: dir, path }
    }

    fn read(&self) -> Traffic {
        Traffic::read(&self.path).unwrap()
    }

    fn error(&self) -> String {
        let error = format!("{:#}", Traffic::read(&self.path).unwrap_err());
        assert!(error.contains(self.path.to_str().unwrap()), "{error} does not name the file");
        error
    }
}

fn pcap_bytes(header: PcapHeader, records: &[(&[u8], usize)]) -> Vec<u8> {
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    let ts_frac = match header.ts_resolution {
        TsResolution::MicroSecond => T.subsec_micros(),
        TsResolution::NanoSecond => T.subsec_nanos(),
    };
    for (data, wire_len) in records {
        let (incl_len, orig_len) = (data.len().try_into().unwrap(), (*wire_len).try_into().unwrap());
        let ts_sec = T.as_secs().try_into().unwrap();
        let packet = RawPcapPacket { ts_sec, ts_frac, incl_len, orig_len, data: Cow::Borrowed(data) };
        writer.write_raw_packet(&packet).unwrap();
    }
    writer.into_writer()
}

/// A pcap of whole frames.
fn pcap(link: DataLink, frames: &[Vec<u8>]) -> File {
    let records: Vec<_> = frames.iter().map(|frame| (&frame[..], frame.len())).collect();
    File::new("made.pcap", &pcap_bytes(PcapHeader { datalink: link, ..PcapHeader::default() }, &records))
}

/// The only datagram in a pcap of the one given frame.
fn only(link: DataLink, frame: Vec<u8>) -> Datagram {
    let traffic = pcap(link, &[frame]).read();
    assert_eq!((traffic.other, traffic.fragments, traffic.snapped, traffic.datagrams.len()), (0, 0, 0, 1));
    traffic.datagrams.into_iter().next().unwrap()
}

fn interface(link: DataLink, options: Vec<InterfaceDescriptionOption<'static>>) -> InterfaceDescriptionBlock<'static> {
    InterfaceDescriptionBlock { linktype: link, snaplen: 0, options }
}

/// The crate writes the nanoseconds of the `Duration` as the ticks of the file, whatever a tick is.
fn enhanced(interface_id: u32, ticks: u64, data: &[u8]) -> EnhancedPacketBlock<'_> {
    let original_len = data.len().try_into().unwrap();
    EnhancedPacketBlock {
        interface_id,
        timestamp: Duration::from_nanos(ticks),
        original_len,
        data: Cow::Borrowed(data),
        options: vec![],
    }
}

// ---------------------------------------------------------------- reading

#[test]
fn every_shipped_capture_loads_and_agrees_with_its_side_file() {
    let captures = load_dir(Path::new(SHIPPED)).unwrap();
    assert_eq!(captures.len(), 12);
    assert!(captures.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(captures.iter().map(|capture| capture.datagrams.len()).sum::<usize>(), 11_235);
    for capture in &captures {
        assert_eq!(capture.side.capture, format!("{}.pcap", capture.name));
        let traffic = Traffic::read(&Path::new(SHIPPED).join(&capture.side.capture)).unwrap();
        assert_eq!((traffic.other, traffic.fragments, traffic.snapped), (0, 0, 0), "{}", capture.name);
    }
    let mess = &captures[7].side;
    assert_eq!(mess.verdicts.as_ref().unwrap()[&Verdict::TooOld], 8);
    assert_eq!(mess.packets[4].also_allowed, [Verdict::Malformed, Verdict::Replayed, Verdict::TooOld]);
    assert_eq!(captures[6].side.keys.iter().map(|key| key.from_packet).collect::<Vec<_>>(), [0, 150, 420, 560]);
    assert!(captures[5].side.keys.iter().all(|key| key.mki.len() == 4 && key.master_key.len() == 16));
}

#[test]
fn pcaps_of_either_octet_order_and_resolution_read_the_same() {
    let frame = ethernet(PAYLOAD);
    for endianness in [Endianness::Big, Endianness::Little] {
        for (ts_resolution, timestamp) in [(TsResolution::MicroSecond, T_MICROS), (TsResolution::NanoSecond, T)] {
            let header = PcapHeader { endianness, ts_resolution, ..PcapHeader::default() };
            let traffic = File::new("a.pcap", &pcap_bytes(header, &[(&frame, frame.len())])).read();
            let [datagram] = &traffic.datagrams[..] else { panic!("{traffic:?}") };
            assert_eq!((datagram.timestamp, datagram.frame), (timestamp, 1));
            assert_eq!(datagram.payload, PAYLOAD);
            assert_eq!(datagram.source, "10.0.0.1:4004".parse().unwrap());
            assert_eq!(datagram.destination, "10.0.0.2:5004".parse().unwrap());
        }
    }
}

#[test]
fn every_link_type_gives_the_same_datagram() {
    let plain = only(DataLink::RAW, ipv4(PAYLOAD));
    assert_eq!(only(DataLink::ETHERNET, ethernet(PAYLOAD)), plain);
    assert_eq!(only(DataLink::IPV4, ipv4(PAYLOAD)), plain);
    // The upper half of a pcap's link type field is about the frame check sequence.
    assert_eq!(only(DataLink::from(0x2400_0001), [ethernet(PAYLOAD), vec![1, 2, 3, 4]].concat()), plain);
    for header in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        assert_eq!(only(DataLink::NULL, [&header[..], &ipv4(PAYLOAD)].concat()), plain);
    }
    // ARPHRD_LOOPBACK (772), which etherparse's own SLL parser does not take.
    let cooked = [0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
    assert_eq!(only(DataLink::LINUX_SLL, [&cooked[..], &ipv4(PAYLOAD)].concat()), plain);
    let cooked = [8, 0, 0, 0, 0, 0, 0, 1, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(only(DataLink::LINUX_SLL2, [&cooked[..], &ipv4(PAYLOAD)].concat()), plain);
}

#[test]
fn vlan_tags_and_ethernet_padding_are_not_in_the_datagram() {
    let (outer, inner) = (VlanId::try_new(7).unwrap(), VlanId::try_new(8).unwrap());
    let ip = |payload: &[u8]| {
        let header = Ipv4Header::new(0, 64, ip_number::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        let len = payload.len();
        (IpHeaders::Ipv4(header, Default::default()), len)
    };
    let untagged = {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6]).ip(ip(b"x").0).udp(4004, 5004).write(&mut frame, b"x").unwrap();
        frame.resize(60, 0);
        only(DataLink::ETHERNET, frame)
    };
    assert_eq!(untagged.payload, b"x");
    let mut single = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).single_vlan(outer).ip(ip(b"x").0);
    builder.udp(4004, 5004).write(&mut single, b"x").unwrap();
    assert_eq!(only(DataLink::ETHERNET, single), untagged);
    let mut double = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).double_vlan(outer, inner).ip(ip(b"x").0);
    builder.udp(4004, 5004).write(&mut double, b"x").unwrap();
    assert_eq!(only(DataLink::ETHERNET, double), untagged);
}

#[test]
fn ipv6_is_read_with_and_without_extension_headers() {
    let plain = only(DataLink::RAW, ipv6(PAYLOAD));
    assert_eq!(plain.payload, PAYLOAD);
    assert_eq!(plain.source.ip(), IpAddr::from([0xfd; 16]));
    assert_eq!(only(DataLink::IPV6, ipv6(PAYLOAD)), plain);
    assert_eq!(only(DataLink::NULL, [&[30, 0, 0, 0], &ipv6(PAYLOAD)[..]].concat()), plain);
    assert_eq!(only(DataLink::RAW, with_hop_by_hop(ipv6(PAYLOAD))).payload, PAYLOAD);
}

/// Puts a hop-by-hop extension header (padding only) between IPv6 and UDP.
fn with_hop_by_hop(mut packet: Vec<u8>) -> Vec<u8> {
    packet.splice(40..40, [ip_number::UDP.0, 0, 1, 4, 0, 0, 0, 0]);
    packet[6] = ip_number::IPV6_HEADER_HOP_BY_HOP.0;
    packet[5] += 8;
    packet
}

#[test]
fn what_is_not_a_whole_udp_datagram_is_counted_and_left_out() {
    let mut tcp = Vec::new();
    PacketBuilder::ipv4([1; 4], [2; 4], 9).tcp(1, 2, 3, 4).write(&mut tcp, PAYLOAD).unwrap();
    let mut fragment = Ipv4Header::new(16, 64, ip_number::UDP, [1; 4], [2; 4]).unwrap();
    fragment.more_fragments = true;
    fragment.fragment_offset = IpFragOffset::try_new(1).unwrap();
    fragment.header_checksum = fragment.calc_header_checksum();
    let fragment = [&fragment.to_bytes()[..], &[0; 16]].concat();
    let mut fragment6 = ipv6(PAYLOAD);
    fragment6.splice(40..40, [ip_number::UDP.0, 0, 0, 1, 0, 0, 0, 9]);
    fragment6[6] = ip_number::IPV6_FRAGMENTATION_HEADER.0;
    fragment6[5] += 8;
    // The lengths of these two claim more than there is.
    let mut long_ip = ipv4(PAYLOAD);
    long_ip.truncate(40);
    let mut long_udp = ipv4(PAYLOAD);
    long_udp[25] += 1;
    let file = pcap(
        DataLink::RAW,
        &[vec![], vec![0xff; 40], tcp, fragment, fragment6, long_ip, long_udp, ipv4(PAYLOAD), vec![0x45]],
    );
    let traffic = file.read();
    assert_eq!((traffic.other, traffic.fragments, traffic.snapped), (4, 2, 2));
    assert_eq!(traffic.datagrams.iter().map(|datagram| datagram.frame).collect::<Vec<_>>(), [8]);

    let arp = [&[0xff; 12][..], &[8, 6], &[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    let spanning_tree = [&[0xff; 12][..], &[0, 38], &[0x42; 38]].concat();
    let traffic = pcap(DataLink::ETHERNET, &[arp, spanning_tree, vec![1, 2, 3]]).read();
    assert_eq!((traffic.other, traffic.datagrams.len()), (3, 0));
}

#[test]
fn a_snapped_frame_is_counted_wherever_the_cut_is() {
    for frame in
        [ethernet(PAYLOAD), [&ethernet(PAYLOAD)[..12], &[0x86, 0xdd], &with_hop_by_hop(ipv6(PAYLOAD))].concat()]
    {
        for len in 0..frame.len() {
            let snaplen = len.try_into().unwrap();
            let header = PcapHeader { snaplen, ..PcapHeader::default() };
            let traffic = File::new("snapped.pcap", &pcap_bytes(header, &[(&frame[..len], frame.len())])).read();
            assert_eq!((traffic.snapped, traffic.other, traffic.datagrams.len()), (1, 0, 0), "cut to {len}");
        }
    }
    // This one says in time that it is no UDP.
    let mut tcp = ipv4(PAYLOAD);
    tcp[9] = ip_number::TCP.0;
    let header = PcapHeader { datalink: DataLink::RAW, snaplen: 24, ..PcapHeader::default() };
    let traffic = File::new("tcp.pcap", &pcap_bytes(header, &[(&tcp[..24], tcp.len())])).read();
    assert_eq!((traffic.snapped, traffic.other), (0, 1));
}

#[test]
fn a_pcapng_reads_the_same_as_the_pcap() {
    let shipped = Traffic::read(&Path::new(SHIPPED).join("01-pcma-cm80.pcap")).unwrap();
    for endianness in [Endianness::Big, Endianness::Little] {
        let mut pcapng = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
        // No if_tsresol: microseconds.
        pcapng.write_pcapng_block(interface(DataLink::ETHERNET, vec![])).unwrap();
        let original = fs::read(Path::new(SHIPPED).join("01-pcma-cm80.pcap")).unwrap();
        let (mut rest, parser) = pcap_file::pcap::PcapParser::new(&original).unwrap();
        while !rest.is_empty() {
            let (after, packet) = parser.next_packet(rest).unwrap();
            let ticks = packet.timestamp.as_micros().try_into().unwrap();
            pcapng.write_pcapng_block(enhanced(0, ticks, &packet.data)).unwrap();
            rest = after;
        }
        assert_eq!(File::new("a.pcapng", &pcapng.into_inner()).read(), shipped);
    }
}

#[test]
fn pcapng_interfaces_have_link_types_and_clocks_of_their_own() {
    use InterfaceDescriptionOption::{IfTsOffset, IfTsResol};
    let mut pcapng = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    pcapng.write_pcapng_block(interface(DataLink::ETHERNET, vec![IfTsResol(9)])).unwrap();
    pcapng.write_pcapng_block(interface(DataLink::RAW, vec![IfTsResol(0x80 | 10), IfTsOffset(1000)])).unwrap();
    // An interface that is not read does no harm while it has no packets.
    pcapng.write_pcapng_block(interface(DataLink::USB_LINUX, vec![])).unwrap();
    let (framed, raw) = (ethernet(PAYLOAD), ipv4(PAYLOAD));
    pcapng.write_pcapng_block(enhanced(1, 5 << 10 | 512, &raw)).unwrap();
    pcapng.write_pcapng_block(enhanced(0, T.as_nanos().try_into().unwrap(), &framed)).unwrap();
    // A simple packet has no time, and its padding (to a multiple of four) is no part of it.
    let original_len = framed.len().try_into().unwrap();
    assert_ne!(original_len % 4, 0);
    pcapng.write_pcapng_block(SimplePacketBlock { original_len, data: Cow::Borrowed(&framed) }).unwrap();
    // A new section forgets the interfaces.
    let section = SectionHeaderBlock { endianness: Endianness::Little, ..Default::default() };
    pcapng.write_pcapng_block(section).unwrap();
    pcapng.write_pcapng_block(interface(DataLink::RAW, vec![])).unwrap();
    pcapng.write_pcapng_block(enhanced(0, 1, &raw)).unwrap();

    let traffic = File::new("mixed.pcapng", &pcapng.into_inner()).read();
    assert_eq!(traffic.other + traffic.fragments + traffic.snapped, 0);
    let found: Vec<_> = traffic.datagrams.iter().map(|datagram| (datagram.frame, datagram.timestamp)).collect();
    let first = Duration::from_millis(1_005_500);
    assert_eq!(found, [(1, first), (2, T), (3, Duration::ZERO), (4, Duration::from_micros(1))]);
    assert!(traffic.datagrams.iter().all(|datagram| datagram.payload == PAYLOAD));
}

#[test]
fn pcapng_blocks_of_no_interest_may_be_odd() {
    let mut pcapng = PcapNgWriter::new(Vec::new()).unwrap();
    pcapng.write_pcapng_block(interface(DataLink::RAW, vec![])).unwrap();
    // A name resolution block and interface statistics that are too short, and a block of a type not known.
    for type_ in [4, 5, 0x0bad_cafe] {
        let raw = RawBlock { type_, initial_len: 16, body: Cow::Borrowed(&[0xff; 4]), trailer_len: 16 };
        pcapng.write_raw_block(&raw).unwrap();
    }
    pcapng.write_pcapng_block(enhanced(0, 1, &ipv4(PAYLOAD))).unwrap();
    assert_eq!(File::new("odd.pcapng", &pcapng.into_inner()).read().datagrams.len(), 1);
}

#[test]
fn a_packet_of_an_unsupported_link_type_is_an_error_that_says_so() {
    let error = pcap(DataLink::IEEE802_11_RADIOTAP, &[vec![0; 60]]).error();
    assert!(error.contains("packet 1: link type 127 is not supported"), "{error}");
}

#[test]
fn a_packet_of_an_undescribed_interface_is_an_error_that_says_so() {
    let mut pcapng = PcapNgWriter::new(Vec::new()).unwrap();
    pcapng.write_pcapng_block(interface(DataLink::RAW, vec![])).unwrap();
    pcapng.write_pcapng_block(enhanced(0, 1, &[0])).unwrap();
    let mut file = pcapng.into_inner();
    // The last block but for its header: interface id.
    let at = file.len() - 36 + 8;
    file[at..at + 4].copy_from_slice(&3_u32.to_ne_bytes());
    let error = File::new("x.pcapng", &file).error();
    assert!(error.contains("packet 1: interface 3 is not described"), "{error}");
}

#[test]
fn something_else_than_a_capture_is_an_error_that_names_the_file() {
    for contents in [&b""[..], b"a", b"\x1f\x8b\x08\x00 gzip or so, and long enough", b"\x0a\x0d\x0d\x0a", &[0; 64]] {
        File::new("no-capture", contents).error();
    }
    let missing = Traffic::read(Path::new("/nonexistent/a.pcap")).unwrap_err();
    assert!(format!("{missing:#}").contains("cannot read /nonexistent/a.pcap"));
}

/// Two small files that have everything: records, blocks, options.
fn small_files() -> [(&'static str, Vec<u8>); 2] {
    let frame = ethernet(PAYLOAD);
    let mut pcapng = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    let options = vec![InterfaceDescriptionOption::IfTsResol(9), InterfaceDescriptionOption::IfName("lo".into())];
    pcapng.write_pcapng_block(interface(DataLink::ETHERNET, options)).unwrap();
    pcapng.write_pcapng_block(enhanced(0, 1, &frame)).unwrap();
    let original_len = frame.len().try_into().unwrap();
    pcapng.write_pcapng_block(SimplePacketBlock { original_len, data: Cow::Borrowed(&frame) }).unwrap();
    let records = [(&frame[..], frame.len()), (&frame[..], frame.len())];
    [("small.pcap", pcap_bytes(PcapHeader::default(), &records)), ("small.pcapng", pcapng.into_inner())]
}

#[test]
fn a_truncated_file_is_an_error_that_names_the_file_and_the_packet() {
    for (name, file) in small_files() {
        let whole = File::new(name, &file).read();
        assert_eq!(whole.datagrams.len(), 2);
        let mut last_datagrams = 0;
        for len in 0..file.len() {
            let cut = File::new(name, &file[..len]);
            // Between two records a cut cannot be told from an end.
            match Traffic::read(&cut.path) {
                Ok(traffic) => {
                    assert!(traffic.datagrams.len() >= last_datagrams && traffic.datagrams.len() < 2);
                    last_datagrams = traffic.datagrams.len();
                }
                Err(_) => drop(cut.error()),
            }
        }
        let error = File::new(name, &file[..file.len() - 1]).error();
        assert!(error.contains("packet 2: the file ends inside it"), "{error}");
    }
}

#[test]
fn no_corrupted_octet_makes_reading_panic() {
    for (name, file) in small_files() {
        let target = File::new(name, &file);
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, file[at] ^ 1, file[at].wrapping_add(1)] {
                let mut file = file.clone();
                file[at] = value;
                fs::write(&target.path, &file).unwrap();
                let _ = Traffic::read(&target.path);
            }
        }
    }
}

// ---------------------------------------------------------------- writing

#[test]
fn what_write_plain_writes_reads_the_same_but_for_the_payloads() {
    let dir = TempDir::new().unwrap();
    for capture in load_dir(Path::new(SHIPPED)).unwrap() {
        let path = dir.path().join(&capture.side.capture);
        // Shorter by a tag, and changed, as decryption does.
        let plain: Vec<Vec<u8>> = capture
            .datagrams
            .iter()
            .map(|datagram| {
                let len = datagram.payload.len().saturating_sub(10);
                datagram.payload[..len].iter().map(|octet| octet ^ 0x5a).collect()
            })
            .collect();
        let pairs: Vec<_> = capture.datagrams.iter().zip(plain.iter().map(Vec::as_slice)).collect();
        write_plain(&path, &pairs).unwrap();
        assert_valid(&fs::read(&path).unwrap());
        let written = Traffic::read(&path).unwrap();
        assert_eq!((written.other, written.fragments, written.snapped), (0, 0, 0));
        assert_eq!(written.datagrams.len(), pairs.len());
        for (written, (read, plain)) in written.datagrams.iter().zip(pairs) {
            assert_eq!((written.frame, written.timestamp), (read.frame, read.timestamp));
            assert_eq!((written.source, written.destination), (read.source, read.destination));
            assert_eq!(written.payload, plain);
        }
    }
}

#[test]
fn write_plain_keeps_ip_options_and_extension_headers_and_takes_any_mixture() {
    let mut with_options = Ipv4Header::new(0, 64, ip_number::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
    with_options.options = [1, 1, 1, 0].into();
    with_options.identification = 77;
    let mut options = Vec::new();
    let ip = IpHeaders::Ipv4(with_options, Default::default());
    PacketBuilder::ip(ip).udp(4004, 5004).write(&mut options, PAYLOAD).unwrap();
    let mut labelled = with_hop_by_hop(ipv6(PAYLOAD));
    let label = Ipv6FlowLabel::try_new(0x12345).unwrap().value().to_be_bytes();
    labelled[1..4].copy_from_slice(&label[1..]);
    let packets = [options, labelled, ipv6(PAYLOAD)];
    let read = pcap(DataLink::RAW, &packets).read().datagrams;

    let dir = TempDir::new().unwrap();
    let path = dir.path().join("plain.pcap");
    let pairs: Vec<_> = read.iter().map(|datagram| (datagram, &b"other"[..])).collect();
    write_plain(&path, &pairs).unwrap();
    let file = fs::read(&path).unwrap();
    assert_valid(&file);
    // Microseconds, little-endian, link type 101.
    assert_eq!((&file[..4], &file[20..24]), (&[0xd4, 0xc3, 0xb2, 0xa1][..], &[101, 0, 0, 0][..]));
    let again = Traffic::read(&path).unwrap().datagrams;
    assert!(again.iter().all(|datagram| datagram.payload == b"other"));
    // With the first payloads once more, the packets are those that were read.
    let pairs: Vec<_> = again.iter().map(|datagram| (datagram, PAYLOAD)).collect();
    let path = dir.path().join("again.pcap");
    write_plain(&path, &pairs).unwrap();
    for (packet, written) in packets.iter().zip(records(&fs::read(&path).unwrap())) {
        assert_eq!(packet, written);
    }
}

#[test]
fn a_payload_too_long_for_udp_is_an_error_that_names_file_and_packet() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("big.pcap");
    for packet in [ipv4(PAYLOAD), ipv6(PAYLOAD)] {
        let datagram = only(DataLink::RAW, packet);
        let most = if datagram.source.is_ipv4() { 65_507 } else { 65_527 };
        write_plain(&path, &[(&datagram, &vec![1; most])]).unwrap();
        assert_eq!(Traffic::read(&path).unwrap().datagrams[0].payload.len(), most);
        let error = format!("{:#}", write_plain(&path, &[(&datagram, &vec![1; most + 1])]).unwrap_err());
        assert!(error.contains("big.pcap") && error.contains("packet 1"), "{error}");
    }
    let error = format!("{:#}", write_plain(Path::new("/nonexistent/a.pcap"), &[]).unwrap_err());
    assert!(error.contains("/nonexistent/a.pcap"), "{error}");
}

/// The packets of a little-endian pcap, split without the crate that wrote it.
fn records(file: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut records) = (&file[24..], Vec::new());
    while !rest.is_empty() {
        let [captured, wire] = [8, 12].map(|at| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()));
        assert_eq!(captured, wire);
        let (record, after) = rest[16..].split_at(captured.try_into().unwrap());
        records.push(record);
        rest = after;
    }
    records
}

/// RFC 1071: the sum over data that includes its checksum.
fn internet_sum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let mut octets: Vec<u8> = parts.into_iter().flatten().copied().collect();
    octets.resize(octets.len().next_multiple_of(2), 0);
    let words = octets.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)).try_into().unwrap()
}

/// Lengths and checksums of a raw IP pcap, by the RFCs and not by the crate that computed them.
fn assert_valid(file: &[u8]) {
    for packet in records(file) {
        let length = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        let (addresses, udp) = if packet[0] >> 4 == 4 {
            let header = usize::from(packet[0] & 15) * 4;
            assert_eq!(length(2), packet.len());
            assert_eq!(internet_sum([&packet[..header]]), 0xffff);
            (&packet[12..20], &packet[header..])
        } else {
            assert_eq!(length(4) + 40, packet.len());
            let header = if packet[6] == ip_number::UDP.0 { 40 } else { 48 };
            (&packet[8..40], &packet[header..])
        };
        assert_eq!(length(packet.len() - udp.len() + 4), udp.len());
        assert_ne!(&udp[6..8], [0, 0]);
        let pseudo_header = [0, ip_number::UDP.0, udp[4], udp[5]];
        assert_eq!(internet_sum([addresses, &pseudo_header, udp]), 0xffff);
        assert!(udp.len() >= UdpHeader::LEN);
    }
}

// ---------------------------------------------------------------- side files

/// A shipped capture's side file after `change`, loaded beside the unchanged pcap.
fn load_changed(name: &str, change: impl FnOnce(&mut Value)) -> Result<Capture, String> {
    let dir = TempDir::new().unwrap();
    fs::copy(Path::new(SHIPPED).join(format!("{name}.pcap")), dir.path().join(format!("{name}.pcap"))).unwrap();
    let json = fs::read(Path::new(SHIPPED).join(format!("{name}.json"))).unwrap();
    let mut json: Value = serde_json::from_slice(&json).unwrap();
    change(&mut json);
    let path = dir.path().join(format!("{name}.json"));
    fs::write(&path, json.to_string()).unwrap();
    Capture::load(&path).map_err(|error| {
        let error = format!("{error:#}");
        assert!(error.contains(path.to_str().unwrap()), "{error} does not name the file");
        error
    })
}

#[track_caller]
fn refused(name: &str, because: &str, change: impl FnOnce(&mut Value)) {
    let error = load_changed(name, change).expect_err(because);
    assert!(error.contains(because), "{because:?} is not in {error:?}");
}

#[test]
fn a_side_file_of_another_version_is_refused_as_such() {
    const MUX: &str = "05-vp8-gcm256-rtcpmux";
    load_changed(MUX, |_| ()).unwrap();
    refused(MUX, "format_version 2 is not known", |json| {
        json["format_version"] = json!(2);
        json["news"] = json!("of version 2");
    });
    refused(MUX, "missing field `format_version`", |json| *json = json!({}));
}

#[test]
fn a_side_file_with_an_unknown_field_anywhere_is_refused() {
    for pointer in ["", "/udp_ports", "/keys/0", "/totals", "/accepted_per_ssrc/01020304", "/packets/3"] {
        refused("05-vp8-gcm256-rtcpmux", "unknown field `news`", |json| {
            json.pointer_mut(pointer).unwrap()["news"] = json!(1);
        });
    }
    refused("08-vp8-cm80-mess", "\"new\" is not one of ok, malformed", |json| {
        json["packets"][4]["expect"] = json!("new");
    });
}

#[test]
fn a_side_file_that_contradicts_itself_is_refused() {
    const MUX: &str = "05-vp8-gcm256-rtcpmux";
    refused(MUX, "keys[0]: sdes is not master_key and master_salt", |json| json["keys"][0]["sdes"] = json!("AAAA"));
    refused(MUX, "keys[0]: sdes is not base64", |json| json["keys"][0]["sdes"] = json!("?"));
    refused(MUX, "keys[0]: MKI of 0 octets", |json| json["mki_len"] = json!(4));
    refused(MUX, "at least one key", |json| json["keys"] = json!([]));
    refused(MUX, "packet 2: index 7 is not of ROC", |json| json["packets"][2]["index"] = json!(7));
    refused(MUX, "packet 2: accepted RTP needs", |json| json["packets"][2]["roc"] = Value::Null);
    refused(MUX, "packet 2: an accepted packet needs plain_len", |json| json["packets"][2]["plain_len"] = Value::Null);
    refused(MUX, "packet 2: a rejected packet has no plaintext", |json| {
        json["packets"][2]["expect"] = json!("too_old");
    });
    refused(MUX, "packets[2] calls itself 9", |json| json["packets"][2]["n"] = json!(9));
    refused(MUX, "the packets add up to", |json| json["totals"]["rtp"] = json!(1));
    refused(MUX, "accepted_per_ssrc is", |json| json["accepted_per_ssrc"]["01020304"]["max_index"] = json!(1));
    refused("08-vp8-cm80-mess", "verdicts are", |json| json["verdicts"]["too_old"] = json!(1));
    refused("07-opus-cm80-rekey", "from_packet must rise", |json| json["keys"][2]["from_packet"] = json!(3));
    refused("07-opus-cm80-rekey", "keys[3] would be used after", |json| json["keys"][3]["from_packet"] = json!(659));
    refused("06-pcmu-cm80-mki", "packet 5: no key has its MKI \"00000000\"", |json| {
        json["packets"][5]["mki"] = json!("00000000");
    });
}

#[test]
fn a_side_file_of_another_capture_is_refused() {
    const MUX: &str = "05-vp8-gcm256-rtcpmux";
    refused(MUX, "packet 4 (number 5 in the capture): payload of", |json| json["packets"][4]["len"] = json!(1));
    refused(MUX, "packet 0 (number 1 in the capture): sent to port 5012", |json| {
        json["udp_ports"] = json!({"rtp": 1, "rtcp": 1});
    });
    refused(MUX, "RTCP by its port and payload type, described as RTP", |json| {
        let n = json["packets"].as_array().unwrap().iter().position(|packet| packet["kind"] == "rtcp").unwrap();
        let of_rtcp = &mut json["packets"][n];
        *of_rtcp =
            json!({"n": n, "kind": "rtp", "ssrc": "01020304", "seq": 1, "len": of_rtcp["len"], "expect": "malformed"});
        for (field, change) in [("rtp", 1), ("rtcp", -1), ("accepted_rtcp", -1), ("rejected", 1)] {
            let total = &mut json["totals"][field];
            *total = json!(total.as_i64().unwrap() + change);
        }
        let accepted = &mut json["accepted_per_ssrc"]["01020304"]["rtcp"];
        *accepted = json!(accepted.as_i64().unwrap() - 1);
    });
    refused("01-pcma-cm80", "packet 0 (number 1 in the capture): sequence number 1000, described as 1001", |json| {
        // Two packets of the same length, exchanged.
        let mut other = json["packets"][1].clone();
        other["n"] = json!(0);
        let mut one = json["packets"][0].clone();
        one["n"] = json!(1);
        (json["packets"][0], json["packets"][1]) = (other, one);
        json["accepted_per_ssrc"]["aabbccdd"]["first_seq"] = json!(1001);
    });
    refused("01-pcma-cm80", "it has 500 whole UDP datagrams", |json| {
        json["packets"].as_array_mut().unwrap().pop();
        let totals =
            json!({"packets": 499, "rtp": 499, "rtcp": 0, "accepted_rtp": 499, "accepted_rtcp": 0, "rejected": 0});
        json["totals"] = totals;
        json["accepted_per_ssrc"]["aabbccdd"]["rtp"] = json!(499);
        json["accepted_per_ssrc"]["aabbccdd"]["max_index"] = json!(1498);
    });
    refused("01-pcma-cm80", "SSRC aabbccdd, described as aabbccde", |json| {
        let text = json.to_string().replace("aabbccdd", "aabbccde");
        *json = serde_json::from_str(&text).unwrap();
    });
    refused("01-pcma-cm80", "cannot read", |json| json["capture"] = json!("elsewhere.pcap"));
}

#[test]
fn a_folder_without_captures_or_with_a_bad_one_is_an_error() {
    let dir = TempDir::new().unwrap();
    let error = format!("{:#}", load_dir(dir.path()).unwrap_err());
    assert!(error.contains("has no captures"), "{error}");
    fs::write(dir.path().join("a.json"), "{").unwrap();
    let error = format!("{:#}", load_dir(dir.path()).unwrap_err());
    assert!(error.contains("a.json") && error.contains("not a side file"), "{error}");
    let error = format!("{:#}", load_dir(Path::new("/nonexistent")).unwrap_err());
    assert!(error.contains("cannot read the folder /nonexistent"), "{error}");
}

#[test]
fn a_shared_port_is_told_apart_by_payload_type() {
    let muxed = UdpPorts { rtp: 9, rtcp: Some(9) };
    for (second, kind) in [(191, Kind::Rtp), (192, Kind::Rtcp), (223, Kind::Rtcp), (224, Kind::Rtp), (0, Kind::Rtp)] {
        assert_eq!(muxed.kind(9, &[0x80, second]), Some(kind));
    }
    assert_eq!(muxed.kind(9, &[0x80]), Some(Kind::Rtp));
    assert_eq!(muxed.kind(8, &[0x80, 200]), None);
    let apart = UdpPorts { rtp: 9, rtcp: Some(10) };
    assert_eq!((apart.kind(9, &[0x80, 200]), apart.kind(10, &[0x80, 0])), (Some(Kind::Rtp), Some(Kind::Rtcp)));
    assert_eq!(UdpPorts { rtp: 9, rtcp: None }.kind(9, &[0x80, 200]), Some(Kind::Rtp));
}

#[test]
fn the_debug_form_of_a_side_file_has_no_secrets() {
    let capture = load_changed("01-pcma-cm80", |_| ()).unwrap();
    let debug = format!("{:?}", capture.side.keys);
    assert!(debug.contains("from_packet: 0"), "{debug}");
    assert!(!debug.contains("fmGje5Q7") && !debug.contains("126") && !debug.contains("7e61"), "{debug}");
}

// ---------------------------------------------------------------- the oracle

/// What a receiver made of a packet.
type Made = (Verdict, Option<Vec<u8>>);

/// Four packets whose plaintexts are known here: RTP, RTCP, a replay (or, if the receiver likes, a failed tag), RTP.
fn judged() -> (Side, Vec<Made>) {
    let plain = |text: &str| text.as_bytes().to_vec();
    let outcomes = vec![
        (Verdict::Ok, Some(plain("first RTP packet"))),
        (Verdict::Ok, Some(plain("RTCP"))),
        (Verdict::Replayed, None),
        (Verdict::Ok, Some(plain("other RTP packet"))),
    ];
    let described = |n: usize, mut packet: Value| {
        let plain = outcomes[n].1.as_ref().unwrap();
        packet["n"] = json!(n);
        packet["ssrc"] = json!("00000001");
        packet["len"] = json!(99);
        packet["expect"] = json!("ok");
        packet["plain_len"] = json!(plain.len());
        packet["plain_sha256"] = json!(Sha256Sum::of(plain).to_string());
        packet
    };
    let empty = "00".repeat(16);
    let json = json!({
        "capture": "judged.pcap", "description": "", "sender": "", "format_version": 1, "linktype": 101,
        "udp_ports": {"rtp": 1}, "profile": "", "srtp_tag_len": 10, "srtcp_tag_len": 10, "mki_len": 0,
        "keys": [{"sdes": "AAAAAAAAAAAAAAAAAAAAAA==", "master_key": empty, "master_salt": "", "mki": ""}],
        "encrypted_extension_ids": [], "replay_window": 64, "rtcp_replay_window": 64, "initial_roc": {},
        "totals": {"packets": 4, "rtp": 3, "rtcp": 1, "accepted_rtp": 2, "accepted_rtcp": 1, "rejected": 1},
        "accepted_per_ssrc": {"00000001": {"rtp": 2, "rtcp": 1, "first_seq": 7, "max_index": 8, "final_roc": 0}},
        "rtp_plain_sha256": Sha256Sum::of(b"first RTP packetother RTP packet").to_string(),
        "rtcp_plain_sha256": Sha256Sum::of(b"RTCP").to_string(),
        "packets": [
            described(0, json!({"kind": "rtp", "seq": 7, "index": 7, "roc": 0})),
            described(1, json!({"kind": "rtcp", "srtcp_index": 1})),
            {"n": 2, "kind": "rtp", "ssrc": "00000001", "seq": 7, "len": 99, "expect": "replayed",
             "also_allowed": ["auth_failed"], "what": "duplicate"},
            described(3, json!({"kind": "rtp", "seq": 8, "index": 8, "roc": 0})),
        ],
    });
    (Side::parse(json.to_string().as_bytes()).unwrap(), outcomes)
}

fn outcomes(of: &[Made]) -> Vec<Outcome<'_>> {
    let made = of.iter().enumerate();
    made.map(|(n, (verdict, plain))| Outcome { n, verdict: *verdict, plain: plain.as_deref() }).collect()
}

#[track_caller]
fn red<T: std::fmt::Debug>(result: Result<T, Difference>, message: &str) {
    assert_eq!(result.unwrap_err().to_string(), message);
}

#[test]
fn the_oracle_is_green_for_the_right_outcomes_from_any_thread_in_any_order() {
    let (side, right) = judged();
    let oracle = Oracle::new(&side);
    std::thread::scope(|scope| {
        for outcome in outcomes(&right).into_iter().rev() {
            scope.spawn(move || oracle.check(outcome.n, outcome.verdict, outcome.plain).unwrap());
        }
    });
    oracle.check(2, Verdict::AuthFailed, None).unwrap();
    assert_eq!(oracle.finish(outcomes(&right)).unwrap(), side.totals);
}

#[test]
fn the_oracle_is_red_for_a_flipped_plaintext_octet() {
    let (side, mut wrong) = judged();
    let right = wrong[3].1.clone().unwrap();
    let oracle = Oracle::new(&side);
    for at in 0..right.len() {
        let mut flipped = right.clone();
        flipped[at] ^= 1;
        let difference = oracle.check(3, Verdict::Ok, Some(&flipped)).unwrap_err();
        assert_eq!(
            (difference.capture.as_str(), difference.n, difference.what),
            ("judged.pcap", Some(3), "plaintext SHA-256")
        );
        wrong[3].1 = Some(flipped);
        assert_eq!(oracle.finish(outcomes(&wrong)).unwrap_err().what, "SHA-256 of all RTP");
    }
    red(
        oracle.check(3, Verdict::Ok, Some(&right[1..])),
        "judged.pcap: packet 3: plaintext octets: expected 16, got 15",
    );
    red(oracle.check(3, Verdict::Ok, None), "judged.pcap: packet 3: plaintext: expected one, got none");
}

#[test]
fn the_oracle_is_red_for_a_wrong_verdict() {
    let (side, mut wrong) = judged();
    let oracle = Oracle::new(&side);
    red(oracle.check(0, Verdict::TooOld, None), "judged.pcap: packet 0: verdict: expected ok, got too_old");
    red(oracle.check(0, Verdict::Other("no_key"), None), "judged.pcap: packet 0: verdict: expected ok, got no_key");
    red(
        oracle.check(2, Verdict::Ok, Some(b"replayed")),
        "judged.pcap: packet 2: verdict: expected replayed or auth_failed (duplicate), got ok",
    );
    red(
        oracle.check(2, Verdict::Replayed, Some(b"leaked")),
        "judged.pcap: packet 2: plaintext: expected none of a rejected packet, got one",
    );
    wrong[0] = (Verdict::AuthFailed, None);
    assert_eq!(oracle.finish(outcomes(&wrong)).unwrap_err().what, "totals");
}

#[test]
fn the_oracle_is_red_for_a_missing_a_doubled_and_a_surplus_packet() {
    let (side, right) = judged();
    let oracle = Oracle::new(&side);
    let right = outcomes(&right);
    red(
        oracle.finish(right[..3].iter().copied()),
        "judged.pcap: packet 3: outcome: expected one, got none: it and all after it are missing",
    );
    let without = right.iter().copied().filter(|outcome| outcome.n != 1);
    red(oracle.finish(without), "judged.pcap: packet 1: outcome: expected one, in order, got one of packet 2");
    let doubled = [0, 1, 1, 2, 3].map(|n| right[n]);
    red(oracle.finish(doubled), "judged.pcap: packet 2: outcome: expected one, in order, got one of packet 1");
    let surplus = Outcome { n: 4, ..right[3] };
    let five = right.iter().copied().chain([surplus]);
    red(oracle.finish(five), "judged.pcap: packet 4: packet: expected 4 packets, got one more");
    red(oracle.check(4, Verdict::Ok, None), "judged.pcap: packet 4: packet: expected 4 packets, got one more");
}

#[test]
fn the_oracle_is_red_for_plaintexts_in_another_order() {
    let (side, mut wrong) = judged();
    let oracle = Oracle::new(&side);
    let third = wrong[3].1.take();
    wrong[3].1 = std::mem::replace(&mut wrong[0].1, third);
    assert_eq!(oracle.finish(outcomes(&wrong)).unwrap_err().what, "SHA-256 of all RTP");
}
