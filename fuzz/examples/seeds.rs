//! Writes seeds into `corpus/`: packets of core's vectors and of the recorded traffic, and short stories for the model. `run.sh` minimises what comes
//! of them.
//!
//! `cargo run --no-default-features --example seeds`. It encodes what the `Arbitrary` implementations decode: an enum by a word of 32 bits that its
//! variants share out evenly, an element of a list after an octet of 1, the end of a list as an octet of 0, numbers with the low octet first.

use keyflip::Profile;
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, iter};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// An input of a target, as it grows.
#[derive(Clone, Default)]
struct Seed(Vec<u8>);

impl Seed {
    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn word(mut self, word: u16) -> Self {
        self.0.extend(word.to_le_bytes());
        self
    }

    fn octets(self, octets: &[u8]) -> Self {
        let mut seed = self.word(octets.len() as u16);
        seed.0.extend(octets);
        seed
    }

    fn rest(mut self, octets: &[u8]) -> Self {
        self.0.extend(octets);
        self
    }

    fn variant(mut self, at: u64, of: u64) -> Self {
        self.0.extend((((at << 32).div_ceil(of)) as u32).to_le_bytes());
        self
    }

    /// The next element of a list is variant `at` of `of`.
    fn step(self, at: u64, of: u64) -> Self {
        self.byte(1).variant(at, of)
    }

    fn profile(self, profile: Profile) -> Self {
        self.byte(Profile::ALL.iter().position(|known| *known == profile).unwrap_or_default() as u8)
    }

    fn setup(self, keys: &Keys) -> Self {
        self.profile(keys.profile).octets(&keys.key).octets(&keys.mki)
    }
}

struct Keys {
    profile: Profile,
    /// Master key and salt.
    key: Vec<u8>,
    mki: Vec<u8>,
}

/// Packets of one key.
struct Traffic {
    name: String,
    keys: Keys,
    /// Whether it is RTCP, and the packet.
    wire: Vec<(bool, Vec<u8>)>,
    plain: Vec<(bool, Vec<u8>)>,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str> {
    value[field].as_str().ok_or_else(|| format!("no {field}").into())
}

fn octets(value: &Value, field: &str) -> Result<Vec<u8>> {
    Ok(hex::decode(text(value, field)?)?)
}

fn keys(value: &Value, profile: Profile) -> Result<Keys> {
    let key = [octets(value, "master_key")?, octets(value, "master_salt")?].concat();
    Ok(Keys { profile, key, mki: octets(value, "mki")? })
}

fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(repository().join(folder))?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}

/// The packets of core's vectors that have master keys.
fn vectors() -> Result<Vec<Traffic>> {
    let mut all = Vec::new();
    for path in files("core/tests/vectors", "json")? {
        let file: Value = serde_json::from_slice(&fs::read(&path)?)?;
        for vector in file["vectors"].as_array().into_iter().flatten() {
            let (Ok(profile), Some(_)) =
                (text(vector, "profile").unwrap_or_default().parse(), vector.get("master_key"))
            else {
                continue;
            };
            if let (Ok(plain), Ok(wire)) = (octets(vector, "plaintext"), octets(vector, "protected")) {
                let rtcp = vector["kind"] == "srtcp";
                let name = text(vector, "id")?.to_owned();
                let (wire, plain) = (vec![(rtcp, wire)], vec![(rtcp, plain)]);
                all.push(Traffic { name, keys: keys(vector, profile)?, wire, plain });
            }
        }
    }
    Ok(all)
}

/// The UDP payloads of a capture (classic pcap, Ethernet or raw IPv4), in order.
fn datagrams(pcap: &[u8]) -> Vec<Vec<u8>> {
    const ETHERNET: u8 = 1;
    let link_header = if pcap[20] == ETHERNET { 14 } else { 0 };
    let mut rest = &pcap[24..];
    let mut next = || {
        let len = u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize;
        let frame = rest.get(16..16 + len)?;
        rest = &rest[16 + len..];
        let ip = &frame[link_header..];
        Some(ip[usize::from(ip[0] & 15) * 4 + 8..].to_vec())
    };
    iter::from_fn(&mut next).collect()
}

/// A few short packets of each capture, of both protocols, under its first key.
fn captures() -> Result<Vec<Traffic>> {
    const LONGEST: usize = 400;
    let mut all = Vec::new();
    for path in files("stress/captures", "json")? {
        let side: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let datagrams = datagrams(&fs::read(path.with_extension("pcap"))?);
        let packets = side["packets"].as_array().ok_or("no packets")?.iter().zip(datagrams);
        let kind = |kind: &'static str| move |(side, _): &(&Value, Vec<u8>)| side["kind"] == kind;
        let short = packets.filter(|(_, packet)| packet.len() < LONGEST);
        let (rtp, rtcp) = (short.clone().filter(kind("rtp")).take(6), short.filter(kind("rtcp")).take(3));
        let wire: Vec<_> =
            rtp.map(|(_, packet)| (false, packet)).chain(rtcp.map(|(_, packet)| (true, packet))).collect();
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("no name")?.to_owned();
        let keys = keys(&side["keys"][0], text(&side, "profile")?.parse()?)?;
        all.push(Traffic { name, keys, wire, plain: Vec::new() });
    }
    Ok(all)
}

