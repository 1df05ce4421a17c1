//! A capture file of the user's own: decrypts its RTP and RTCP, and says of each SSRC what became of it.
//!
//! RTP and RTCP are told from what else shares their ports by the first octet (RFC 7983 7), and from each other by the
//! payload type (RFC 5761 4).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use keyflip::{Domain, Inbound, MasterKey, Profile, Roc, Session};
use serde_json::{Value, json};

use crate::cli::say;
use crate::datagrams::{Datagram, Traffic, write_plain};
use crate::feed::{unprotect, verdict};
use crate::side::{Kind, Ssrc};

/// How to read a capture file.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// The capture: pcap or pcapng
    file: PathBuf,
    /// Master key and salt, base64, as after `inline:` in SDP; several are tried in turn, or told apart by their MKIs
    #[arg(long = "key", required = true, value_name = "BASE64")]
    keys: Vec<String>,
    /// Profile by its registered name, such as AES_CM_128_HMAC_SHA1_80
    #[arg(long)]
    profile: Profile,
    /// MKI of the key, in hex; with several keys, one for each, in the same order
    #[arg(long = "mki", value_name = "HEX")]
    mkis: Vec<Octets>,
    /// Only datagrams to this UDP port: the two directions of a call have keys of their own
    #[arg(long)]
    port: Option<u16>,
    /// Rollover counter at which a stream of the capture begins, if that is not 0; SSRC in hex
    #[arg(long = "roc", value_name = "SSRC=N")]
    rocs: Vec<StreamRoc>,
    /// Where to write the decrypted datagrams: a pcap
    #[arg(long, value_name = "PCAP")]
    out: Option<PathBuf>,
}

/// Octets given in hex.
#[derive(Clone, Debug)]
struct Octets(Vec<u8>);

/// Where a stream begins.
#[derive(Clone, Copy, Debug)]
struct StreamRoc {
    ssrc: Ssrc,
    roc: u32,
}

impl FromStr for Octets {
    type Err = String;

    fn from_str(digits: &str) -> Result<Self, String> {
        match hex::decode(digits) {
            Ok(octets) if !octets.is_empty() => Ok(Self(octets)),
            _ => Err("expected an even number of hex digits".to_owned()),
        }
    }
}

impl FromStr for StreamRoc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (ssrc, roc) = text.split_once('=').ok_or("expected SSRC=N, such as 1a2b3c4d=7")?;
        let digits = ssrc.strip_prefix("0x").unwrap_or(ssrc);
        let ssrc = u32::from_str_radix(digits, 16).map_err(|_| format!("{ssrc:?} is not an SSRC in hex"))?;
        let roc = roc.parse().map_err(|_| format!("{roc:?} is not a rollover counter: 0 to {}", u32::MAX))?;
        Ok(Self { ssrc: Ssrc(ssrc), roc })
    }
}

impl ReplayArgs {
    /// The master keys.
    ///
    /// # Errors
    ///
    /// The command line makes no sense: keys of another length than the profile's, or not as many MKIs as keys.
    pub fn keys(&self) -> Result<Vec<MasterKey>> {
        let Self { profile, keys, mkis, .. } = self;
        ensure!(
            profile.is_authenticated(),
            "{profile} neither encrypts nor authenticates: there is nothing to decrypt"
        );
        ensure!(
            mkis.is_empty() || mkis.len() == keys.len(),
            "{} --key and {} --mki: give one for each key, or none",
            keys.len(),
            mkis.len()
        );
        let mkis = mkis.iter().map(|mki| &mki.0[..]).chain(std::iter::repeat(&[][..]));
        let numbered = keys.iter().zip(mkis).zip(1..);
        numbered.map(|((key, mki), nth)| master(key, mki, *profile).with_context(|| format!("--key {nth}"))).collect()
    }
}

fn master(key: &str, mki: &[u8], profile: Profile) -> Result<MasterKey> {
    /// With or without padding.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    // As in SDP, lifetime and MKI may follow (RFC 4568 6.1); only the key is of use here.
    let key = key.strip_prefix("inline:").unwrap_or(key);
    let key = key.split('|').next().unwrap_or(key);
    let mut octets = BASE64.decode(key).context("not base64")?;
    let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
    let needed = key_len + salt_len;
    ensure!(
        octets.len() == needed,
        "{profile} needs {needed} octets ({key_len} of master key and {salt_len} of master salt, {} characters of \
         base64 without padding); this one has {}",
        (needed * 4).div_ceil(3),
        octets.len()
    );
    Ok(MasterKey::take(&mut octets).with_mki(mki)?)
}

/// What became of an SSRC.
#[derive(Default)]
struct Row {
    rtp: usize,
    rtcp: usize,
    accepted: usize,
    refused: BTreeMap<&'static str, usize>,
}

