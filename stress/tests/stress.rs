//! The binary's commands and scenarios; and that each of their checks sees what it is there for.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use keyflip::Grace;
use keyflip_stress::captures_once::{Played, complaints, play_dir};
use keyflip_stress::datagrams::Traffic;
use keyflip_stress::report::Counter;
use keyflip_stress::runner;
use keyflip_stress::scenarios::captures::Captures;
use keyflip_stress::scenarios::forge::Forge;
use keyflip_stress::scenarios::hammer::Hammer;
use keyflip_stress::scenarios::one_stream::OneStream;
use keyflip_stress::scenarios::panics::Panics;
use keyflip_stress::scenarios::renegotiate::Renegotiate;
use keyflip_stress::scenarios::soak::Soak;
use keyflip_stress::scenarios::stall::Stall;
use keyflip_stress::scenarios::teardown::Teardown;
use keyflip_stress::scenarios::{self, Scenario};
use keyflip_stress::settings::Settings;
use keyflip_stress::side::{Capture, SHIPPED, Sha256Sum, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;

const AUDIO: &str = "01-pcma-cm80";

/// A folder with one shipped capture, its side file changed.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let dir = TempDir::new().unwrap();
    let shipped = Path::new(SHIPPED);
    fs::copy(shipped.join(format!("{name}.pcap")), dir.path().join(format!("{name}.pcap"))).unwrap();
    let json = fs::read(shipped.join(format!("{name}.json"))).unwrap();
    let mut json: Value = serde_json::from_slice(&json).unwrap();
    change(&mut json);
    fs::write(dir.path().join(format!("{name}.json")), json.to_string()).unwrap();
    dir
}

fn stress<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyflip-stress")).args(args).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Makes all keys of a side file wrong ones, in every form.
fn wrong_keys(json: &mut Value) {
    use base64::Engine;
    for key in json["keys"].as_array_mut().unwrap() {
        let [master_key, master_salt] =
            ["master_key", "master_salt"].map(|part| key[part].as_str().unwrap().to_owned());
        let master_key = "5a".repeat(master_key.len() / 2);
        let sdes = hex::decode(format!("{master_key}{master_salt}")).unwrap();
        key["master_key"] = json!(master_key);
        key["sdes"] = json!(base64::engine::general_purpose::STANDARD.encode(sdes));
    }
}

/// A digest with one bit flipped.
fn flip(digest: &mut Value) {
    let mut octets = hex::decode(digest.as_str().unwrap()).unwrap();
    octets[0] ^= 1;
    *digest = json!(hex::encode(octets));
}

// ---------------------------------------------------------------- captures, once

#[test]
fn every_shipped_capture_is_received_as_its_side_file_says() {
    let played = play_dir(Path::new(SHIPPED)).unwrap();
    assert_eq!(complaints(&played), [""; 0]);
    assert_eq!(played.len(), 12);
    assert!(played.iter().all(|played| played.passed && played.accepted > 0));
    assert_eq!(played.iter().map(|played| played.rejected).sum::<usize>(), 103);
}

/// What `captures` finds wrong with a changed capture.
fn faults(name: &str, change: impl FnOnce(&mut Value)) -> (Played, String) {
    let dir = changed(name, change);
    let played = play_dir(dir.path()).unwrap();
    let complaints = complaints(&played).join("\n");
    let output = stress(["captures".as_ref(), dir.path().as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&complaints), "{complaints}");
    (played[0].clone(), complaints)
}

