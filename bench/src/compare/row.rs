//! A row of results.

use super::heap::{Heap, Use};
use super::keys::label;
use super::latency::Latency;
use super::peers::{Libsrtp, Peer};
use super::sampler::Measured;
use super::who::{Kernel, Who};
use crate::scenario::Scenario;
use keyflip::Profile;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is measured, whoever does it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) scenario: Scenario,
    pub(crate) op: &'static str,
    pub(crate) profile: Profile,
    pub(crate) size: usize,
    pub(crate) threads: usize,
    pub(crate) rekeys_per_second: u32,
}

/// Keyflip with one set of kernels, beside its peers. Times are in nanoseconds a packet.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) op: &'static str,
    pub(crate) profile: &'static str,
    /// Octets of payload; in `sfu` the mean.
    pub(crate) size: usize,
    pub(crate) threads: usize,
    pub(crate) kernel: &'static str,
    /// The kernels are not those that Keyflip would have chosen.
    pub(crate) kernel_forced: bool,
    pub(crate) rekeys_per_second: u32,
    /// The least of all samples, as all times but medians.
    pub(crate) ours_ns: f64,
    pub(crate) ours_median_ns: f64,
    /// Of RTP, header and payload, by all threads.
    pub(crate) ours_gbit_s: f64,
    pub(crate) ours_heap_octets: Option<usize>,
    pub(crate) peers: BTreeMap<&'static str, f64>,
    pub(crate) peers_median_ns: BTreeMap<&'static str, f64>,
    pub(crate) peers_gbit_s: BTreeMap<&'static str, f64>,
    pub(crate) peers_heap_octets: BTreeMap<&'static str, usize>,
    /// How many times as fast as the fastest peer.
    pub(crate) ratio_fastest: f64,
    /// How many times as fast as libsrtp.
    pub(crate) ratio_libsrtp: f64,
    /// What one unprotect in a thousand takes longer than, with keys turned so often by another thread; in `sfu`, on one thread.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unprotect_p999_ns: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unprotect_p50_ns: BTreeMap<&'static str, u64>,
    /// Packets in a million that came under a key that was gone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unprotect_lost_ppm: BTreeMap<&'static str, u64>,
}

/// The rows of a subject: one for each set of kernels.
pub(crate) fn rows(subject: Subject, measured: &[Measured], heap: &Heap, latencies: &[Latency]) -> Vec<Row> {
    let of_kernel = |ours: &Measured| match ours.who {
        Who::Ours(kernel) => Some(row(subject, kernel, ours, measured, heap, latencies)),
        Who::Peer(_) | Who::Bystander(_) => None,
    };
    measured.iter().filter_map(of_kernel).collect()
}

fn row(
    subject: Subject,
    kernel: Kernel,
    ours: &Measured,
    measured: &[Measured],
    heap: &Heap,
    latencies: &[Latency],
) -> Row {
    let peers: Vec<&Measured> = measured.iter().filter(|measured| matches!(measured.who, Who::Peer(_))).collect();
    let of_peers = |value: fn(&Measured) -> f64| -> BTreeMap<&'static str, f64> {
        peers.iter().map(|peer| (peer.who.name(), round(value(peer)))).collect()
    };
    let octets = |who: Who| heap.get(&(who.name(), kind(subject), label(subject.profile))).copied();
    let fastest = peers.iter().map(|peer| peer.min_ns).reduce(f64::min);
    let libsrtp = peers.iter().find(|peer| peer.who.name() == Libsrtp::NAME).map(|peer| peer.min_ns);
    let ratio = |peer: Option<f64>| peer.map_or(f64::NAN, |peer| round(peer / ours.min_ns));
    let here = |latency: &&Latency| matches!(latency.who, Who::Peer(_)) || latency.who == Who::Ours(kernel);
    let of_latency = |value: fn(&Latency) -> u64| -> BTreeMap<&'static str, u64> {
        latencies.iter().filter(here).map(|latency| (latency.who.name(), value(latency))).collect()
    };
    Row {
        scenario: subject.scenario.name(),
        op: subject.op,
        profile: label(subject.profile),
        size: subject.size,
        threads: subject.threads,
        kernel: kernel.name,
        kernel_forced: kernel.forced,
        rekeys_per_second: subject.rekeys_per_second,
        ours_ns: round(ours.min_ns),
        ours_median_ns: round(ours.median_ns),
        ours_gbit_s: round(gbit_s(ours)),
        ours_heap_octets: octets(ours.who),
        peers: of_peers(|peer| peer.min_ns),
        peers_median_ns: of_peers(|peer| peer.median_ns),
        peers_gbit_s: of_peers(gbit_s),
        peers_heap_octets: peers.iter().filter_map(|peer| Some((peer.who.name(), octets(peer.who)?))).collect(),
        ratio_fastest: ratio(fastest),
        ratio_libsrtp: ratio(libsrtp),
        unprotect_p999_ns: of_latency(|latency| latency.p999_ns),
        unprotect_p50_ns: of_latency(|latency| latency.p50_ns),
        unprotect_lost_ppm: of_latency(|latency| latency.lost_ppm),
    }
}

