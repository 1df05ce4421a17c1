use super::*;
use crate::double;
use crate::epoch::Domain;
use crate::session::Session;
use proptest::collection::vec;
use proptest::prelude::*;

fn ids(list: &[u16]) -> Vec<ProtectionProfile> {
    list.iter().copied().map(ProtectionProfile).collect()
}

#[test]
fn rfc5764_rfc7714_numbers_of_the_profiles() {
    let numbers = Profile::ALL.map(|profile| ProtectionProfile::of(profile).map(|id| id.0));
    let [cm80, cm32, none @ .., gcm128, gcm256, short128, short256, null80, null32, no_null] = numbers;
    assert_eq!((cm80, cm32, gcm128, gcm256), (Some(1), Some(2), Some(7), Some(8)));
    assert_eq!((null80, null32), (Some(5), Some(6)));
    assert_eq!((none, no_null), ([None; 4], None));
    assert_eq!((short128, short256), (None, None), "no registry has tags of 8 octets");
    for profile in Profile::ALL {
        if let Some(id) = ProtectionProfile::of(profile) {
            assert_eq!(Profile::try_from(id), Ok(profile));
        }
    }
}

#[test]
fn rfc8723_double_and_other_numbers_are_no_profile_of_one_layer() {
    // 3 and 4 were AES-256-CM in a draft, and some still use them so; they are not assigned.
    let refused = (0..=u16::MAX).map(ProtectionProfile).filter(|id| Profile::try_from(*id).is_err());
    assert_eq!(refused.count(), 65_536 - 6);
    for id in [3, 4, 9, 10, 0xff].map(ProtectionProfile) {
        assert_eq!(Profile::try_from(id), Err(Error::UnsupportedProfile(id)));
    }
    let said = |id| Error::UnsupportedProfile(ProtectionProfile(id)).to_string();
    assert!(said(9).contains("0x0009 (DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM)"), "{}", said(9));
    assert!(said(3).contains("0x0003 is"), "{}", said(3));
}

#[test]
fn rfc8723_double_profiles_have_their_numbers_and_halves() {
    for (profile, id) in double::Profile::ALL.into_iter().zip([9, 10]) {
        assert_eq!(ProtectionProfile::from(profile), ProtectionProfile(id));
        assert_eq!(double::Profile::try_from(ProtectionProfile(id)), Ok(profile));
        assert_eq!(ProtectionProfile(id).name(), Some(profile.name()));
        let (key, salt) = (profile.key_len() / 2, profile.salt_len() / 2);
        let lens = [key, key, key, key, salt, salt, salt, salt];
        for (role, ours, theirs) in [(Role::Client, 0, 2), (Role::Server, 2, 0)] {
            let mut exported: Vec<u8> = (0u8..).zip(lens).flat_map(|(number, len)| vec![number; len]).collect();
            assert_eq!(exported.len(), double_keying_material_len(profile));
            let keys = DoubleKeys::take(profile, role, &mut exported).unwrap();
            assert!(exported.iter().all(|octet| *octet == 0), "the material is wiped");
            for (half, number) in [
                (&keys.outbound.inner, ours),
                (&keys.outbound.outer, ours + 1),
                (&keys.inbound.inner, theirs),
                (&keys.inbound.outer, theirs + 1),
            ] {
                let (key, salt) = half.split(key, salt).unwrap();
                assert!(key.iter().all(|octet| *octet == number), "{profile} {role:?} {number}");
                assert!(salt.iter().all(|octet| *octet == number + 4), "{profile} {role:?} {number}");
            }
        }
        let mut short = vec![7; double_keying_material_len(profile) - 1];
        let error = DoubleKeys::take(profile, Role::Client, &mut short).map(drop);
        assert_eq!(error, Err(Error::WrongMaterialLength { expected: short.len() + 1, found: short.len() }));
    }
    assert!(double::Profile::try_from(ProtectionProfile(7)).is_err());
}

#[test]
fn rfc8723_double_profiles_are_negotiated_by_number() {
    let double = ProtectionProfile::from(double::Profile::Aes256Gcm);
    let mut offer = UseSrtp::offer(&[Profile::AeadAes256Gcm]);
    offer.profiles.insert(0, double);
    assert_eq!(select_id(&offer.profiles, &[ProtectionProfile(9), double]), Some(double));
    assert_eq!(select_id(&offer.profiles, &[ProtectionProfile(9)]), None);
    let answer = UseSrtp { profiles: vec![double], mki: vec![] };
    assert_eq!(offer.chosen(&answer), Ok(double));
    assert_eq!(offer.accept(&answer), Err(Error::UnsupportedProfile(double)));
    let other = UseSrtp { profiles: ids(&[9]), mki: vec![] };
    assert_eq!(offer.chosen(&other), Err(Error::ProfileNotOffered(ProtectionProfile(9))));
}

#[test]
fn rfc5764_lengths_of_the_keying_material() {
    let lengths = Profile::ALL.map(keying_material_len);
    assert_eq!(lengths, [60, 60, 76, 76, 92, 92, 56, 88, 56, 88, 60, 60, 60]);
}