#[test]
fn a_capture_with_a_flipped_digest_or_another_verdict_is_different() {
    let (played, complaints) = faults(AUDIO, |json| flip(&mut json["packets"][7]["plain_sha256"]));
    assert!(!played.passed && played.refused.is_none());
    assert!(complaints.starts_with("01-pcma-cm80.pcap: packet 7: plaintext SHA-256: expected "), "{complaints}");
    assert!(faults(AUDIO, |json| flip(&mut json["rtp_plain_sha256"])).1.contains("SHA-256 of all RTP"));
    let (_, complaints) = faults("08-vp8-cm80-mess", |json| {
        let packets = json["packets"].as_array_mut().unwrap();
        let replay = packets.iter_mut().find(|packet| packet["expect"] == "replayed").unwrap();
        replay["expect"] = json!("auth_failed");
        replay["also_allowed"] = json!([]);
        let mut count = |verdict: &str, by: i64| {
            let count = &mut json["verdicts"][verdict];
            *count = json!(count.as_i64().unwrap() + by);
        };
        count("replayed", -1);
        count("auth_failed", 1);
    });
    assert!(
        complaints.contains("verdict: expected auth_failed") && complaints.contains("got replayed"),
        "{complaints}"
    );
}

#[test]
fn a_capture_under_another_key_is_different() {
    let (played, complaints) = faults(AUDIO, wrong_keys);
    assert_eq!((played.accepted, played.rejected), (0, 500));
    assert!(complaints.contains("packet 0: verdict: expected ok, got auth_failed"), "{complaints}");
    assert!(complaints.contains("and 497 more differences"), "{complaints}");
}

#[test]
fn a_capture_that_is_rekeyed_at_another_packet_is_different() {
    let (_, complaints) = faults("07-opus-cm80-rekey", |json| json["keys"][1]["from_packet"] = json!(170));
    assert!(complaints.contains("packet 150: verdict: expected ok, got auth_failed"), "{complaints}");
}

#[test]
fn a_capture_with_other_encrypted_elements_is_different() {
    // The tag covers the ciphertext: it is the plaintext that differs.
    for ids in [json!([]), json!([1]), json!([1, 3, 4])] {
        let (played, complaints) = faults("11-ext-cm80", |json| json["encrypted_extension_ids"] = ids);
        assert!(played.refused.is_none() && !played.passed);
        assert!(complaints.contains("packet 0: plaintext SHA-256: expected "), "{complaints}");
    }
}

#[test]
fn a_capture_that_begins_at_another_rollover_counter_is_different() {
    let (_, complaints) = faults(AUDIO, |json| json["initial_roc"] = json!({"aabbccdd": 1}));
    assert!(complaints.contains("packet 0: verdict: expected ok, got auth_failed"), "{complaints}");
}

#[test]
fn what_this_version_cannot_play_is_refused_by_name() {
    for (change, because) in [
        (
            (|json| json["encrypted_extension_ids"] = json!([0])) as fn(&mut Value),
            "header extension ids to encrypt must",
        ),
        (|json| json["profile"] = json!("DOUBLE_AEAD"), "profile \"DOUBLE_AEAD\": no such profile"),
        (
            |json| json["srtp_tag_len"] = json!(4),
            "srtp_tag_len 4 is not supported: AES_CM_128_HMAC_SHA1_80 has 10 octets",
        ),
        (|json| json["srtcp_tag_len"] = json!(4), "srtcp_tag_len 4 is not supported"),
        (|json| json["replay_window"] = json!(8), "replay window must be 64 to 32768 packets"),
        (|json| json["udp_ports"] = json!({"rtp": 9}), "sent to port 5004, which is neither"),
    ] {
        let (played, complaints) = faults(AUDIO, change);
        assert!(played.refused.is_some() && !played.passed);
        assert!(complaints.contains("01-pcma-cm80: refused: ") && complaints.contains(because), "{complaints}");
    }
}

// ---------------------------------------------------------------- scenarios

/// Two RX threads, short.
fn settings() -> Settings {
    Settings { seconds: Duration::from_millis(300), threads: 2, streams: 20, rekeys_per_second: 500, seed: 42 }
}

fn broken(scenario: &dyn Scenario) -> String {
    let report = runner::run(scenario, &settings()).unwrap();
    assert!(!report.passed);
    report.broken.join("\n")
}