fn headers(traffic: &Traffic) -> impl Iterator<Item = Seed> {
    traffic.wire.iter().chain(&traffic.plain).map(|(rtcp, packet)| {
        let seed = Seed::default().profile(traffic.keys.profile).octets(&traffic.keys.mki);
        seed.variant(u64::from(*rtcp), 2).variant(0, 3).byte(0).byte(0).byte(1).rest(packet)
    })
}

fn unprotect(traffic: &Traffic) -> Seed {
    let start = Seed::default().setup(&traffic.keys).byte(0).byte(0).byte(0);
    let arrive =
        |seed: Seed, (rtcp, packet): &(bool, Vec<u8>)| seed.step(2, 3).variant(u64::from(*rtcp), 2).octets(packet);
    // Each twice.
    let seed = traffic.wire.iter().fold(start, arrive);
    traffic.wire.iter().fold(seed, arrive).byte(0)
}

fn differential(traffic: &Traffic) -> Seed {
    let start = Seed::default().setup(&traffic.keys).byte(0);
    let protect =
        |seed: Seed, (rtcp, packet): &(bool, Vec<u8>)| seed.step(2, 7).variant(u64::from(*rtcp), 2).octets(packet);
    let arrive =
        |seed: Seed, (rtcp, packet): &(bool, Vec<u8>)| seed.step(5, 7).variant(u64::from(*rtcp), 2).octets(packet);
    let seed = traffic.plain.iter().fold(start, protect);
    let seed = traffic.wire.iter().fold(seed, arrive);
    // The newest comes in; a rekey; it comes in again.
    seed.step(3, 7).byte(0).byte(0).step(6, 7).step(3, 7).byte(0).byte(0).byte(0)
}

/// The operations of a story.
const OPERATIONS: u64 = 11;

/// Begins a story: grace of two keys, eight streams, no limits.
fn story(profile: u8, mki_len: u8) -> Seed {
    Seed::default().byte(profile).byte(mki_len).byte(0).byte(0).byte(2).byte(0).byte(7).byte(0).byte(0)
}

fn sent(seed: Seed, rtcp: u64) -> Seed {
    let seed = seed.step(0, OPERATIONS).variant(rtcp, 2).byte(0).word(1);
    seed.byte(0).byte(0).byte(0).word(20).byte(7).variant(0, 3)
}

fn delivered(seed: Seed, which: u8) -> Seed {
    seed.step(2, OPERATIONS).byte(which).variant(2, 3)
}

fn rekeyed(seed: Seed, key: u8) -> Seed {
    seed.step(4, OPERATIONS).variant(2, 3).byte(key)
}

/// Packets sent, rekeyed over, late, twice, beyond a rollover, and after their stream was removed.
fn turns(profile: u8, mki_len: u8) -> Seed {
    let mut seed = story(profile, mki_len);
    for key in 1..4 {
        seed = sent(sent(sent(seed, 0), 1), 0);
        seed = delivered(rekeyed(seed, key), 0);
        seed = delivered(delivered(seed, 1), 1);
    }
    seed = seed.step(5, OPERATIONS);
    seed = delivered(delivered(seed, 2).step(1, OPERATIONS).byte(0), 0);
    seed = seed.step(9, OPERATIONS).variant(2, 3).byte(0);
    delivered(sent(seed, 0), 0).byte(0)
}

/// More keys than a receiver holds, each of which is then retired; and the SRTCP index up to its end and past it.
fn limits(mki_len: u8) -> Seed {
    let mut seed = story(0, mki_len);
    for key in 0..20 {
        seed = seed.step(6, OPERATIONS).byte(key);
    }
    seed = seed.step(8, OPERATIONS).variant(0, 3).byte(0).variant(0, 3).byte(0).byte(7);
    seed = sent(sent(seed, 1), 1);
    seed = delivered(sent(rekeyed(seed, 30), 1), 0);
    for key in 0..20 {
        seed = seed.step(7, OPERATIONS).byte(key);
    }
    seed.byte(0)
}

