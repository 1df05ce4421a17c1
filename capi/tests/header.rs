//! The header that is checked in is what cbindgen makes of the sources, and error numbers are never reused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// In the order in which a reader wants them.
const SOURCES: [&str; 15] = [
    "error", "info", "profile", "domain", "event", "session", "key", "key_list", "stream", "packet", "batch", "fanout",
    "dtls", "sdes", "lib",
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(here("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_config(config);
    let sources = SOURCES.iter().filter(|name| **name != "lib");
    let builder = sources.fold(builder, |builder, name| builder.with_src(here(&format!("src/{name}.rs"))));
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_header_is_what_the_sources_say() {
    let path = here("include/keyflip.h");
    let generated = generate();
    if std::env::var_os("KEYFLIP_WRITE_HEADER").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(generated.lines()).find(|(kept, generated)| kept != generated);
    let advice = "KEYFLIP_WRITE_HEADER=1 cargo test -p keyflip-capi --test header writes it anew";
    assert!(kept == generated, "include/keyflip.h is stale: {advice}; {differs:?}");
}

#[test]
fn every_exported_function_is_in_the_header_and_says_what_it_returns() {
    let header = generate();
    let mut count = 0;
    for name in SOURCES {
        let source = fs::read_to_string(here(&format!("src/{name}.rs"))).unwrap();
        for part in source.split("#[unsafe(no_mangle)]").skip(1) {
            let name = part.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            assert!(header.contains(&format!("{name}(")), "{name}");
            count += 1;
        }
    }
    assert!(count > 40, "{count} functions were found");
}

/// Name -> number.
fn in_header() -> BTreeMap<String, i32> {
    let header = generate();
    let constants = header.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "));
    let errors = constants.filter(|(name, _)| name.starts_with("KEYFLIP_ERR_"));
    errors.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect()
}

#[test]
fn an_error_number_keeps_its_meaning_for_ever() {
    let table = fs::read_to_string(here("errors.txt")).unwrap();
    let mut kept = BTreeMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let (number, name) = line.split_once(' ').unwrap();
        assert!(kept.insert(name.to_owned(), number.parse::<i32>().unwrap()).is_none(), "{name} is there twice");
    }
    let mut numbers: Vec<_> = kept.values().collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), kept.len(), "a number is there twice");
    let errors = in_header();
    assert!(errors.len() > 70, "{} errors were found", errors.len());
    for (name, number) in &errors {
        assert_eq!(kept.get(name), Some(number), "{name} = {number}: add it to errors.txt, at a number never used");
        // SAFETY: a text that is constant and ends with a zero.
        let text = unsafe { core::ffi::CStr::from_ptr(keyflip_c::keyflip_error_name(*number)) };
        assert_eq!(text.to_str(), Ok(name.as_str()));
    }
}