#[test]
fn packets_in_flight_are_lost_at_once_where_there_is_no_grace() {
    let broken = broken(&Hammer { grace: Grace::NONE });
    assert!(broken.contains("P1: a rekey never makes a reader wait, fail or lose a packet: genuine"), "{broken}");
}

#[test]
fn a_renegotiation_and_a_shared_stream_lose_packets_where_there_is_no_grace() {
    let broken_call = broken(&Renegotiate { grace: Grace::NONE });
    assert!(broken_call.contains("P1: a rekey never makes a reader wait, fail or lose a packet: "), "{broken_call}");
    let broken_stream = broken(&OneStream { grace: Grace::NONE });
    assert!(broken_stream.contains("no thread was given a"), "{broken_stream}");
}

#[test]
fn a_call_that_is_forgotten_at_a_teardown_keeps_its_keys() {
    let broken = broken(&Teardown { forgets: true });
    assert!(broken.contains("P9: replaced keys are wiped, and none is forgotten: "), "{broken}");
}

#[test]
fn a_reader_that_holds_nothing_stalls_nothing_and_is_not_named() {
    let broken = broken(&Stall { holds: false, backlog: 4096 });
    assert!(broken.contains("sleeper-1 sits on its guard, and synchronize says "), "{broken}");
    assert!(broken.contains("rekeys beside a stalled reader, and none was refused"), "{broken}");
}

#[test]
fn a_backlog_that_is_not_small_is_noticed() {
    let broken = broken(&Stall { holds: true, backlog: 1 << 20 });
    assert!(broken.contains("rekeys beside a stalled reader, and none was refused"), "{broken}");
}

#[test]
fn memory_that_grows_under_a_flood_is_noticed() {
    let broken = broken(&Forge { hoards: 4 << 20 });
    assert!(broken.contains("P8: a packet that does not authenticate changes nothing: memory grew by "), "{broken}");
}

#[test]
fn a_reader_that_panics_and_never_unpins_is_noticed() {
    let broken = broken(&Panics { forgets: true, patience: Duration::from_millis(200) });
    assert!(broken.contains("beside readers that panic: "), "{broken}");
    assert!(broken.contains("guard forgotten") && broken.contains("items still wait 10s"), "{broken}");
}

#[test]
fn what_one_part_of_a_soak_breaks_is_in_its_report() {
    const PARTS: [&dyn Scenario; 2] = [&Hammer::LOSSLESS, &Renegotiate { grace: Grace::NONE }];
    let broken_part = broken(&Soak { parts: &PARTS, waiting: Soak::WAITING });
    assert!(broken_part.contains("P1: a rekey never makes a reader wait, fail or lose a packet"), "{broken_part}");
    let too_many = broken(&Soak { parts: &PARTS[..1], waiting: 0 });
    assert!(too_many.contains("retired keys wait to be wiped"), "{too_many}");
}

#[test]
fn scenarios_are_run_by_their_names() {
    let args = ["--threads", "2", "--seconds", "0.2", "--json", "one-stream", "hammer"];
    let output = stress(args);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["scenario"].as_str().unwrap().to_owned();
    assert_eq!(text(&output.stdout).lines().map(name).collect::<Vec<_>>(), ["hammer", "one-stream"]);
    assert_eq!(stress(["hammer", "nothing"]).status.code(), Some(2));
}

fn broken_capture(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let dir = changed(name, change);
    broken(&Captures { dir: dir.path().to_str().unwrap().to_owned().leak() })
}

#[test]
fn the_captures_scenario_sees_a_wrong_plaintext_and_a_wrong_key() {
    let broken = broken_capture(AUDIO, |json| flip(&mut json["packets"][7]["plain_sha256"]));
    assert!(broken.contains("packet 7: plaintext SHA-256"), "{broken}");
    let broken = broken_capture("09-pcma-gcm128-mki-rtcp", wrong_keys);
    assert!(broken.contains("expected ok, got auth_failed"), "{broken}");
}

