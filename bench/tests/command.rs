//! The command, as it is run.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyflip-bench")).args(args).output().expect("the binary of this package")
}

#[cfg(not(feature = "peers"))]
#[test]
fn without_peers_it_refuses_and_names_the_feature() {
    let output = run(&["compare", "--quick"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--features peers"));
}

#[cfg(feature = "peers")]
#[test]
fn json_is_one_row_a_line_and_drawings_are_drawn() {
    use std::collections::BTreeSet;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("a path that is text");
    let output = run(&["compare", "--quick", "--json", "--only", "one", "--plot", path]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut seen = BTreeSet::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        let text = |field: &str| row[field].as_str().unwrap_or_else(|| panic!("{field} in {line}")).to_owned();
        let number = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field} in {line}"));
        assert_eq!((text("scenario").as_str(), number("rekeys_per_second")), ("one", 0.0));
        let peers = row["peers"].as_object().expect("peers");
        assert_eq!(peers.keys().collect::<Vec<_>>(), ["libsrtp", "rtc-srtp", "str0m", "webrtc-srtp"]);
        let fastest = peers.values().filter_map(serde_json::Value::as_f64).fold(f64::INFINITY, f64::min);
        assert!((number("ratio_fastest") - fastest / number("ours_ns")).abs() < 0.02, "{line}");
        assert!((500.0..50_000.0).contains(&number("ours_heap_octets")), "{line}");
        seen.insert((text("op"), text("profile"), row["size"].to_string(), row["threads"].to_string()));
    }
    let threads = seen.iter().map(|row| &row.3).collect::<BTreeSet<_>>().len();
    assert_eq!(seen.len(), 2 * 3 * 2 * threads, "{seen:?}");
    assert!(dir.path().join("streams.svg").exists());
}