/// The octets of each part are one number, so that each can be told in what it was made of.
fn material(profile: Profile) -> Vec<u8> {
    let part = |number, len| std::iter::repeat_n(number, len);
    let (key, salt) = (profile.key_len(), profile.salt_len());
    part(1, key).chain(part(2, key)).chain(part(3, salt)).chain(part(4, salt)).collect()
}

#[test]
fn rfc5764_client_and_server_take_the_parts_that_are_theirs() {
    for profile in Profile::ALL {
        for (role, ours, theirs) in [(Role::Client, [1, 3], [2, 4]), (Role::Server, [2, 4], [1, 3])] {
            let mut exported = material(profile);
            let keys = Keys::take(profile, role, &mut exported).unwrap();
            assert!(exported.iter().all(|octet| *octet == 0), "the material is wiped");
            for (key, [number, salt_number]) in [(&keys.outbound, ours), (&keys.inbound, theirs)] {
                let (key, salt) = key.split(profile.key_len(), profile.salt_len()).unwrap();
                assert!(key.iter().all(|octet| *octet == number), "{profile} {role:?}");
                assert!(salt.iter().all(|octet| *octet == salt_number), "{profile} {role:?}");
            }
        }
    }
}

#[test]
fn rfc5764_client_and_server_understand_each_other() {
    let domain = Domain::new();
    for profile in [Profile::Aes128CmSha1_32, Profile::AeadAes256Gcm, Profile::NullSha1_80] {
        let session = |role| {
            let keys = Keys::take(profile, role, &mut material(profile)).unwrap().with_mki(&[9, 9]).unwrap();
            Session::builder(profile).outbound(keys.outbound).inbound(keys.inbound).build(&domain).unwrap()
        };
        let (client, server) = (session(Role::Client), session(Role::Server));
        for (from, to) in [(&client, &server), (&server, &client)] {
            let plain = b"\x80\x60\0\x01\0\0\0\xa0\xca\xfe\xba\xbepayload";
            let mut packet = [0; 60];
            let len = from.outbound().protect_rtp_to(&domain.pin(), plain, &mut packet).unwrap();
            assert_eq!(to.inbound().unprotect_rtp(&domain.pin(), &mut packet[..len]).unwrap(), plain);
        }
    }
}

#[test]
fn material_of_another_length_is_refused_and_left_alone() {
    for found in [0, 1, 59, 61, 120] {
        let mut exported = vec![7; found];
        let error = Keys::take(Profile::Aes128CmSha1_80, Role::Client, &mut exported).map(drop);
        assert_eq!(error, Err(Error::WrongMaterialLength { expected: 60, found }));
        assert_eq!(exported, vec![7; found]);
    }
}

#[test]
fn keys_show_nothing() {
    let text = format!("{:?}", Keys::take(Profile::AeadAes128Gcm, Role::Client, &mut [0xab; 56]).unwrap());
    assert!(text.contains("redacted") && !text.contains("171"), "{text}");
}

#[test]
fn select_follows_the_preference_of_who_selects() {
    let both = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];
    assert_eq!(select(&ids(&[1, 2, 7]), &both), Some(Profile::AeadAes128Gcm));
    assert_eq!(select(&ids(&[7, 1]), &[Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm]), Some(both[1]));
    assert_eq!(select(&ids(&[2, 9, 0xffff]), &both), None);
    assert_eq!(select(&[], &both), None);
    assert_eq!(select(&ids(&[5, 6, 2, 1, 7, 8]), &PREFERENCE), Some(Profile::AeadAes256Gcm));
    assert_eq!(select(&ids(&[5, 6]), &PREFERENCE), None, "NULL only if asked for");
    assert_eq!(select(&ids(&[5, 6]), &Profile::ALL), Some(Profile::NullSha1_80));
    // What has no number cannot be meant by any.
    assert_eq!(select(&ids(&[1, 2, 3, 4]), &[Profile::Aes256CmSha1_80]), None);
}

/// The body that OpenSSL 3.0 sends as a client with these four profiles; and two more, one with an MKI.
const BODIES: [(&[u8], &[u16], &[u8]); 3] = [
    (b"\0\x08\0\x07\0\x08\0\x01\0\x02\0", &[7, 8, 1, 2], b""),
    (b"\0\x02\0\x01\0", &[1], b""),
    (b"\0\x04\0\x01\0\x09\x03mki", &[1, 9], b"mki"),
];

#[test]
fn rfc5764_use_srtp_is_read_and_written() {
    for (body, profiles, mki) in BODIES {
        let extension = UseSrtp { profiles: ids(profiles), mki: mki.into() };
        assert_eq!(UseSrtp::parse(body), Ok(extension.clone()));
        assert_eq!(extension.encode().unwrap(), body);
        for len in 0..body.len() {
            assert_eq!(UseSrtp::parse(&body[..len]), Err(Error::Truncated));
        }
        assert_eq!(UseSrtp::parse(&[body, &[0]].concat()), Err(Error::TrailingOctets));
    }
    assert_eq!(UseSrtp::parse(b"\0\0\0"), Err(Error::BadProfileList));
    assert_eq!(UseSrtp::parse(b"\0\x03\0\x01\0\0"), Err(Error::BadProfileList));
}

