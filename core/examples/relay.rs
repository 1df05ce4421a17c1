//! Relays SRTP and SRTCP between two legs of a call, on tokio, while the keys of both legs are replaced: see [`USAGE`].
//!
//! ```text
//!   caller ===== leg A, keyed by SDES =====> relay ===== leg B, keyed by DTLS-SRTP =====> callee
//! ```
//!
//! What it shows:
//!
//! 1. A guard for each batch of datagrams, in a function that is not `async`, so that it is gone before the task waits again. It is not `Send`: the
//!    compiler refuses to spawn a task that keeps one across an `await`, which could sleep for long, and wake on another thread.
//! 2. One buffer a packet from socket to socket, unprotected and protected in place ([`Inbound::unprotect_rtp_in`], [`Outbound::protect_rtp_in`]).
//! 3. RTP and RTCP on one port ([`classify`]).
//! 4. Master keys from SDES ([`sdes`]) and from DTLS ([`dtls`]), and rekeys from another task than the one that relays: first the end that receives,
//!    then the one that sends, so that nothing is lost on the way.

use keyflip::dtls::{Keys, Role, keying_material_len};
use keyflip::sdes::{self, CryptoAttribute, InlineKey};
use keyflip::{Domain, Guard, Inbound, Kind, MasterKey, Outbound, Profile, Result, Session, classify};
use rand::Rng;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

const USAGE: &str = "\
relay [N]    relays N packets (default 3000) over three UDP sockets of 127.0.0.1, and ends

Both legs are rekeyed on the way. Exits with 0 unless a packet was refused or altered, or a tenth was lost.";

type Fallible<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Octets of a datagram at most, the trailer of the second leg included.
const MAX_DATAGRAM: usize = 2048;
/// Datagrams under one guard at most.
const BATCH: usize = 32;
/// Packets that the caller sends at once, each millisecond.
const BURST: u16 = 10;
/// Every so many packets, one is a report.
const REPORT: u16 = 50;
/// Without a packet for so long, it is over.
const IDLE: Duration = Duration::from_millis(500);
const SSRC: [u8; 4] = *b"flip";

/// What became of the packets.
#[derive(Debug, Default)]
struct Outcome {
    sent: u16,
    refused: usize,
    arrived: usize,
    altered: usize,
    keys_wiped: u64,
}

impl Outcome {
    fn lost(&self) -> usize {
        usize::from(self.sent).saturating_sub(self.arrived + self.altered + self.refused)
    }

    fn is_good(&self) -> bool {
        self.refused == 0 && self.altered == 0 && self.lost() * 10 < usize::from(self.sent)
    }
}