/// What contexts of a subject are for.
fn kind(subject: Subject) -> Use {
    match (subject.scenario, subject.op) {
        (Scenario::Sfu, _) => Use::Sfu,
        (_, "unprotect") => Use::Receive,
        _ => Use::Send,
    }
}

fn gbit_s(measured: &Measured) -> f64 {
    8.0 * measured.octets / measured.min_ns
}

/// To two digits behind the point: the third is noise.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(who: Who, min_ns: f64) -> Measured {
        Measured { who, min_ns, median_ns: 2.0 * min_ns, octets: 1212.0 }
    }

    fn subject() -> Subject {
        Subject {
            scenario: Scenario::Fanout200,
            op: "protect",
            profile: Profile::Aes128CmSha1_80,
            size: 1200,
            threads: 1,
            rekeys_per_second: 0,
        }
    }

    #[test]
    fn a_ratio_is_how_many_times_as_fast_keyflip_is() {
        let kernel = Kernel { name: "portable", forced: false };
        let measured = [
            measured(Who::Ours(kernel), 100.0),
            measured(Who::Peer("libsrtp"), 250.0),
            measured(Who::Peer("b"), 150.0),
        ];
        let heap = Heap::from([(("keyflip", Use::Send, "CM80"), 7), (("b", Use::Receive, "CM80"), 8)]);
        let [row] = &rows(subject(), &measured, &heap, &[])[..] else { panic!("one set of kernels, one row") };
        assert_eq!((row.ratio_fastest, row.ratio_libsrtp), (1.5, 2.5));
        assert_eq!((row.ours_ns, row.ours_median_ns, row.ours_gbit_s), (100.0, 200.0, 96.96));
        assert_eq!((row.ours_heap_octets, row.peers_heap_octets.len()), (Some(7), 0));
    }

    #[test]
    fn each_set_of_kernels_has_a_row_with_the_same_peers() {
        let kernel = |name, forced| Who::Ours(Kernel { name, forced });
        let measured = [
            measured(kernel("fast", false), 50.0),
            measured(kernel("slow", true), 100.0),
            measured(Who::Peer("libsrtp"), 100.0),
        ];
        let rows = rows(subject(), &measured, &Heap::new(), &[]);
        assert_eq!(
            rows.iter().map(|row| (row.kernel, row.kernel_forced)).collect::<Vec<_>>(),
            [("fast", false), ("slow", true)]
        );
        assert_eq!(rows.iter().map(|row| row.ratio_libsrtp).collect::<Vec<_>>(), [2.0, 1.0]);
    }

    #[test]
    fn json_has_a_field_for_everything_that_tells_rows_apart() {
        let kernel = Kernel { name: "portable", forced: false };
        let measured = [measured(Who::Ours(kernel), 100.0), measured(Who::Peer("libsrtp"), 250.0)];
        let row = &rows(subject(), &measured, &Heap::new(), &[])[0];
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap();
        for (field, value) in
            [("scenario", "fanout-200"), ("op", "protect"), ("profile", "CM80"), ("kernel", "portable")]
        {
            assert_eq!(json[field], value);
        }
        for (field, value) in [("size", 1200), ("threads", 1), ("rekeys_per_second", 0)] {
            assert_eq!(json[field], value);
        }
        assert_eq!((&json["kernel_forced"], &json["peers"]["libsrtp"]), (&false.into(), &250.0.into()));
    }
}
