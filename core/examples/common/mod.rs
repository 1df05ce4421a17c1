//! What the examples share and what is not about SRTP: arguments, hexadecimal, and recordings of packets.

use keyflip::{Kind, MasterKey, classify};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::str::FromStr;

/// Why an example ends early.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The longest datagram that is handled, in octets.
pub(crate) const MAX_DATAGRAM: usize = 2048;

/// What a datagram is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
}

/// Whether a call on a socket ended because nothing arrived in time.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    // One system says it so, another so.
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A port of the loopback interface to send to.
pub(crate) struct Destination {
    socket: UdpSocket,
    port: u16,
}

impl Destination {
    /// # Errors
    ///
    /// The system's.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        // Not connected: such a socket reports that nobody listens, which is no error of a sender of RTP.
        Ok(Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, port })
    }

    /// # Errors
    ///
    /// The system's.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, (Ipv4Addr::LOCALHOST, self.port)).map(drop)
    }
}

/// Which protocol a datagram is of, where both share a port.
pub(crate) fn protocol(datagram: &[u8]) -> Protocol {
    if classify(datagram) == Kind::Rtcp { Protocol::Rtcp } else { Protocol::Rtp }
}

/// Arguments of the form `--name value`.
pub(crate) struct Args(HashMap<String, String>);

impl Args {
    /// Reads the command line. `None` if it asked for help, and got it.
    ///
    /// # Errors
    ///
    /// An argument that `usage` does not mention, or one without a value.
    pub(crate) fn parse(usage: &str) -> Result<Option<Self>, Failure> {
        let mut args = std::env::args().skip(1);
        let mut values = HashMap::new();
        while let Some(name) = args.next() {
            if name == "--help" {
                println!("{usage}");
                return Ok(None);
            }
            if !name.starts_with("--") || !usage.split_whitespace().any(|word| word == name) {
                return Err(format!("unknown argument {name}; --help lists them").into());
            }
            let value = args.next().ok_or_else(|| format!("{name} takes a value"))?;
            values.insert(name, value);
        }
        Ok(Some(Self(values)))
    }

    /// The value of an argument that may be left out.
    ///
    /// # Errors
    ///
    /// A value that does not parse.
    pub(crate) fn optional<T: FromStr<Err: Error + 'static>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parse = |value: &String| value.parse().map_err(|error| format!("{name} {value}: {error}").into());
        self.0.get(name).map(parse).transpose()
    }

    /// The value of an argument that must be there.
    ///
    /// # Errors
    ///
    /// It is not there, or does not parse.
    pub(crate) fn required<T: FromStr<Err: Error + 'static>>(&self, name: &str) -> Result<T, Failure> {
        self.optional(name)?.ok_or_else(|| format!("{name} is missing; --help says what it is").into())
    }

    /// The master key of one argument, with the MKI of another if that is there.
    ///
    /// A command line is no place for real keys, since others can read it: they come from DTLS-SRTP or from SDP over TLS.
    ///
    /// # Errors
    ///
    /// Anything but hexadecimal digits; an MKI of more than 128 octets.
    pub(crate) fn master_key(&self, key: &str, mki: &str) -> Result<Option<MasterKey>, Failure> {
        let Some(mut material) = self.hex(key)? else { return Ok(None) };
        // Wipes `material`.
        let key = MasterKey::take(&mut material);
        Ok(Some(key.with_mki(&self.hex(mki)?.unwrap_or_default())?))
    }

    fn hex(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let Some(digits) = self.0.get(name) else { return Ok(None) };
        let octet = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let octets: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(octet).collect();
        octets.map(Some).ok_or_else(|| format!("{name} takes hexadecimal digits, two for each octet").into())
    }
}

/// Plain packets in two files, one a protocol, each packet behind its length in 16 bits (RFC 4571).
pub(crate) struct Recording {
    rtp: BufWriter<File>,
    rtcp: BufWriter<File>,
}

impl Recording {
    /// Makes the files `prefix.rtp` and `prefix.rtcp`.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(crate) fn create(prefix: &str) -> io::Result<Self> {
        let file = |suffix| File::create(format!("{prefix}.{suffix}")).map(BufWriter::new);
        Ok(Self { rtp: file("rtp")?, rtcp: file("rtcp")? })
    }

    /// Appends a packet.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(crate) fn write(&mut self, protocol: Protocol, packet: &[u8]) -> io::Result<()> {
        let file = match protocol {
            Protocol::Rtp => &mut self.rtp,
            Protocol::Rtcp => &mut self.rtcp,
        };
        let len = u16::try_from(packet.len()).map_err(|_| ErrorKind::InvalidInput)?;
        file.write_all(&len.to_be_bytes())?;
        file.write_all(packet)
    }

    /// Writes out what is still buffered.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.rtp.flush()?;
        self.rtcp.flush()
    }
}
