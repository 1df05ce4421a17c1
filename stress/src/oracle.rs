//! The judge: whether a receiver made of a capture what its side file says.
//!
//! Two steps, because receivers under test run on several threads:
//!
//! 1. [`Oracle::check`] judges one packet, alone. It changes nothing, so that any thread may call it, in any order.
//! 2. [`Oracle::finish`] judges the whole: that each packet was there once, that the accepted plaintexts *in capture
//!    order* have the side file's digests, and that the counts are its counts. It takes what the threads made of the
//!    packets, sorted.
//!
//! The first step alone would miss lost packets; the second alone would not name the wrong one, and would not tell one
//! reason of a rejection from another.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::side::{Kind, Packet, Sha256Sum, Side, Tally, Totals, Verdict};

/// Judges receivers by one side file.
#[derive(Clone, Copy, Debug)]
pub struct Oracle<'a> {
    side: &'a Side,
}

/// What a receiver made of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'p> {
    /// Which packet, counted from 0.
    pub n: usize,
    /// What the receiver said.
    pub verdict: Verdict,
    /// The decrypted packet, if it was accepted.
    pub plain: Option<&'p [u8]>,
}

/// A receiver did something else than the side file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// File name of the capture.
    pub capture: String,
    /// Which packet, counted from 0; `None` if it is about the capture as a whole.
    pub n: Option<usize>,
    /// In what they differ.
    pub what: &'static str,
    /// What the side file says.
    pub expected: String,
    /// What the receiver did.
    pub got: String,
}

impl<'a> Oracle<'a> {
    /// The judge by `side`.
    pub fn new(side: &'a Side) -> Self {
        Oracle { side }
    }

    /// Judges what a receiver made of packet `n`: its verdict, and the decrypted packet if it was accepted.
    ///
    /// # Errors
    ///
    /// The verdict is neither the expected one nor an allowed one, or the decrypted packet is not the one that was
    /// sent.
    ///
    /// # Performance
    ///
    /// One SHA-256 over the decrypted packet: keep it out of what is timed.
    pub fn check(&self, n: usize, verdict: Verdict, plain: Option<&[u8]>) -> Result<(), Difference> {
        let packet = self.packet(n)?;
        if verdict != packet.expect && !packet.also_allowed.contains(&verdict) {
            return Err(self.difference(n, "verdict", Expected(packet), verdict));
        }
        let Some(plain) = plain.filter(|_| verdict == Verdict::Ok) else {
            return match (verdict, plain) {
                (Verdict::Ok, None) => Err(self.difference(n, "plaintext", "one", "none")),
                (_, Some(_)) => Err(self.difference(n, "plaintext", "none of a rejected packet", "one")),
                (_, None) => Ok(()),
            };
        };
        if packet.plain_len != Some(plain.len()) {
            return Err(self.difference(n, "plaintext octets", Known(packet.plain_len), plain.len()));
        }
        let digest = Sha256Sum::of(plain);
        if packet.plain_sha256 != Some(digest) {
            return Err(self.difference(n, "plaintext SHA-256", Known(packet.plain_sha256), digest));
        }
        Ok(())
    }

    /// Judges a whole run, of which each packet was checked already: takes all outcomes in capture order (`n` = 0, 1,
    /// 2, and so on) and returns the totals, which are the side file's.
    ///
    /// # Errors
    ///
    /// A packet is missing or there twice, the accepted packets are not those of the side file, or a packet was
    /// accepted without a plaintext.
    pub fn finish<'p>(&self, outcomes: impl IntoIterator<Item = Outcome<'p>>) -> Result<Totals, Difference> {
        let (mut rtp, mut rtcp, mut tally) = (Sha256::new(), Sha256::new(), Tally::default());
        let mut next = 0;
        for Outcome { n, verdict, plain } in outcomes {
            let packet = self.packet(n)?;
            if n != next {
                return Err(self.difference(next, "outcome", "one, in order", format!("one of packet {n}")));
            }
            next += 1;
            tally.count(packet, verdict);
            match (verdict, plain, packet.kind) {
                (Verdict::Ok, Some(plain), Kind::Rtp) => rtp.update(plain),
                (Verdict::Ok, Some(plain), Kind::Rtcp) => rtcp.update(plain),
                (Verdict::Ok, None, _) => return Err(self.difference(n, "plaintext", "one", "none")),
                _ => {}
            }
        }
        if next != self.side.packets.len() {
            return Err(self.difference(next, "outcome", "one", "none: it and all after it are missing"));
        }
        let side = self.side;
        self.same("totals", format!("{:?}", side.totals), format!("{:?}", tally.totals))?;
        let (expected, got) = (&side.accepted_per_ssrc, &tally.accepted_per_ssrc);
        self.same("accepted per SSRC", format!("{expected:?}"), format!("{got:?}"))?;
        self.same("SHA-256 of all RTP", side.rtp_plain_sha256, Sha256Sum(rtp.finalize().into()))?;
        self.same("SHA-256 of all RTCP", side.rtcp_plain_sha256, Sha256Sum(rtcp.finalize().into()))?;
        Ok(tally.totals)
    }

    fn packet(&self, n: usize) -> Result<&'a Packet, Difference> {
        let packets = &self.side.packets;
        packets.get(n).ok_or_else(|| self.difference(n, "packet", format!("{} packets", packets.len()), "one more"))
    }

    fn same<T: PartialEq + fmt::Display>(&self, what: &'static str, expected: T, got: T) -> Result<(), Difference> {
        if expected == got {
            return Ok(());
        }
        Err(Difference { n: None, ..self.difference(0, what, expected, got) })
    }

    fn difference(
        &self,
        n: usize,
        what: &'static str,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Difference {
        let capture = self.side.capture.clone();
        Difference { capture, n: Some(n), what, expected: expected.to_string(), got: got.to_string() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { capture, n, what, expected, got } = self;
        match n {
            Some(n) => write!(f, "{capture}: packet {n}: {what}: expected {expected}, got {got}"),
            None => write!(f, "{capture}: {what}: expected {expected}, got {got}"),
        }
    }
}

impl std::error::Error for Difference {}

/// The verdicts that are fine, in words.
struct Expected<'a>(&'a Packet);

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.expect)?;
        self.0.also_allowed.iter().try_for_each(|verdict| write!(f, " or {verdict}"))?;
        // For a disturbed packet, what was done to it is half of the explanation.
        self.0.what.iter().try_for_each(|what| write!(f, " ({what})"))
    }
}

/// Something that a side file has for accepted packets only.
struct Known<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(f),
            None => f.write_str("none"),
        }
    }
}