#[test]
fn use_srtp_refuses_to_write_what_has_no_room() {
    let encode = |profiles: usize, mki: usize| {
        UseSrtp { profiles: vec![ProtectionProfile(1); profiles], mki: vec![0; mki] }.encode().map(|body| body.len())
    };
    assert_eq!(encode(32_767, 255), Ok(2 + 65_534 + 1 + 255));
    assert_eq!(encode(32_768, 0), Err(Error::TooManyProfiles));
    assert_eq!(encode(1, 256), Err(Error::MkiTooLong));
    assert_eq!(encode(0, 0), Err(Error::BadProfileList));
}

#[test]
fn rfc5764_offer_and_answer_settle_profile_and_mki() {
    let offer = UseSrtp { mki: b"key1".into(), ..UseSrtp::offer(&PREFERENCE) };
    let (answer, at_server) = offer.answer(&[Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm]).unwrap();
    assert_eq!(answer, UseSrtp { profiles: ids(&[1]), mki: b"key1".into() });
    assert_eq!(at_server, Accepted { profile: Profile::Aes128CmSha1_80, mki: b"key1".into() });
    assert_eq!(offer.accept(&answer), Ok(at_server));
    // The server may decline the MKI, but not choose another.
    let declined = UseSrtp { mki: vec![], ..answer.clone() };
    assert_eq!(offer.accept(&declined).unwrap().mki, b"");
    assert_eq!(offer.accept(&UseSrtp { mki: b"key2".into(), ..answer }), Err(Error::MkiNotOffered));
    assert_eq!(UseSrtp::offer(&[Profile::Aes256CmSha1_80]).profiles, []);
    assert_eq!(offer.answer(&[Profile::NullSha1_80]), None);
}

#[test]
fn an_mki_longer_than_packets_may_carry_is_declined() {
    for (len, expected) in [(128, 128), (129, 0)] {
        let offer = UseSrtp { mki: vec![1; len], ..UseSrtp::offer(&PREFERENCE) };
        let (answer, accepted) = offer.answer(&PREFERENCE).unwrap();
        assert_eq!((answer.mki.len(), accepted.mki.len()), (expected, expected));
    }
}

#[test]
fn rfc5764_a_client_refuses_answers_that_do_not_fit() {
    let offer = UseSrtp { profiles: ids(&[1, 7, 9]), mki: vec![] };
    let answer = |profiles: &[u16], mki: &[u8]| offer.accept(&UseSrtp { profiles: ids(profiles), mki: mki.into() });
    assert_eq!(answer(&[7], b"").unwrap().profile, Profile::AeadAes128Gcm);
    assert_eq!(answer(&[], b""), Err(Error::NotOneProfile(0)));
    assert_eq!(answer(&[1, 7], b""), Err(Error::NotOneProfile(2)));
    assert_eq!(answer(&[2], b""), Err(Error::ProfileNotOffered(ProtectionProfile(2))));
    assert_eq!(answer(&[1], b"m"), Err(Error::MkiNotOffered));
    assert_eq!(answer(&[9], b""), Err(Error::UnsupportedProfile(ProtectionProfile(9))));
}

/// Reads the extension octet by octet, as RFC 5764 4.1.1 declares it.
fn model(body: &[u8]) -> Option<UseSrtp> {
    let mut octets = body.iter().map(|octet| usize::from(*octet));
    let list = (octets.next()? << 8) + octets.next()?;
    let mut profiles = Vec::new();
    for _ in 0..list / 2 {
        profiles.push(ProtectionProfile(u16::try_from((octets.next()? << 8) + octets.next()?).unwrap()));
    }
    let mki: Vec<u8> =
        (0..octets.next()?).map(|_| octets.next().and_then(|octet| u8::try_from(octet).ok())).collect::<Option<_>>()?;
    (list > 0 && list % 2 == 0 && octets.next().is_none()).then_some(UseSrtp { profiles, mki })
}

proptest! {
    #[test]
    fn use_srtp_is_read_as_the_model_reads_it(
        body in prop_oneof![
            vec(any::<u8>(), 0..40),
            // Lengths that fit by chance.
            (vec(any::<u8>(), 0..12), vec(any::<u8>(), 0..6), 0..2usize).prop_map(|(list, mki, off)| {
                let len = [0, u8::try_from(list.len() + off).unwrap()];
                [&len[..], &list, &[u8::try_from(mki.len()).unwrap()], &mki].concat()
            }),
        ],
    ) {
        let read = UseSrtp::parse(&body);
        prop_assert_eq!(read.clone().ok(), model(&body));
        if let Ok(extension) = read {
            prop_assert_eq!(extension.encode().unwrap(), body);
        }
    }
}
