//! What must hold in a side file beyond its syntax.
//!
//! 1. Each key's SDES form is its master key and master salt, and each MKI has the stated length. Without an MKI, keys
//!    take turns.
//! 2. `packets[n].n` is n. A packet has a plaintext and an index exactly if it is to be accepted, and then a key of its
//!    MKI.
//! 3. The totals are those of the packets.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Key, Kind, Packet, Side, Tally, Verdict};

/// The only version of the format so far.
const FORMAT_VERSION: u32 = 1;

impl Side {
    /// Reads and checks a side file's contents.
    ///
    /// # Errors
    ///
    /// The text is not a side file of version 1, has a field that is not known here, or contradicts itself.
    pub fn parse(json: &[u8]) -> Result<Self> {
        /// What every version has. Read first: a later version should be called that, not an unknown field.
        #[derive(Deserialize)]
        struct Versioned {
            format_version: u32,
        }
        let Versioned { format_version } = serde_json::from_slice(json).context("not a side file of a capture")?;
        ensure!(
            format_version == FORMAT_VERSION,
            "format_version {format_version} is not known, only {FORMAT_VERSION}: update this \
             program, or convert the file"
        );
        let side: Side = serde_json::from_slice(json).context("not a side file of version 1")?;
        side.check()?;
        Ok(side)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.keys.is_empty(), "there must be at least one key");
        ensure!(!self.packets.is_empty(), "there must be at least one packet");
        for (i, key) in self.keys.iter().enumerate() {
            key.check(self.mki_len).with_context(|| format!("keys[{i}]"))?;
            ensure!(key.from_packet < self.packets.len(), "keys[{i}] would be used after the last packet only");
        }
        // Without an MKI nothing else would tell which of two keys a packet is under.
        let turns = self.keys.is_sorted_by(|a, b| a.from_packet < b.from_packet);
        ensure!(turns || self.mki_len > 0, "keys without MKI must take turns: from_packet must rise");
        let mut tally = Tally::default();
        for (n, packet) in self.packets.iter().enumerate() {
            ensure!(packet.n == n, "packets[{n}] calls itself {}: packets must be numbered from 0", packet.n);
            packet.check().with_context(|| format!("packet {n}"))?;
            ensure!(
                packet.expect != Verdict::Ok || self.keys.iter().any(|key| key.mki == packet.mki),
                "packet {n}: no key has its MKI \"{}\"",
                hex::encode(&packet.mki)
            );
            tally.count(packet, packet.expect);
        }
        ensure!(tally.totals == self.totals, "the packets add up to {:?}, not to {:?}", tally.totals, self.totals);
        ensure!(
            tally.accepted_per_ssrc == self.accepted_per_ssrc,
            "accepted_per_ssrc is {:?}, the packets say {:?}",
            self.accepted_per_ssrc,
            tally.accepted_per_ssrc
        );
        if let Some(verdicts) = &self.verdicts {
            ensure!(tally.verdicts == *verdicts, "verdicts are {verdicts:?}, the packets say {:?}", tally.verdicts);
        }
        Ok(())
    }
}

impl Key {
    fn check(&self, mki_len: usize) -> Result<()> {
        let sdes = STANDARD.decode(&self.sdes).context("sdes is not base64")?;
        ensure!(sdes == [&self.master_key[..], &self.master_salt].concat(), "sdes is not master_key and master_salt");
        ensure!(self.mki.len() == mki_len, "MKI of {} octets, mki_len is {mki_len}", self.mki.len());
        Ok(())
    }
}

impl Packet {
    fn check(&self) -> Result<()> {
        let Packet { kind, seq, index, roc, srtcp_index, .. } = *self;
        ensure!(!self.also_allowed.contains(&Verdict::Ok), "`ok` cannot be a second choice");
        ensure!(kind == Kind::Rtp || seq.is_none(), "RTCP has no sequence numbers");
        let plain = (self.plain_len.is_some(), self.plain_sha256.is_some());
        if self.expect != Verdict::Ok {
            ensure!(plain == (false, false), "a rejected packet has no plaintext");
            ensure!((index, roc, srtcp_index) == (None, None, None), "a rejected packet has no index");
            return Ok(());
        }
        ensure!(plain == (true, true), "an accepted packet needs plain_len and plain_sha256");
        match (kind, index, roc, seq, srtcp_index) {
            (Kind::Rtp, Some(index), Some(roc), Some(seq), None) => {
                ensure!(index == u64::from(roc) << 16 | u64::from(seq), "index {index} is not of ROC {roc} and {seq}");
            }
            (Kind::Rtcp, None, None, None, Some(index)) => {
                ensure!(index >> 31 == 0, "SRTCP index {index} has more than 31 bits");
            }
            (Kind::Rtp, ..) => bail!("accepted RTP needs seq, index and roc, and no srtcp_index"),
            (Kind::Rtcp, ..) => bail!("accepted RTCP needs srtcp_index, and no seq, index or roc"),
        }
        Ok(())
    }
}
