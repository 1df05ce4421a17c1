//! What a session does to the headers of its packets.

use keyflip::{Cryptex, Profile, SessionBuilder};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Ids of header extension elements that are encrypted, where elements are.
const ENCRYPTED_IDS: [u8; 7] = [1, 2, 3, 5, 8, 13, 14];

/// What is encrypted of an RTP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Headers {
    /// Nothing.
    #[default]
    Clear,
    /// Some elements of its extension (RFC 6904).
    Elements,
    /// CSRCs and extension (RFC 9335), where they are.
    Cryptex,
    /// The same, and what comes otherwise is refused.
    CryptexRequired,
}

impl Headers {
    /// All that sessions of `profile` may do: without a cipher, nothing.
    pub(crate) fn of(profile: Profile) -> &'static [Self] {
        match profile {
            Profile::NullSha1_80 | Profile::NullSha1_32 | Profile::NullWithoutAuthentication => &[Self::Clear],
            _ => &[Self::Clear, Self::Elements, Self::Cryptex, Self::CryptexRequired],
        }
    }

    /// Any of them.
    pub(crate) fn any(profile: Profile, rng: &mut ChaCha8Rng) -> Self {
        let all = Self::of(profile);
        all[rng.random_range(0..all.len())]
    }

    /// `builder`, with what both ends must agree on.
    pub(crate) fn configure(self, builder: SessionBuilder) -> SessionBuilder {
        match self {
            Self::Clear => builder,
            Self::Elements => builder.encrypted_header_extensions(&ENCRYPTED_IDS),
            Self::Cryptex => builder.cryptex(Cryptex::Enabled),
            Self::CryptexRequired => builder.cryptex(Cryptex::Required),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::rtp;
    use keyflip::{Domain, MasterKey, Session};
    use rand::SeedableRng;

    #[test]
    fn every_packet_of_a_kind_can_be_sent_and_comes_back_as_it_was() {
        let rng = &mut ChaCha8Rng::seed_from_u64(7);
        for headers in Headers::of(Profile::AeadAes128Gcm) {
            let key = || MasterKey::take(&mut [7; 28]);
            let builder = headers.configure(Session::builder(Profile::AeadAes128Gcm));
            let session = builder.inbound(key()).outbound(key()).build(&Domain::new()).unwrap();
            let mut hidden = 0;
            for seq in 0..500 {
                let plain = rtp(1, seq, *headers, rng);
                let mut packet = plain.clone();
                let guard = session.outbound().domain().pin();
                session.outbound().protect_rtp_in(&guard, &mut packet).unwrap();
                let header = 12..header_len(&plain);
                hidden += usize::from(packet[header.clone()] != plain[header]);
                session.inbound().unprotect_rtp_in(&guard, &mut packet).unwrap();
                assert_eq!(packet, plain, "{headers:?}");
            }
            assert_eq!(hidden > 50, *headers != Headers::Clear, "{headers:?}: {hidden}");
        }
    }

    /// Octets of header, CSRCs and extension.
    fn header_len(packet: &[u8]) -> usize {
        let csrcs = 12 + usize::from(packet[0] & 0x0f) * 4;
        let words = |at: usize| usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
        if packet[0] & 0x10 == 0 { csrcs } else { csrcs + 4 + words(csrcs) * 4 }
    }
}
