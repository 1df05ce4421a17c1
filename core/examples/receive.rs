//! Receives SRTP and SRTCP on one UDP port of the loopback interface, as a media server would: see [`USAGE`].
//!
//! What it shows:
//!
//! 1. One [`Domain`] for the process, and one guard for each *batch* of packets. The guard is dropped before the thread waits for the socket, since
//!    keys replaced meanwhile cannot be wiped while it lives.
//! 2. Unprotecting in place: the plain packet is the beginning of the datagram.
//! 3. A control thread that replaces the key while packets fly. The receiving thread neither waits for it nor knows of it.

mod common;

use common::{Args, Destination, Failure, MAX_DATAGRAM, Protocol, Recording, is_timeout, protocol};
use keyflip::{Domain, Inbound, MasterKey, Profile, Session};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const USAGE: &str = "\
Receives SRTP and SRTCP on a UDP port of 127.0.0.1.

  --profile NAME    like AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM
  --key HEX         master key and master salt, one behind the other
  --mki HEX         the key's MKI; without this, packets carry none
  --port PORT       where to receive; without this, any free port: it is printed
  --forward PORT    send the plain packets on to this port of 127.0.0.1
  --write PREFIX    write the plain packets to PREFIX.rtp and PREFIX.rtcp, framed as in RFC 4571
  --packets N       how many packets are expected (default 1); once they came, wait only for stragglers
  --idle MS         give up after this long without a packet (default 5000)
  --next-key HEX    rekey to this master key and salt,
  --next-mki HEX    with this MKI,
  --rekey-after N   once N packets were accepted (default 1);
  --grace MS        refuse the old key this long after that (default 2000)

Exits with 0 if at least N packets were accepted and none was refused, with 1 if not.";

/// How long to wait for more than was expected.
const STRAGGLERS: Duration = Duration::from_millis(300);

/// How many datagrams are handled under one guard.
const BATCH: usize = 32;

/// A datagram, then the plain packet that was made of it in place.
struct Datagram {
    octets: [u8; MAX_DATAGRAM],
    len: usize,
}

#[derive(Default)]
struct Counts {
    rtp: u64,
    rtcp: u64,
    refused: u64,
}

impl Counts {
    fn accepted(&self) -> u64 {
        self.rtp + self.rtcp
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("receive: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Failure> {
    let Some(args) = Args::parse(USAGE)? else { return Ok(true) };
    let profile: Profile = args.required("--profile")?;
    let key = args.master_key("--key", "--mki")?.ok_or("--key is missing")?;
    let wanted: u64 = args.optional("--packets")?.unwrap_or(1);
    let idle = Duration::from_millis(args.optional("--idle")?.unwrap_or(5000));
    let rekey_after = args.optional("--rekey-after")?.unwrap_or(1);
    let grace = Duration::from_millis(args.optional("--grace")?.unwrap_or(2000));
    let mut recording = args.optional::<String>("--write")?.as_deref().map(Recording::create).transpose()?;
    let forward = args.optional("--forward")?.map(Destination::new).transpose()?;

    let domain = Domain::new();
    let session = Session::builder(profile).inbound(key).build(&domain)?;
    let inbound = session.inbound();
    let (rekey, due) = mpsc::channel();
    let control = args.master_key("--next-key", "--next-mki")?.map(|key| {
        let inbound = inbound.clone();
        thread::spawn(move || control(&inbound, key, &due, grace))
    });
    let mut rekeyed = control.is_none();

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, args.optional("--port")?.unwrap_or(0)))?;
    println!("listening on {}", socket.local_addr()?);
    let mut counts = Counts::default();
    let mut storage: Vec<_> = (0..BATCH).map(|_| Datagram { octets: [0; MAX_DATAGRAM], len: 0 }).collect();
    loop {
        // No guard is held while this waits.
        let batch = receive(&socket, &mut storage, if counts.accepted() < wanted { idle } else { STRAGGLERS })?;
        if batch.is_empty() {
            break;
        }
        let accepted = unprotect(inbound, batch, &mut counts);
        // What may take time comes after the guard, too.
        for (protocol, packet) in accepted {
            if let Some(destination) = &forward {
                destination.send(packet)?;
            }
            if let Some(recording) = &mut recording {
                recording.write(protocol, packet)?;
            }
        }
        if !rekeyed && counts.accepted() >= rekey_after {
            rekey.send(())?;
            rekeyed = true;
        }
    }
    drop(rekey);
    if let Some(control) = control {
        control.join().map_err(|_| "the control thread panicked")??;
    }
    recording.map_or(Ok(()), Recording::finish)?;

    let Counts { rtp, rtcp, refused } = counts;
    let (held, wiped) = (inbound.keys().len(), domain.stats().keys_wiped);
    println!("accepted {rtp} RTP and {rtcp} RTCP packets, refused {refused}; keys in use {held}, wiped {wiped}");
    Ok(counts.accepted() >= wanted && refused == 0)
}

/// Waits for a datagram, and takes all others that have arrived. Empty if none came within `patience`.
fn receive<'s>(socket: &UdpSocket, storage: &'s mut [Datagram], patience: Duration) -> io::Result<&'s mut [Datagram]> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(patience))?;
    let mut count = 0;
    for datagram in storage.iter_mut() {
        match socket.recv(&mut datagram.octets) {
            Ok(len) => datagram.len = len,
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        }
        count += 1;
        // The first was worth waiting for.
        socket.set_nonblocking(true)?;
    }
    Ok(&mut storage[..count])
}

/// Unprotects a batch in place, under one guard; returns the plain packets.
fn unprotect<'b>(inbound: &Inbound, batch: &'b mut [Datagram], counts: &mut Counts) -> Vec<(Protocol, &'b [u8])> {
    let mut accepted = Vec::with_capacity(batch.len());
    let guard = inbound.domain().pin();
    for Datagram { octets, len } in batch {
        let datagram = &mut octets[..*len];
        let protocol = protocol(datagram);
        let plain = match protocol {
            Protocol::Rtp => inbound.unprotect_rtp(&guard, datagram),
            Protocol::Rtcp => inbound.unprotect_rtcp(&guard, datagram),
        };
        match plain {
            Ok(plain) => {
                match protocol {
                    Protocol::Rtp => counts.rtp += 1,
                    Protocol::Rtcp => counts.rtcp += 1,
                }
                accepted.push((protocol, &*plain));
            }
            Err(error) => {
                counts.refused += 1;
                // A server would count by `error.fault()`, and not print at a sender's command.
                eprintln!("refused: {protocol:?} packet of {len} octets: {error}");
            }
        }
    }
    accepted
}

/// Stands for the signalling of a server, which learns of new keys on a thread of its own.
fn control(inbound: &Inbound, key: MasterKey, due: &Receiver<()>, grace: Duration) -> Result<(), Failure> {
    if due.recv().is_err() {
        return Ok(());
    }
    inbound.rekey(key)?;
    // Packets that were protected with the old key are on their way still, and accepted, until the grace ends. If the sender of this channel goes,
    // the receiver is done, and so is the grace.
    let _ = due.recv_timeout(grace);
    inbound.end_grace()?;
    // Until the old key is wiped, which is once no guard is left that could see it; or the error names the reader that holds it.
    inbound.domain().synchronize(Duration::from_secs(1))?;
    Ok(())
}
