//! The house: who may import whom, where `unsafe` may stand, how long a file may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the ground up. A module imports from lower floors only; a folder is one module.
const FLOORS: [&[&str]; 21] = [
    &["error", "primitive"],
    &["index", "id"],
    &["wire", "classify", "buffer", "replay", "kernels"],
    &["event"],
    &["crypto", "epoch", "secret"],
    &["keys"],
    &["policy", "counters", "watch"],
    &["stream"],
    &["table"],
    &["space"],
    &["context"],
    &["protect", "unprotect", "info", "moving"],
    &["inbound", "outbound"],
    &["batch", "fanout"],
    &["parallel"],
    &["session", "held"],
    &["ssrc_keys"],
    &["double"],
    &["keying"],
    &["facades"],
    &["model", "internals"],
];

/// Constants and re-exports of `lib.rs` that doc comments may name.
const ROOT: &str = "lib";
const LONGEST_FILE: usize = 400;
const UNSAFE_MAY_STAND: [&str; 2] = ["epoch", "kernels"];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The modules that `source` names by `crate::`, comments left out.
fn imports(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let first_word = |text: &str| {
        let ends = |character: char| !(character.is_alphanumeric() || character == '_');
        text.trim_start().split(ends).next().unwrap_or_default().to_owned()
    };
    let named = |rest: &str| match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default().split(',').map(first_word).collect(),
        None => vec![first_word(rest)],
    };
    code.split("crate::").skip(1).flat_map(named).filter(|name| !name.is_empty()).collect()
}

fn climbs(module: &str, source: &str) -> Vec<String> {
    let own = floor(module);
    let bad = |import: &String| import != module && (own.is_none() || floor(import).is_none_or(|of| Some(of) >= own));
    imports(source).into_iter().filter(bad).map(|import| format!("{module} imports {import}")).collect()
}

/// The lines of a file before its tests.
fn code_lines(source: &str) -> usize {
    source.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Module -> its files, with their text.
fn house() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut house: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for path in files(&root) {
        let module = path.strip_prefix(&root).unwrap().components().next().unwrap();
        let module = Path::new(module.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        house.entry(module).or_default().push((path, text));
    }
    house
}

#[test]
fn no_floor_imports_from_its_own_height_or_above() {
    let house = house();
    assert!(house.len() > 20, "the house was found");
    for (module, files) in house.iter().filter(|(module, _)| *module != ROOT) {
        assert!(floor(module).is_some(), "{module} stands on no floor");
        for (path, text) in files.iter().filter(|(path, _)| !path.ends_with("tests.rs")) {
            let code: Vec<&str> = text.lines().take(code_lines(text)).collect();
            assert_eq!(climbs(module, &code.join("\n")), [""; 0], "{}", path.display());
        }
    }
}

#[test]
fn the_floor_check_sees_a_climb() {
    assert_eq!(climbs("keys", "use crate::session::Session;"), ["keys imports session"]);
    assert_eq!(climbs("keys", "fn f() { crate::stream::g(); }"), ["keys imports stream"]);
    assert_eq!(climbs("inbound", "use crate::outbound::Outbound;"), ["inbound imports outbound"]);
    assert_eq!(climbs("keys", "use crate::{error::Error, session};"), ["keys imports session"]);
    assert_eq!(climbs("keys", "    // crate::session\nuse crate::{error, epoch};"), [""; 0]);
}

#[test]
fn no_file_is_longer_than_a_reader_holds() {
    for (path, text) in house().values().flatten() {
        let lines = code_lines(text);
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

#[test]
fn unsafe_stands_in_its_rooms_and_says_why() {
    for (module, files) in house() {
        for (path, text) in files {
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if !code.contains("unsafe {") && !code.contains("unsafe fn ") && !code.contains("unsafe impl") {
                    continue;
                }
                let place = format!("{}:{}", path.display(), number + 1);
                assert!(UNSAFE_MAY_STAND.contains(&module.as_str()), "{place}");
                let above = &lines[number.saturating_sub(5)..number];
                let says = |line: &&str| line.contains("SAFETY:") || line.contains("/// # Safety");
                assert!(above.iter().any(says), "{place} says no reason");
            }
        }
    }
}