fn main() -> ExitCode {
    let packets = match std::env::args().nth(1).as_deref().map(str::parse) {
        None => 3000,
        Some(Ok(packets)) => packets,
        Some(Err(_)) => {
            println!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match run(packets) {
        Ok(outcome) => {
            let (Outcome { sent, arrived, refused, altered, keys_wiped }, lost) = (&outcome, outcome.lost());
            println!(
                "relayed {arrived} of {sent} packets; lost {lost}, refused {refused}, altered {altered}; wiped {keys_wiped} keys"
            );
            if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn run(packets: u16) -> Fallible<Outcome> {
    let domain = Domain::new();
    let (near_a, caller) = sdes_leg(&domain)?;
    let (near_b, callee) = dtls_leg(&domain)?;
    let [caller_socket, relay_socket, callee_socket] = [socket().await?, socket().await?, socket().await?];
    let (relay_address, callee_address) = (relay_socket.local_addr()?, callee_socket.local_addr()?);

    let relay = tokio::spawn(relay(relay_socket, near_a.inbound().clone(), near_b.outbound().clone(), callee_address));
    let listen = tokio::spawn(listen(callee_socket, callee.inbound().clone()));
    let legs = [(&near_a, &caller), (&near_b, &callee)];
    call(&caller_socket, relay_address, packets, legs).await?;

    let refused = relay.await??;
    let (arrived, altered) = listen.await??;
    near_a.inbound().end_grace()?;
    callee.inbound().end_grace()?;
    // It waits for readers, so it is not for a thread that runs tasks.
    let wiped = tokio::task::spawn_blocking(move || {
        domain.synchronize(Duration::from_secs(1)).map(|()| domain.stats().keys_wiped)
    });
    Ok(Outcome { sent: packets, refused, arrived, altered, keys_wiped: wiped.await?? })
}

async fn socket() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await
}

fn random(len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    rand::rng().fill_bytes(&mut octets);
    octets
}

/// The relay's end and the caller's, who offers two suites in its SDP.
fn sdes_leg(domain: &Domain) -> Fallible<(Session, Session)> {
    let profiles = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];
    let key = |profile: Profile| InlineKey::take(&mut random(profile.key_len() + profile.salt_len()));
    let offer = (1..).zip(profiles).map(|(tag, profile)| CryptoAttribute::new(tag, profile, key(profile)));
    let offer = offer.collect::<std::result::Result<Vec<_>, _>>()?;
    let lines: Vec<_> = offer.iter().map(CryptoAttribute::format).collect();

    // The relay knows the lines only; the caller what it offered, and the line that answers.
    let theirs = sdes::select(lines.iter().map(|line| line.as_str()), &[Profile::Aes128CmSha1_80])?;
    let ours = theirs.answer(key(theirs.profile()))?;
    let near = sdes::session_builder(&ours, &theirs)?.build(domain)?;

    let answer = CryptoAttribute::parse(&ours.format())?;
    let far = sdes::session_builder(sdes::accept(&offer, &answer)?, &answer)?.build(domain)?;
    Ok((near, far))
}

/// The relay's end and the callee's. Both exported the same from their DTLS association.
fn dtls_leg(domain: &Domain) -> Fallible<(Session, Session)> {
    let profile = Profile::AeadAes128Gcm;
    let exported = random(keying_material_len(profile));
    let end = |role, mut material: Vec<u8>| -> Fallible<Session> {
        let keys = Keys::take(profile, role, &mut material)?;
        Ok(Session::builder(profile).outbound(keys.outbound).inbound(keys.inbound).build(domain)?)
    };
    Ok((end(Role::Server, exported.clone())?, end(Role::Client, exported)?))
}

/// Sends packets in bursts, and has each leg rekeyed on the way.
async fn call(
    socket: &UdpSocket,
    relay: SocketAddr,
    packets: u16,
    [(near_a, caller), (near_b, callee)]: [(&Session, &Session); 2],
) -> Fallible<()> {
    let mut packet = Vec::with_capacity(MAX_DATAGRAM);
    for number in 0..packets {
        if number == packets / 3 {
            rekey(near_a.inbound(), caller.outbound(), 30)?;
        }
        if number == packets / 3 * 2 {
            rekey(callee.inbound(), near_b.outbound(), 28)?;
        }
        plain(number, &mut packet);
        protect(caller.outbound(), &caller.outbound().domain().pin(), &mut packet)?;
        socket.send_to(&packet, relay).await?;
        if number % BURST == BURST - 1 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// What signalling does in the middle of a call, for one direction of a leg: a new key, first where it is received.
fn rekey(receiver: &Inbound, sender: &Outbound, len: usize) -> Result<()> {
    let mut key = random(len);
    receiver.rekey(MasterKey::take(&mut key.clone()))?;
    sender.rekey(MasterKey::take(&mut key)).map(drop)
}

/// Packet `number`: its content can be told from it.
fn plain(number: u16, packet: &mut Vec<u8>) {
    let [high, low] = number.to_be_bytes();
    packet.clear();
    if number % REPORT == REPORT - 1 {
        packet.extend([0x80, 201, 0, 2]);
        packet.extend(SSRC);
        packet.extend([high, low, high, low]);
    } else {
        packet.extend([0x80, 0, high, low, 0, 0, high, low]);
        packet.extend(SSRC);
        packet.extend([high, low].repeat(80));
    }
}

/// Receives on one leg, sends on the other; returns how many packets were refused.
async fn relay(socket: UdpSocket, inbound: Inbound, outbound: Outbound, next: SocketAddr) -> Fallible<usize> {
    let mut refused = 0;
    let mut batch = buffers();
    while let Some(count) = receive(&socket, &mut batch).await? {
        let packets = &mut batch[..count];
        refused += reprotect(&inbound, &outbound, packets);
        for packet in packets.iter().filter(|packet| !packet.is_empty()) {
            socket.send_to(packet, next).await?;
        }
    }
    Ok(refused)
}

/// Takes a batch from one leg to the other, under one guard; those that are refused come out empty. No `async`, so the guard is gone when it returns.
fn reprotect(inbound: &Inbound, outbound: &Outbound, packets: &mut [Vec<u8>]) -> usize {
    let guard = inbound.domain().pin();
    let mut refused = 0;
    for packet in packets {
        // A server would count by `error.fault()`.
        if unprotect(inbound, &guard, packet).and_then(|()| protect(outbound, &guard, packet)).is_err() {
            refused += 1;
            packet.clear();
        }
    }
    refused
}

/// The callee: how many packets arrived as they were sent, and how many did not.
async fn listen(socket: UdpSocket, inbound: Inbound) -> Fallible<(usize, usize)> {
    let (mut arrived, mut altered) = (0, 0);
    let mut batch = buffers();
    while let Some(count) = receive(&socket, &mut batch).await? {
        let good = check(&inbound, &mut batch[..count]);
        arrived += good;
        altered += count - good;
    }
    Ok((arrived, altered))
}

/// How many packets of a batch are as they were sent.
fn check(inbound: &Inbound, packets: &mut [Vec<u8>]) -> usize {
    let guard = inbound.domain().pin();
    let mut expected = Vec::new();
    let mut good = 0;
    for packet in packets {
        if unprotect(inbound, &guard, packet).is_err() {
            continue;
        }
        // Reports and media have their number in different places.
        let at = if classify(packet) == Kind::Rtcp { 8 } else { 2 };
        if let Some(&[high, low]) = packet.get(at..at + 2) {
            plain(u16::from_be_bytes([high, low]), &mut expected);
            good += usize::from(*packet == expected);
        }
    }
    good
}

/// A batch's buffers, each with its room from the start: a clone of an empty vector would have none.
fn buffers() -> Vec<Vec<u8>> {
    (0..BATCH).map(|_| Vec::with_capacity(MAX_DATAGRAM)).collect()
}

/// Waits for a datagram, and takes all others that have arrived, up to a batch. `None` once nothing comes any more.
async fn receive(socket: &UdpSocket, batch: &mut [Vec<u8>]) -> io::Result<Option<usize>> {
    loop {
        match timeout(IDLE, socket.readable()).await {
            Ok(ready) => ready?,
            Err(_) => return Ok(None),
        }
        let mut count = 0;
        for packet in batch.iter_mut() {
            packet.clear();
            match socket.try_recv_buf(packet) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if count > 0 {
            return Ok(Some(count));
        }
    }
}

fn unprotect(inbound: &Inbound, guard: &Guard<'_>, packet: &mut Vec<u8>) -> Result<()> {
    match classify(packet) {
        Kind::Rtcp => inbound.unprotect_rtcp_in(guard, packet),
        _ => inbound.unprotect_rtp_in(guard, packet),
    }
}

fn protect(outbound: &Outbound, guard: &Guard<'_>, packet: &mut Vec<u8>) -> Result<()> {
    match classify(packet) {
        Kind::Rtcp => outbound.protect_rtcp_in(guard, packet),
        _ => outbound.protect_rtp_in(guard, packet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_relayed_through_the_rekeys_of_both_legs() {
        let outcome = run(600).unwrap();
        assert!(outcome.is_good() && outcome.keys_wiped >= 4, "{outcome:?}");
    }

    #[test]
    fn an_outcome_with_refused_altered_or_lost_packets_is_not_good() {
        let outcome = |refused, altered, arrived| Outcome { sent: 10, refused, altered, arrived, keys_wiped: 0 };
        assert!(outcome(0, 0, 10).is_good());
        assert!(!outcome(1, 0, 9).is_good() && !outcome(0, 1, 9).is_good() && !outcome(0, 0, 9).is_good());
    }
}
