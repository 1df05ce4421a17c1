//! Snapshots of counters, through the facade `metrics`.

use crate::epoch::Domain;
use crate::inbound::Inbound;
use crate::info::ContextStats;
use crate::outbound::Outbound;
use metrics::{Label, counter, gauge};

impl Domain {
    /// Hands the counters of this domain to the recorder of the crate `metrics`, under `labels`: to be called before each scrape, or now and then.
    ///
    /// Counters `keyflip_keys_created_total`, `keyflip_keys_retired_total`, `keyflip_keys_wiped_total`, `keyflip_events_missed_total`; gauge
    /// `keyflip_items_waiting`.
    pub fn record_metrics(&self, labels: &[Label]) {
        let stats = self.stats();
        counter!("keyflip_keys_created_total", labels.iter()).absolute(stats.keys_created);
        counter!("keyflip_keys_retired_total", labels.iter()).absolute(stats.keys_retired);
        counter!("keyflip_keys_wiped_total", labels.iter()).absolute(stats.keys_wiped);
        counter!("keyflip_events_missed_total", labels.iter()).absolute(self.events_missed());
        set("keyflip_items_waiting", stats.items_waiting, labels);
    }
}

impl Inbound {
    /// Hands [`Self::stats`] to the recorder of the crate `metrics`, under `labels` and `direction="inbound"`: to be called before each scrape, or
    /// now and
    /// then. Labels tell sessions apart; without any, a later one takes the place of an earlier one.
    ///
    /// Counters `keyflip_packets_total` by `protocol`, and `keyflip_refused_total` by `reason`; gauges `keyflip_streams` and `keyflip_keys`.
    pub fn record_metrics(&self, labels: &[Label]) {
        record(&self.stats(), "inbound", labels);
    }
}

impl Outbound {
    /// Hands [`Self::stats`] to the recorder of the crate `metrics`, as [`Inbound::record_metrics`] does, with `direction="outbound"`.
    pub fn record_metrics(&self, labels: &[Label]) {
        record(&self.stats(), "outbound", labels);
    }
}

fn record(stats: &ContextStats, direction: &'static str, labels: &[Label]) {
    let with = |more: Option<(&'static str, &'static str)>| -> Vec<Label> {
        let more = more.into_iter().chain([("direction", direction)]);
        labels.iter().cloned().chain(more.map(|(key, value)| Label::from_static_parts(key, value))).collect()
    };
    for (protocol, packets) in [("rtp", stats.rtp_packets), ("rtcp", stats.rtcp_packets)] {
        counter!("keyflip_packets_total", with(Some(("protocol", protocol)))).absolute(packets);
    }
    let refused = &stats.refused;
    let reasons = [
        ("malformed", refused.malformed),
        ("authentication_failed", refused.authentication_failed),
        ("unknown_mki", refused.unknown_mki),
        ("unknown_ssrc", refused.unknown_ssrc),
        ("replayed", refused.replayed),
        ("no_key", refused.no_key),
        ("other", refused.other),
    ];
    for (reason, packets) in reasons {
        counter!("keyflip_refused_total", with(Some(("reason", reason)))).absolute(packets);
    }
    set("keyflip_streams", stats.streams as u64, &with(None));
    set("keyflip_keys", stats.keys as u64, &with(None));
}

fn set(name: &'static str, value: u64, labels: &[Label]) {
    #[expect(clippy::cast_precision_loss)] // Exact as long as it is below 2^53.
    gauge!(name, labels.iter()).set(value as f64);
}