/// Twenty packets of three sessions sent in one call, and delivered in one, some spoilt, some twice; then again after a rekey.
fn batch(profile: u8) -> Seed {
    const STEPS: u64 = 4;
    const PACKETS: u8 = 20;
    let setup = |seed: Seed, at: u8| seed.byte(profile + at).octets(&[]).octets(if at == 1 { b"mki" } else { b"" });
    let mut seed = setup(setup(setup(Seed::default(), 0), 1), 2).byte(0);
    for arena in [0, 1] {
        seed = seed.step(0, STEPS);
        for at in 0..PACKETS {
            seed = seed.byte(1).byte(at).variant(u64::from(at % 4 == 3), 2).byte(at % 2).word(0);
            seed = seed.byte(0).byte(0).byte(0).word(u16::from(at)).byte(at).byte(0);
        }
        seed = seed.byte(0).byte(arena).step(1, STEPS);
        for at in 0..PACKETS {
            seed =
                if at % 8 == 0 { seed.step(1, 3).byte(at).word(30).byte(1) } else { seed.step(0, 3).byte(at / 2 * 2) };
        }
        seed = seed.byte(0).byte(arena).step(2, STEPS).byte(0).step(3, STEPS).byte(1);
    }
    seed.byte(0)
}

/// A header extension of elements of both lengths of header, some of which are to be encrypted, with padding between and behind them.
fn extension(profile: u8, form: u64, csrcs: u8) -> Seed {
    let elements: [&[u8]; 3] =
        [&[0x12, 7, 8, 9, 0, 0x20, 6, 0x31, 4, 5, 0, 0], &[1, 3, 7, 8, 9, 0, 2, 0, 3, 1, 5, 0], &[0xf0, 1, 2, 3]];
    let seed = Seed::default().byte(profile).byte(1).byte(3).byte(200).byte(profile / 2 % 2).byte(csrcs % 2);
    let seed = seed.variant(form, 3).byte(csrcs).byte(1).variant(form, 3);
    let seed = if form == 0 { seed } else { seed.word(0x1000).rest(&[]) };
    let seed = if form == 1 { Seed(seed.0[..seed.0.len() - 1].to_vec()) } else { seed };
    seed.octets(elements[form as usize]).rest(b"a payload of some octets")
}

/// Streams that roll over, are rekeyed and removed while their session moves; then a blob with an octet changed, sealed again.
fn moves(profile: u8, edit: u16, cut: Option<u16>) -> Seed {
    const STEPS: u64 = 4;
    let mut seed =
        Seed::default().byte(profile).octets(&[9; 4]).octets(if profile.is_multiple_of(2) { b"" } else { b"mki" });
    for turn in 0..4u8 {
        for at in 0..4u8 {
            seed = seed.step(0, STEPS).byte(at % 2).byte(turn % 2).word(u16::from(at) * 300);
        }
        seed = match turn {
            1 => seed.step(1, STEPS).byte(turn).byte(profile % 2),
            2 => seed.step(2, STEPS).byte(0),
            _ => seed,
        };
        seed = seed.step(3, STEPS);
    }
    seed = seed.byte(0).byte(1).word(edit).byte(0xff).byte(0);
    let seed = cut.map_or_else(|| seed.clone().byte(0), |cut| seed.clone().byte(1).word(cut));
    seed.rest(b"and octets of any kind")
}

/// Octets of any kind: the targets make something of whatever there is.
fn noise(number: u64) -> Seed {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // Knuth's MMIX generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let len = 40 + usize::from(next()) * 3;
    // Small octets, as often as others: counts, ids and choices.
    Seed((0..len).map(|_| if next() & 1 == 0 { next() & 15 } else { next() }).collect())
}

fn write(target: &str, name: &str, seed: &Seed) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(format!("seed-{name}")), &seed.0)?)
}

fn main() -> Result<()> {
    let all: Vec<_> = vectors()?.into_iter().chain(captures()?).collect();
    for traffic in &all {
        for (number, seed) in headers(traffic).enumerate() {
            write("headers", &format!("{}-{number}", traffic.name), &seed)?;
        }
        write("unprotect", &traffic.name, &unprotect(traffic))?;
        write("differential", &traffic.name, &differential(traffic))?;
    }
    for profile in 0..Profile::ALL.len() as u8 {
        write("batch", &format!("{profile}"), &batch(profile))?;
        for mki_len in [0, 3] {
            write("model", &format!("{profile}-{mki_len}"), &turns(profile, mki_len))?;
        }
    }
    for mki_len in [0, 3] {
        write("model", &format!("limits-{mki_len}"), &limits(mki_len))?;
    }
    for profile in 0..Profile::ALL.len() as u8 {
        for form in 0..3 {
            write("extensions", &format!("elements-{profile}-{form}"), &extension(profile, form, profile % 4))?;
        }
    }
    for profile in 0..Profile::ALL.len() as u8 {
        for number in 0..8 {
            let cut = (number % 4 == 3).then_some(number * 60);
            write(
                "blob",
                &format!("moves-{profile}-{number}"),
                &moves(profile, number * 37 + u16::from(profile), cut),
            )?;
        }
    }
    for number in 0..60 {
        for target in ["sdes", "double", "extensions", "blob"] {
            write(target, &format!("noise-{number}"), &noise(number))?;
        }
    }
    println!("seeds of {} sources", all.len());
    Ok(())
}