#[test]
fn a_scenario_that_measured_nothing_has_failed_unless_it_was_told_to() {
    let idle = Settings { seconds: Duration::ZERO, ..settings() };
    let report = runner::run(&Hammer::LOSSLESS, &idle).unwrap();
    for counter in [Counter::DuplicatesRaced, Counter::ReplaysAttempted, Counter::ForgedAttempted] {
        assert!(report.broken.join("\n").contains(&format!("proves nothing: hammer: {counter} is 0")), "{counter}");
    }
    let still = Settings { rekeys_per_second: 0, ..settings() };
    let report = runner::run(&Hammer::LOSSLESS, &still).unwrap();
    assert!(report.passed, "{:?}", report.broken);
    assert_eq!((report.rekeys, report.delivered_in_grace), (0, 0));
}

#[test]
fn a_short_run_prints_one_whole_json_object_for_each_scenario() {
    let output = stress(["--seconds", "1", "--threads", "2", "--seed", "7", "--json"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("--seed 7"));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = lines.iter().map(|line| line["scenario"].as_str().unwrap()).collect();
    assert_eq!(names, scenarios::ALL.map(|scenario| scenario.name()));
    let sum = |field: &str| lines.iter().map(|line| line[field].as_u64().unwrap()).sum::<u64>();
    for field in ["rekeys", "delivered_in_grace", "duplicates_raced", "replays_attempted", "forged_attempted"] {
        assert!(sum(field) > 0, "{field}");
    }
    for field in ["replays_accepted", "forged_accepted", "mismatched_plaintexts", "lost_to_rekey"] {
        assert_eq!(sum(field), 0, "{field}");
    }
    for line in &lines {
        assert_eq!((&line["passed"], &line["seed"], &line["rx_threads"]), (&json!(true), &json!(7), &json!(2)));
        assert_eq!(line["seconds"], json!(1.0));
        let number = |of: &Value| of.as_u64().unwrap();
        assert!(number(&line["packets"]) > 0);
        assert_eq!(line["keys_retired"], line["keys_wiped"]);
        assert!(number(&line["keys_wiped"]) > 0);
        let us = &line["wipe_latency_us"];
        assert!(0 < number(&us["p50"]) && number(&us["p50"]) <= number(&us["p99"]));
        assert!(number(&us["p99"]) <= number(&us["max"]));
        assert!(number(&line["rekeys"]) > 0);
        let ns = &line["unprotect_ns"];
        assert!(0 < number(&ns["p50"]) && number(&ns["p50"]) <= number(&ns["p99"]));
        assert!(number(&ns["p99"]) <= number(&ns["p999"]));
    }
}

#[test]
fn a_run_that_fails_says_why_and_how_to_repeat_it() {
    let output = stress(["--seconds", "0", "--threads", "2", "--seed", "5", "run", "hammer"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("FAILED"));
    let errors = text(&output.stderr);
    assert!(errors.contains("BROKEN the run went wrong and proves nothing: hammer: 0 packets"), "{errors}");
    assert!(errors.contains("BROKEN the run went wrong and proves nothing: hammer: duplicates_raced is 0"), "{errors}");
    let repeat = "repeat with: cargo run --release -p keyflip-stress -- --seed 5 --seconds 0 --threads 2 --streams 64 \
                  --rekeys-per-second 2000 run hammer";
    assert!(errors.contains(repeat), "{errors}");
}

#[test]
fn scenarios_are_listed_and_nonsense_is_a_usage_error() {
    let listed = text(&stress(["list"]).stdout);
    assert_eq!(listed.lines().count(), scenarios::ALL.len());
    assert!(listed.contains("captures ") && listed.contains("hammer "));
    assert_eq!(stress(["--threads", "1"]).status.code(), Some(2));
    assert_eq!(stress(["run", "nothing"]).status.code(), Some(2));
}

// ---------------------------------------------------------------- a capture of one's own

fn sdes(capture: &Capture, key: usize) -> &str {
    &capture.side.keys[key].sdes
}

fn shipped(name: &str) -> Capture {
    Capture::load(&Path::new(SHIPPED).join(format!("{name}.json"))).unwrap()
}

fn pcap(name: &str) -> String {
    format!("{SHIPPED}/{name}.pcap")
}

#[test]
fn a_replayed_file_is_decrypted_to_the_plaintexts_of_the_oracle() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("plain.pcap");
    for name in ["04-opus-cm32-rtcp", "08-vp8-cm80-mess", "09-pcma-gcm128-mki-rtcp"] {
        let capture = shipped(name);
        let mut args = vec!["replay".to_owned(), pcap(name), "--profile".to_owned(), capture.side.profile.clone()];
        args.extend(["--out".to_owned(), out.to_str().unwrap().to_owned()]);
        for key in &capture.side.keys {
            args.extend(["--key".to_owned(), key.sdes.clone()]);
            if !key.mki.is_empty() {
                args.extend(["--mki".to_owned(), hex::encode(&key.mki)]);
            }
        }
        let output = stress(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let expected = capture.side.packets.iter().filter(|packet| packet.expect == Verdict::Ok);
        let expected: Vec<_> = expected.map(|packet| packet.plain_sha256.unwrap()).collect();
        let written = Traffic::read(&out).unwrap().datagrams;
        let written: Vec<_> = written.iter().map(|datagram| Sha256Sum::of(&datagram.payload)).collect();
        assert!(written == expected, "{name}: {} datagrams written, {} expected", written.len(), expected.len());
    }
}

#[test]
fn a_wrong_key_decrypts_nothing_and_says_so() {
    let wrong = "A".repeat(40);
    let output = stress(["replay", &pcap(AUDIO), "--key", &wrong, "--profile", "AES_CM_128_HMAC_SHA1_80"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("500 auth_failed"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("nothing was decrypted"));
}

#[test]
fn other_ports_and_streams_are_counted_and_left_alone() {
    let capture = shipped("04-opus-cm32-rtcp");
    let rtcp_port = capture.side.udp_ports.rtcp.unwrap().to_string();
    let file = pcap("04-opus-cm32-rtcp");
    let common = ["--json", "replay", &file, "--key", sdes(&capture, 0), "--profile", "AES_CM_128_HMAC_SHA1_32"];
    let result =
        |more: &[&str]| -> Value { serde_json::from_slice(&stress(common.iter().chain(more)).stdout).unwrap() };
    let rtcp = result(&["--port", &rtcp_port]);
    assert_eq!((&rtcp["decrypted"], &rtcp["left_out"]["to other ports"]), (&json!(74), &json!(751)));
    let late = result(&["--roc", "deadbeef=3"]);
    assert_eq!((&late["decrypted"], &late["streams"][0]["refused"]["auth_failed"]), (&json!(74), &json!(751)));
}

#[test]
fn a_key_that_does_not_fit_its_profile_is_a_usage_error_that_says_what_does() {
    let replay = |more: &[&str]| {
        let output = stress(["replay", &pcap(AUDIO)].iter().chain(more));
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let error = replay(&["--key", "AAAA", "--profile", "AEAD_AES_256_GCM"]);
    assert!(
        error.contains("--key 1: AEAD_AES_256_GCM needs 44 octets (32 of master key and 12 of master salt"),
        "{error}"
    );
    let error = replay(&["--key", "?", "--profile", "AEAD_AES_256_GCM"]);
    assert!(error.contains("--key 1: not base64"), "{error}");
    let error = replay(&["--key", "AAAA", "--mki", "01", "--mki", "02", "--profile", "AEAD_AES_256_GCM"]);
    assert!(error.contains("1 --key and 2 --mki"), "{error}");
    assert!(replay(&["--key", "AAAA", "--profile", "ROT13"]).contains("no such profile"));
}
