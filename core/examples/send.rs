//! Protects RTP and RTCP, and sends it to a UDP port of the loopback interface: see [`USAGE`].
//!
//! What it shows:
//!
//! 1. Protecting in place, in a buffer with [`rtp_overhead`](keyflip::Outbound::rtp_overhead) octets of room behind the packet.
//! 2. Calls that pin for themselves: packets are sent one at a time here, so there is no batch to share a guard.
//! 3. A rekey of the sending direction, which takes effect with the next packet and leaves sequence numbers, rollover counters and SRTCP indices
//!    as they are. The receiver is given the new key first.

mod common;

use common::{Args, Destination, Failure, MAX_DATAGRAM, Protocol, Recording, is_timeout, protocol};
use keyflip::{Domain, Profile, Session};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const USAGE: &str = "\
Protects RTP and RTCP, and sends it to a UDP port of 127.0.0.1.

  --to PORT         where to send
  --profile NAME    like AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM
  --key HEX         master key and master salt, one behind the other
  --mki HEX         the key's MKI; without this, packets carry none
  --generate N      send N packets of a PCMU tone, and a sender report behind every 50th; SSRC 1801812326
  --seq N           the sequence number of the first of them (default 0)
  --listen PORT     instead, send the plain packets that arrive on this port of 127.0.0.1,
  --idle MS         until none arrives for this long (default 5000)
  --write PREFIX    write the plain packets to PREFIX.rtp and PREFIX.rtcp, framed as in RFC 4571
  --next-key HEX    rekey to this master key and salt,
  --next-mki HEX    with this MKI,
  --rekey-after N   behind the Nth packet (default 1)";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("send: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Failure> {
    let Some(args) = Args::parse(USAGE)? else { return Ok(()) };
    let profile: Profile = args.required("--profile")?;
    let key = args.master_key("--key", "--mki")?.ok_or("--key is missing")?;
    let mut next_key = args.master_key("--next-key", "--next-mki")?;
    let rekey_after: u64 = args.optional("--rekey-after")?.unwrap_or(1);
    let mut recording = args.optional::<String>("--write")?.as_deref().map(Recording::create).transpose()?;
    let mut source: Box<dyn Source> = match args.optional("--generate")? {
        Some(packets) => Box::new(Tone::new(packets, args.optional("--seq")?.unwrap_or(0))),
        None => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, args.required("--listen")?))?;
            socket.set_read_timeout(Some(Duration::from_millis(args.optional("--idle")?.unwrap_or(5000))))?;
            Box::new(socket)
        }
    };

    let domain = Domain::new();
    let session = Session::builder(profile).outbound(key).build(&domain)?;
    let outbound = session.outbound();
    // Neither changes with a key: all keys of a session have MKIs of one length.
    let room = outbound.rtp_overhead().max(outbound.rtcp_overhead());
    let destination = Destination::new(args.required("--to")?)?;
    let (mut sent, mut buffer) = (0, [0; MAX_DATAGRAM]);
    while let Some(len) = source.next(&mut buffer[..MAX_DATAGRAM - room])? {
        let protocol = protocol(&buffer[..len]);
        if let Some(recording) = &mut recording {
            recording.write(protocol, &buffer[..len])?;
        }
        let len = match protocol {
            Protocol::Rtp => outbound.protect_rtp_autopin(&mut buffer, len)?,
            Protocol::Rtcp => outbound.protect_rtcp_autopin(&mut buffer, len)?,
        };
        destination.send(&buffer[..len])?;
        sent += 1;
        if sent == rekey_after
            && let Some(key) = next_key.take()
        {
            outbound.rekey(key)?;
        }
    }
    recording.map_or(Ok(()), Recording::finish)?;
    println!("sent {sent} packets");
    Ok(())
}

/// Where plain packets come from.
trait Source {
    /// Waits for the next packet and writes it to the beginning of `buffer`; returns its length, `None` at the end.
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>>;
}

impl Source for UdpSocket {
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.recv(buffer) {
            Ok(len) => Ok(Some(len)),
            Err(error) if is_timeout(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A tone of 1 kHz in PCMU, in packets of 20 ms, with a sender report each second.
struct Tone {
    start: Instant,
    packets: u32,
    sent: u32,
    reported: u32,
    first_seq: u16,
}

impl Tone {
    const SSRC: u32 = 1_801_812_326;
    /// Packets a report.
    const REPORT: u32 = 50;
    const INTERVAL: Duration = Duration::from_millis(20);
    /// Samples, which are octets, in a packet.
    const SAMPLES: u32 = 160;
    /// One period, at 8 kHz: the digital milliwatt of ITU-T G.711, table 6.
    const PERIOD: [u8; 8] = [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e];
    /// From 1900, where NTP counts from, to 1970, where Unix does, in seconds.
    const NTP_EPOCH: u64 = 2_208_988_800;

    fn new(packets: u32, first_seq: u16) -> Self {
        Self { start: Instant::now(), packets, sent: 0, reported: 0, first_seq }
    }

    /// RFC 3550 5.1, payload type 0. Sequence numbers wrap.
    fn rtp(&self) -> Vec<u8> {
        let [.., high, low] = self.sent.to_be_bytes();
        let seq = self.first_seq.wrapping_add(u16::from_be_bytes([high, low]));
        let mut packet = vec![0x80, 0];
        packet.extend(seq.to_be_bytes());
        packet.extend((self.sent * Self::SAMPLES).to_be_bytes());
        packet.extend(Self::SSRC.to_be_bytes());
        packet.extend(Self::PERIOD.iter().cycle().take(Self::SAMPLES as usize));
        packet
    }

    /// A sender report and a source description (RFC 3550 6.4.1, 6.5).
    fn report(&self) -> io::Result<Vec<u8>> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend(Self::SSRC.to_be_bytes());
        let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
        packet.extend((((now.as_secs() + Self::NTP_EPOCH) << 32) | fraction).to_be_bytes());
        packet.extend((self.sent * Self::SAMPLES).to_be_bytes());
        packet.extend(self.sent.to_be_bytes());
        packet.extend((self.sent * Self::SAMPLES).to_be_bytes());
        packet.extend([0x81, 202, 0, 4]);
        packet.extend(Self::SSRC.to_be_bytes());
        packet.extend(b"\x01\x07keyflip\0\0\0");
        Ok(packet)
    }
}

impl Source for Tone {
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let packet = if self.sent / Self::REPORT > self.reported {
            self.reported += 1;
            self.report()?
        } else if self.sent < self.packets {
            thread::sleep((self.start + Self::INTERVAL * self.sent).saturating_duration_since(Instant::now()));
            let packet = self.rtp();
            self.sent += 1;
            packet
        } else {
            return Ok(None);
        };
        let room = buffer.get_mut(..packet.len()).ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(&packet);
        Ok(Some(packet.len()))
    }
}
