//! The corpora, replayed by any toolchain, and whether they and the targets are complete.

use keyflip::Error;
use keyflip_fuzz::{TARGETS, Target, plant, seen};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// A corpus stays small: it is replayed by every run of the gate.
const MOST_FILES: usize = 300;
const MOST_OCTETS: usize = 1 << 20;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

fn corpus(target: Target) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(root().join("corpus").join(target.name)).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Whether the input is a finding.
fn fails(target: Target, data: &[u8]) -> bool {
    catch_unwind(|| target.run(data)).is_err()
}

#[test]
fn every_target_has_all_that_belongs_to_it() {
    let mut expected: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    expected.sort_unstable();
    assert_eq!(names("fuzz_targets"), expected);
    assert_eq!(names("corpus"), expected);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for name in expected {
        let binary = format!(
            "[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\nrequired-features = [\"libfuzzer\"]"
        );
        assert!(manifest.contains(&binary), "Cargo.toml has no binary {name}");
        let source = fs::read_to_string(root().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("run(\"{name}\"")), "{name} runs another target");
    }
}

#[test]
fn no_file_of_a_corpus_is_a_finding() {
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for (path, data) in corpus {
            assert!(!fails(target, &data), "{}:\n{}", path.display(), target.show(&data));
        }
    }
}

#[test]
fn a_planted_mistake_is_a_finding_of_every_target() {
    // These panics are expected: without their texts.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !plant::is_on() {
            hook(panic);
        }
    }));
    for target in TARGETS {
        let findings = corpus(target).iter().filter(|(_, data)| plant::planted(|| fails(target, data))).count();
        assert!(findings > 0, "{} does not find its mistake", target.name);
    }
}

/// A corpus that never gets there shows nothing about it.
#[test]
fn the_corpora_meet_every_refusal_that_a_target_can_cause() {
    let _ = seen::take();
    for target in TARGETS {
        corpus(target).iter().for_each(|(_, data)| target.run(data));
    }
    let seen = seen::take();
    let packets = [
        Error::PacketTooShort,
        Error::UnsupportedVersion,
        Error::CsrcOverrun,
        Error::ExtensionOverrun,
        Error::OutputTooSmall,
        Error::UnencryptedSrtcp,
        Error::AuthenticationFailed,
        Error::UnknownMki,
        Error::UnknownSsrc,
        Error::TooManyStreams,
        Error::Replayed,
        Error::TooOld,
        Error::IndexReused,
        Error::IndexTooOld,
        Error::KeyExpired,
        Error::SrtcpIndexExhausted,
    ];
    let control = [
        Error::StreamExists,
        Error::NoSuchStream,
        Error::IndexBackward,
        Error::DuplicateMki,
        Error::TooManyKeys,
        Error::KeyIsCurrent,
        Error::UnknownKey,
    ];
    let missing: Vec<_> = packets.into_iter().chain(control).filter(|error| !seen.contains(error)).collect();
    assert_eq!(missing, []);
}

#[test]
fn the_corpora_are_small() {
    for target in TARGETS {
        let corpus = corpus(target);
        let octets: usize = corpus.iter().map(|(_, data)| data.len()).sum();
        assert!(
            corpus.len() <= MOST_FILES && octets <= MOST_OCTETS,
            "{}: {} files, {octets} octets",
            target.name,
            corpus.len()
        );
    }
}

#[test]
fn octets_of_any_kind_are_an_input() {
    let mut state = 1u64;
    for target in TARGETS {
        for len in (0..4000).step_by(40) {
            let data: Vec<u8> = (0..len)
                .map(|_| {
                    // Knuth's MMIX generator.
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            assert!(!fails(target, &data), "{}", target.show(&data));
            assert!(!target.show(&data).is_empty());
        }
    }
}
