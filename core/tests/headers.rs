//! Headers that are encrypted: elements of header extensions (RFC 6904), held against a model that knows the elements because it made them, and
//! Cryptex (RFC 9335), against one that moves octets about.

mod common;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use common::*;
use keyflip::{
    Cryptex, Error, HeaderKeystream, Outgoing, Profile, Received, Session, SessionBuilder, Target, fanout,
    protect_batch, unprotect_batch,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const SSRC: u32 = 0xcafe_babe;

const PROFILES: [(Profile, usize); 7] = [
    (Profile::Aes128CmSha1_80, 0),
    (Profile::Aes128CmSha1_32, 3),
    (Profile::Aes192CmSha1_80, 0),
    (Profile::Aes256CmSha1_80, 0),
    (Profile::AeadAes128Gcm, 0),
    (Profile::AeadAes256Gcm, 3),
    (Profile::AeadAes128Gcm8, 0),
];

const KEYSTREAMS: [HeaderKeystream; 2] = [HeaderKeystream::Rfc6904, HeaderKeystream::Libsrtp];

// ---- The model: AES-CM by blocks.

fn encrypt_block(key: &[u8], block: u128) -> [u8; 16] {
    let mut block = block.to_be_bytes().into();
    match key.len() {
        16 => aes::Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
        24 => aes::Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
        _ => aes::Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
    }
    block.into()
}

fn keystream(key: &[u8], iv: u128, len: usize) -> Vec<u8> {
    (0..).flat_map(|n| encrypt_block(key, iv + n)).take(len).collect()
}

fn salt_number(salt: &[u8]) -> u128 {
    let mut octets = [0; 16];
    octets[..salt.len()].copy_from_slice(salt);
    u128::from_be_bytes(octets)
}

/// RFC 3711 4.1.1 and 4.3, under the key and salt that two labels derive.
fn cm_keystream(master: &Key, (key_label, salt_label): (u8, u8), seq: u16, len: usize) -> Vec<u8> {
    let derive = |label: u8, len| keystream(&master.key, salt_number(&master.salt) ^ u128::from(label) << 64, len);
    let (key, salt) = (derive(key_label, master.key.len()), derive(salt_label, master.salt.len()));
    let iv = salt_number(&salt) ^ u128::from(SSRC) << 64 ^ u128::from(seq) << 16;
    keystream(&key, iv, len)
}

/// What the payload of a packet meets: RFC 3711 4.1.1, RFC 7714 8.1.
fn payload_keystream(profile: Profile, master: &Key, seq: u16, len: usize) -> Vec<u8> {
    if !is_gcm(profile) {
        return cm_keystream(master, (0, 2), seq, len);
    }
    let derive = |label: u8, len| keystream(&master.key, salt_number(&master.salt) ^ u128::from(label) << 64, len);
    let (key, salt) = (derive(0, master.key.len()), derive(2, master.salt.len()));
    let iv = salt_number(&salt) ^ u128::from(SSRC) << 80 ^ u128::from(seq) << 32;
    keystream(&key, iv + 2, len)
}

// ---- Packets.

#[derive(Clone, Debug)]
struct Element {
    id: u8,
    data: Vec<u8>,
    /// Octets of zeros behind it.
    padding: usize,
}

/// Of an element its id, where its data begins, where in libsrtp's keystream that is, and how long it is.
type Place = (u8, usize, usize, usize);

#[derive(Clone, Debug)]
struct Extended {
    two_byte: bool,
    elements: Vec<Element>,
    csrcs: Vec<u32>,
    payload: Vec<u8>,
}

impl Extended {
    /// The body of the extension, and where its elements are.
    fn body(&self) -> (Vec<u8>, Vec<Place>) {
        let (mut body, mut places, mut passed) = (Vec::new(), Vec::new(), 0);
        for Element { id, data, padding } in &self.elements {
            let header = if self.two_byte {
                vec![*id, u8::try_from(data.len()).unwrap()]
            } else {
                vec![id << 4 | u8::try_from(data.len() - 1).unwrap()]
            };
            body.extend(&header);
            places.push((*id, body.len(), passed + header.len(), data.len()));
            body.extend(data);
            passed += header.len() + data.len();
            body.resize(body.len() + padding, 0);
        }
        body.resize(body.len().next_multiple_of(4), 0);
        (body, places)
    }

    fn rtp(&self, seq: u16) -> Rtp {
        let words = self.body().0.as_chunks::<4>().0.to_vec();
        let form = if self.two_byte { 0x1000 } else { 0xbede };
        Rtp {
            csrcs: self.csrcs.clone(),
            extension: Some((form, words)),
            payload: self.payload.clone(),
            ..Rtp::new(SSRC, seq)
        }
    }

    fn header_len(&self) -> usize {
        16 + 4 * self.csrcs.len() + self.body().0.len()
    }

    /// The header as it is sent.
    fn encrypted_header(&self, seq: u16, master: &Key, ids: &[u8], which: HeaderKeystream) -> Vec<u8> {
        let (body, places) = self.body();
        let mut header = self.rtp(seq).build()[..self.header_len()].to_vec();
        let keystream = cm_keystream(master, (6, 7), seq, body.len());
        let at_body = header.len() - body.len();
        for (_, at, at_libsrtp, len) in places.into_iter().filter(|(id, ..)| ids.contains(id)) {
            let from = if which == HeaderKeystream::Rfc6904 { at } else { at_libsrtp };
            for n in 0..len {
                header[at_body + at + n] ^= keystream[from + n];
            }
        }
        header
    }
}

fn extended() -> impl Strategy<Value = Extended> {
    let element = |two_byte: bool| {
        let (ids, lens) = if two_byte { (1..=255u8, 0..=40usize) } else { (1..=14, 1..=16) };
        let padding = prop_oneof![2 => Just(0usize), 1 => 0..6usize];
        (ids, vec(any::<u8>(), lens), padding).prop_map(|(id, data, padding)| Element { id, data, padding })
    };
    any::<bool>().prop_flat_map(move |two_byte| {
        let parts = (vec(element(two_byte), 0..8), vec(any::<u32>(), 0..=15), vec(any::<u8>(), 0..300));
        parts.prop_map(move |(elements, csrcs, payload)| Extended { two_byte, elements, csrcs, payload })
    })
}

// ---- All ways to protect a packet, and to unprotect it.

/// Protects packets alone, in place and between buffers, in a batch, and in a fan-out: by a sender of its own each; all must come to the same.
fn protected(open: &dyn Fn() -> Session, packets: &[(Vec<u8>, usize)]) -> Vec<Vec<u8>> {
    let [one, to, many, fan] = [(); 4].map(|()| open());

    let room = one.outbound().rtp_overhead();
    let alone: Vec<Vec<u8>> = packets.iter().map(|(plain, _)| sealed(one.outbound(), plain).unwrap()).collect();
    for ((plain, header), alone) in packets.iter().zip(&alone) {
        let mut output = vec![0xee; plain.len() + room];
        let len = to.outbound().protect_rtp_to(&to.outbound().domain().pin(), plain, &mut output).unwrap();
        assert_eq!(hex::encode(&output[..len]), hex::encode(alone), "between buffers");
        let (header, payload) = plain.split_at(*header);
        let mut targets = [Target::new(fan.outbound(), header, &mut output)];
        fanout(&mut fan.outbound().domain().pin(), payload, &mut targets);
        assert_eq!(hex::encode(targets[0].protected().unwrap()), hex::encode(alone), "fan-out");
    }

    let mut buffers: Vec<Vec<u8>> = packets.iter().map(|(plain, _)| [&plain[..], &vec![0xee; room]].concat()).collect();
    let mut batch: Vec<_> = (buffers.iter_mut().zip(packets))
        .map(|(buffer, (plain, _))| Outgoing::rtp(many.outbound(), buffer, plain.len()))
        .collect();
    protect_batch(&mut many.outbound().domain().pin(), &mut batch);
    for (packet, alone) in batch.iter().zip(&alone) {
        assert_eq!(hex::encode(packet.protected().unwrap()), hex::encode(alone), "batch");
    }
    alone
}

/// The same of received packets; before each comes a forgery of it, which must be left as it is.
fn unprotected(open: &dyn Fn() -> Session, packets: &[Vec<u8>], bit: usize) -> Vec<Vec<u8>> {
    let [one, to, many] = [(); 3].map(|()| open());
    let forged: Vec<Vec<u8>> = (packets.iter())
        .map(|packet| {
            let mut forged = packet.clone();
            // Anywhere behind the SSRC: the estimate of the index is not what is asked here.
            let at = 12 * 8 + bit % ((packet.len() - 12) * 8);
            forged[at / 8] ^= 1 << (at % 8);
            forged
        })
        .collect();
    let alone: Vec<Vec<u8>> = (packets.iter().zip(&forged))
        .map(|(packet, forged)| {
            // Checks that a refused packet is as it was.
            assert!(open_packet(one.inbound(), forged).is_err());
            open_packet(one.inbound(), packet).unwrap()
        })
        .collect();
    for (packet, alone) in packets.iter().zip(&alone) {
        let mut output = vec![0xee; packet.len()];
        let len = to.inbound().unprotect_rtp_to(&to.outbound().domain().pin(), packet, &mut output).unwrap();
        assert_eq!(hex::encode(&output[..len]), hex::encode(alone), "between buffers");
    }
    let mut buffers: Vec<Vec<u8>> = forged.iter().chain(packets).cloned().collect();
    let mut batch: Vec<_> = buffers.iter_mut().map(|buffer| Received::rtp(many.inbound(), buffer)).collect();
    unprotect_batch(&mut many.outbound().domain().pin(), &mut batch);
    let good = batch.split_off(forged.len());
    assert!(batch.iter().all(|packet| packet.result().is_err()));
    for (packet, alone) in good.iter().zip(&alone) {
        assert_eq!(hex::encode(packet.plain().unwrap()), hex::encode(alone), "batch");
    }
    drop((batch, good));
    assert_eq!(buffers[..forged.len()], forged, "forgeries are as they were");
    alone
}

/// Protects a packet in place; a refusal must leave the buffer as it was. Cryptex may need less room than it asks for.
fn sealed(outbound: &keyflip::Outbound, plain: &[u8]) -> keyflip::Result<Vec<u8>> {
    let mut buffer = [plain, &vec![0xee; outbound.rtp_overhead()]].concat();
    let before = buffer.clone();
    let len = outbound.protect_rtp(&outbound.domain().pin(), &mut buffer, plain.len());
    assert!(len.is_ok() || buffer == before);
    buffer.truncate(len?);
    Ok(buffer)
}

fn open_packet(inbound: &keyflip::Inbound, packet: &[u8]) -> keyflip::Result<Vec<u8>> {
    open(inbound, Protocol::Rtp, packet)
}

fn session(key: &Key, profile: Profile, settings: &dyn Fn(SessionBuilder) -> SessionBuilder) -> Session {
    let builder = settings(Session::builder(profile)).inbound(key.master()).outbound(key.master());
    builder.build(&keyflip::Domain::new()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rfc6904_elements_are_encrypted_alone_in_batches_and_in_fan_outs(
        packets in vec(extended(), 1..12),
        ids in vec(1..=14u8, 1..6),
        high in vec(1..=255u8, 0..100),
        (profile, mki_len) in select(PROFILES.to_vec()),
        which in select(KEYSTREAMS.to_vec()),
        payload_too: bool,
        bit: usize,
    ) {
        let ids = [ids, high].concat();
        let key = Key::nth(profile, 1, mki_len);
        let settings = |builder: SessionBuilder| {
            let builder = builder.encrypted_header_extensions(&ids).header_extension_keystream(which);
            if payload_too { builder } else { builder.unencrypted_srtp() }
        };
        let open = || session(&key, profile, &settings);
        let plain: Vec<(Vec<u8>, usize)> = (1..).zip(&packets).map(|(seq, packet)| (packet.rtp(seq).build(), packet.header_len())).collect();
        let all_sent = protected(&open, &plain);
        let clear = session(&key, profile, &|builder| if payload_too { builder } else { builder.unencrypted_srtp() });
        for ((seq, packet), ((plain, header), sent)) in (1..).zip(&packets).zip(plain.iter().zip(&all_sent)) {
            let expected = packet.encrypted_header(seq, &key, &ids, which);
            prop_assert_eq!(hex::encode(&sent[..*header]), hex::encode(expected));
            // The payload is what it would be under a header in the clear.
            let in_the_clear = sealed(clear.outbound(), plain).unwrap();
            prop_assert_eq!(&sent[*header..plain.len()], &in_the_clear[*header..plain.len()]);
        }
        let opened = unprotected(&open, &all_sent, bit);
        prop_assert!(opened.iter().eq(plain.iter().map(|(plain, _)| plain)));
    }
}

/// A packet whose extension has this body.
fn with_extension(seq: u16, form: u16, body: &[u8]) -> Vec<u8> {
    Rtp { extension: Some((form, body.as_chunks::<4>().0.to_vec())), ..Rtp::new(SSRC, seq) }.build()
}

#[test]
fn rfc6904_an_element_that_overruns_its_extension_is_refused_and_changes_nothing() {
    for (profile, mki_len) in PROFILES {
        let key = Key::nth(profile, 1, mki_len);
        let settings: &dyn Fn(SessionBuilder) -> SessionBuilder = &|builder| builder.encrypted_header_extensions(&[1]);
        let (pair, clear) = (session(&key, profile, settings), session(&key, profile, &|builder| builder));
        for (seq, form, body) in
            [(1, 0xbede, &[0x10, 9, 0, 0x31][..]), (2, 0x1000, &[1, 3, 1, 2]), (3, 0x100f, &[1, 1, 1, 2])]
        {
            let bad = with_extension(seq, form, body);
            assert_eq!(sealed(pair.outbound(), &bad), Err(Error::ElementOverrun));
            let sent = sealed(clear.outbound(), &bad).unwrap();
            assert_eq!(open_packet(pair.inbound(), &sent), Err(Error::ElementOverrun));
            assert!(pair.inbound().streams().iter().all(|stream| stream.rtp.packets < u64::from(seq)));
            // The index was taken by neither.
            let good = with_extension(seq, form, &[0; 4]);
            let sent = sealed(pair.outbound(), &good).unwrap();
            assert_eq!(open_packet(pair.inbound(), &sent).unwrap(), good);
        }
        assert_eq!(pair.inbound().refused().malformed, 3);
    }
}

#[test]
fn rfc6904_extensions_of_other_forms_and_headers_without_one_stay_as_they_are() {
    for (profile, mki_len) in PROFILES {
        let key = Key::nth(profile, 1, mki_len);
        let settings: &dyn Fn(SessionBuilder) -> SessionBuilder = &|builder| builder.encrypted_header_extensions(&[1]);
        let (ours, clear) = (session(&key, profile, settings), session(&key, profile, &|builder| builder));
        for packet in
            [with_extension(1, 0xabcd, &[0x1f, 1, 2, 3]), with_extension(2, 0x1010, &[1, 9, 9, 9]), rtp(SSRC, 3)]
        {
            let sent = sealed(ours.outbound(), &packet).unwrap();
            assert_eq!(sent, sealed(clear.outbound(), &packet).unwrap());
            assert_eq!(open_packet(ours.inbound(), &sent).unwrap(), packet);
        }
    }
}

#[test]
fn p11_headers_that_cannot_be_encrypted_are_refused_when_a_session_is_made() {
    let built = |profile, ids: &[u8]| {
        let builder = Session::builder(profile).encrypted_header_extensions(ids);
        builder.build(&keyflip::Domain::new()).map(drop)
    };
    assert_eq!(built(Profile::Aes128CmSha1_80, &[3, 0]), Err(Error::BadExtensionId));
    assert_eq!(built(Profile::NullSha1_80, &[3]), Err(Error::NoHeaderCipher));
    assert_eq!(built(Profile::NullSha1_80, &[]), Ok(()));
    assert_eq!(built(Profile::AeadAes256Gcm, &[1, 255]), Ok(()));
}

// ---- Cryptex.

/// A packet with any header that Cryptex can carry, and the length of its header.
fn any_header() -> impl Strategy<Value = (Extended, bool)> {
    let few_csrcs = prop_oneof![Just(0usize), 1..=15usize];
    (extended(), few_csrcs, any::<bool>()).prop_map(|(mut packet, csrcs, has_extension)| {
        packet.csrcs.resize(csrcs, 0x0102_0304);
        (packet, has_extension)
    })
}

/// The plain packet, what a receiver has of it, and what of the packet is sent before the tag.
fn model(profile: Profile, key: &Key, seq: u16, (packet, has_extension): &(Extended, bool)) -> [Vec<u8>; 3] {
    let mut rtp = packet.rtp(seq);
    let fixed = if packet.two_byte { [0xc2, 0xde] } else { [0xc0, 0xde] };
    let (plain, received) = if *has_extension {
        (rtp.build(), rtp.build())
    } else {
        rtp.extension = None;
        let plain = rtp.build();
        rtp.extension = Some((0xbede, Vec::new()));
        let received = if packet.csrcs.is_empty() { plain.clone() } else { rtp.build() };
        (plain, received)
    };
    let id = if *has_extension { fixed } else { [0xc0, 0xde] };
    let (mut sent, csrcs) = (received.clone(), 4 * packet.csrcs.len());
    let hides = csrcs > 0 || *has_extension;
    if hides {
        sent[12 + csrcs..14 + csrcs].copy_from_slice(&id);
    }
    let clear = |at: &usize| if hides { (12 + csrcs..16 + csrcs).contains(at) } else { false };
    let encrypted: Vec<usize> = (12..sent.len()).filter(|at| !clear(at)).collect();
    for (at, octet) in encrypted.iter().zip(payload_keystream(profile, key, seq, encrypted.len())) {
        sent[*at] ^= octet;
    }
    [plain, received, sent]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rfc9335_headers_are_encrypted_alone_in_batches_and_in_fan_outs(
        packets in vec(any_header(), 1..12),
        (profile, mki_len) in select(PROFILES.to_vec()),
        policy in select(vec![Cryptex::Enabled, Cryptex::Required]),
        bit: usize,
    ) {
        let key = Key::nth(profile, 1, mki_len);
        let open = || session(&key, profile, &|builder| builder.cryptex(policy));
        let models: Vec<[Vec<u8>; 3]> = (1..).zip(&packets).map(|(seq, packet)| model(profile, &key, seq, packet)).collect();
        let plain: Vec<(Vec<u8>, usize)> = (packets.iter().zip(&models))
            .map(|((packet, _), [plain, ..])| (plain.clone(), plain.len() - packet.payload.len()))
            .collect();
        let all_sent = protected(&open, &plain);
        for ([_, _, expected], sent) in models.iter().zip(&all_sent) {
            prop_assert_eq!(hex::encode(&sent[..expected.len()]), hex::encode(expected));
            prop_assert_eq!(sent.len(), expected.len() + trailer_len(profile, Protocol::Rtp, mki_len));
        }
        let opened = unprotected(&open, &all_sent, bit);
        prop_assert!(opened.iter().eq(models.iter().map(|[_, received, _]| received)));
    }
}

/// Packets with something to hide, from the first sequence number on.
fn with_something_to_hide() -> [Vec<u8>; 3] {
    let csrcs = Rtp { csrcs: vec![1, 2], ..Rtp::new(SSRC, 1) }.build();
    [csrcs, with_extension(2, 0xbede, &[0x10, 9, 0, 0]), with_extension(3, 0x1000, &[1, 1, 9, 0])]
}

#[test]
fn rfc9335_what_is_in_the_clear_is_taken_unless_cryptex_is_required() {
    for (profile, mki_len) in PROFILES {
        let key = Key::nth(profile, 1, mki_len);
        let of = |cryptex| session(&key, profile, &|builder| builder.cryptex(cryptex));
        let (off, enabled, required) = (of(Cryptex::Off), of(Cryptex::Enabled), of(Cryptex::Required));
        for packet in with_something_to_hide() {
            let sent = sealed(off.outbound(), &packet).unwrap();
            assert_eq!(open_packet(enabled.inbound(), &sent).unwrap(), packet);
            assert_eq!(open_packet(required.inbound(), &sent), Err(Error::HeaderInTheClear));
        }
        assert_eq!(required.inbound().streams().len(), 0);
        assert_eq!(required.inbound().refused().other, 3);
        let nothing_to_hide = sealed(off.outbound(), &rtp(SSRC, 4)).unwrap();
        assert_eq!(open_packet(required.inbound(), &nothing_to_hide).unwrap(), rtp(SSRC, 4));
    }
}

#[test]
fn rfc9335_without_cryptex_its_packets_are_like_any_others() {
    for (profile, mki_len) in PROFILES {
        let key = Key::nth(profile, 1, mki_len);
        let off = session(&key, profile, &|builder| builder);
        for (seq, form) in [(1, 0xc0de), (2, 0xc2de)] {
            let packet = with_extension(seq, form, &[0x10, 9, 0, 0]);
            let sent = sealed(off.outbound(), &packet).unwrap();
            assert_eq!(sent[..20], packet[..20], "the header is in the clear");
            assert_eq!(open_packet(off.inbound(), &sent).unwrap(), packet);
        }
    }
}

#[test]
fn rfc9335_forms_that_cryptex_cannot_carry_are_refused_before_an_index_is_taken() {
    let key = Key::nth(Profile::Aes128CmSha1_80, 1, 0);
    let session = session(&key, Profile::Aes128CmSha1_80, &|builder| builder.cryptex(Cryptex::Enabled));
    for form in [0x1001, 0xc0de, 0xc2de, 0xabcd] {
        let refused = sealed(session.outbound(), &with_extension(1, form, &[0; 4]));
        assert_eq!(refused, Err(Error::UnknownExtensionForm), "{form:#x}");
    }
    assert!(sealed(session.outbound(), &with_extension(1, 0xbede, &[0; 4])).is_ok());
}

#[test]
fn rfc9335_a_packet_that_grows_needs_four_octets_more() {
    for (profile, mki_len) in PROFILES {
        let key = Key::nth(profile, 1, mki_len);
        let session = session(&key, profile, &|builder| builder.cryptex(Cryptex::Enabled));
        let (outbound, guard) = (session.outbound(), session.outbound().domain().pin());
        let trailer = trailer_len(profile, Protocol::Rtp, mki_len);
        assert_eq!(outbound.rtp_overhead(), trailer + 4);
        assert_eq!(outbound.rtcp_overhead(), trailer_len(profile, Protocol::Rtcp, mki_len));
        let [csrcs, extension, _] = with_something_to_hide();
        for (packet, needed) in [(csrcs, trailer + 4), (extension, trailer)] {
            let mut buffer = [&packet[..], &vec![0xee; needed]].concat();
            let (len, before) = (buffer.len(), buffer.clone());
            let short = outbound.protect_rtp(&guard, &mut buffer[..len - 1], packet.len());
            assert_eq!((short, &buffer), (Err(Error::OutputTooSmall), &before));
            assert_eq!(outbound.protect_rtp(&guard, &mut buffer, packet.len()), Ok(len));
            let mut grown = packet.clone();
            grown[3] += 10;
            outbound.protect_rtp_in(&guard, &mut grown).unwrap();
            assert_eq!(grown.len(), len);
        }
    }
}

#[test]
fn p11_cryptex_goes_with_encrypted_payloads_and_without_encrypted_elements() {
    let built = |builder: SessionBuilder| builder.cryptex(Cryptex::Enabled).build(&keyflip::Domain::new()).map(drop);
    let gcm = || Session::builder(Profile::AeadAes128Gcm);
    assert_eq!(built(gcm()), Ok(()));
    assert_eq!(built(gcm().unencrypted_srtp()), Err(Error::NoHeaderCipher));
    assert_eq!(built(Session::builder(Profile::NullSha1_80)), Err(Error::NoHeaderCipher));
    assert_eq!(built(gcm().encrypted_header_extensions(&[1])), Err(Error::TwoHeaderCiphers));
}