/// Decrypts what `args` say with `keys`; whether anything was decrypted.
///
/// # Errors
///
/// The capture cannot be read or the output not written, or the keys do not go together.
pub fn replay(args: &ReplayArgs, keys: Vec<MasterKey>, json: bool) -> Result<bool> {
    let traffic = Traffic::read(&args.file)?;
    let inbound = receiver(args, keys)?;
    let (mut rows, mut others) = (BTreeMap::<Option<Ssrc>, Row>::new(), BTreeMap::<&'static str, usize>::new());
    let mut plain: Vec<(&Datagram, Vec<u8>)> = Vec::new();
    for datagram in &traffic.datagrams {
        if args.port.is_some_and(|port| port != datagram.destination.port()) {
            *others.entry("to other ports").or_default() += 1;
            continue;
        }
        let kind = match kind(&datagram.payload) {
            Ok(kind) => kind,
            Err(other) => {
                *others.entry(other).or_default() += 1;
                continue;
            }
        };
        let row = rows.entry(kind.ssrc(&datagram.payload)).or_default();
        match kind {
            Kind::Rtp => row.rtp += 1,
            Kind::Rtcp => row.rtcp += 1,
        }
        let mut packet = datagram.payload.clone();
        let len = unprotect(&inbound, &inbound.domain().pin(), kind, &mut packet).map(|plain| plain.len());
        match len {
            Ok(len) => {
                row.accepted += 1;
                packet.truncate(len);
                plain.push((datagram, packet));
            }
            Err(error) => *row.refused.entry(verdict(error).name()).or_default() += 1,
        }
    }
    for (name, left_out) in [("no UDP", traffic.other), ("fragments", traffic.fragments), ("cut off", traffic.snapped)]
    {
        if left_out > 0 {
            others.insert(name, left_out);
        }
    }
    if let Some(out) = &args.out {
        let plain: Vec<_> = plain.iter().map(|(datagram, plain)| (*datagram, &plain[..])).collect();
        write_plain(out, &plain)?;
    }
    print(&rows, &others, plain.len(), json)?;
    if plain.is_empty() {
        eprintln!("nothing was decrypted: wrong key, profile, MKI, port or rollover counter?");
    }
    Ok(!plain.is_empty())
}

fn receiver(args: &ReplayArgs, keys: Vec<MasterKey>) -> Result<Inbound> {
    /// As many as any capture has; each is made by an authentic packet only.
    const STREAMS: usize = 1 << 20;
    let session = Session::builder(args.profile).max_streams(STREAMS);
    let session = keys.into_iter().fold(session, |session, key| session.inbound(key));
    let inbound = session.build(&Domain::new()).context("the keys do not go together")?.inbound().clone();
    for StreamRoc { ssrc, roc } in &args.rocs {
        inbound.add_stream(ssrc.0, Roc(*roc)).with_context(|| format!("--roc {ssrc}={roc}"))?;
    }
    Ok(inbound)
}

/// What a datagram is: RTP or RTCP, or what else shares ports with them.
fn kind(payload: &[u8]) -> Result<Kind, &'static str> {
    match payload {
        [128..=191, 192..=223, ..] => Ok(Kind::Rtcp),
        [128..=191, ..] => Ok(Kind::Rtp),
        [0..=3, ..] => Err("STUN"),
        [16..=19, ..] => Err("ZRTP"),
        [20..=63, ..] => Err("DTLS"),
        [64..=79, ..] => Err("TURN channels"),
        [] => Err("empty"),
        _ => Err("unknown"),
    }
}

fn print(
    rows: &BTreeMap<Option<Ssrc>, Row>,
    others: &BTreeMap<&'static str, usize>,
    decrypted: usize,
    json: bool,
) -> Result<()> {
    let ssrc = |ssrc: &Option<Ssrc>| ssrc.map_or("none".to_owned(), |ssrc| ssrc.to_string());
    if json {
        let streams = rows.iter().map(|(of, row)| {
            let Row { rtp, rtcp, accepted, refused } = row;
            json!({"ssrc": ssrc(of), "rtp": rtp, "rtcp": rtcp, "accepted": accepted, "refused": refused})
        });
        let streams: Value = streams.collect();
        return say(json!({"decrypted": decrypted, "streams": streams, "left_out": others}));
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["SSRC", "RTP", "RTCP", "accepted", "refused"]);
    for (of, row) in rows {
        let numbers = [row.rtp, row.rtcp, row.accepted].map(|number| number.to_string());
        let refused: Vec<_> = row.refused.iter().map(|(why, packets)| format!("{packets} {why}")).collect();
        let cells = std::iter::once(ssrc(of)).chain(numbers).chain([refused.join(", ")]);
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    say(table)?;
    others.iter().try_for_each(|(name, datagrams)| say(format_args!("left out: {datagrams} {name}")))
}
