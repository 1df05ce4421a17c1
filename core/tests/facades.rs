//! The facades `metrics` and `tracing`, each with a collector that keeps what it is given.

#![cfg(all(feature = "metrics", feature = "tracing"))]

mod common;

use common::{Pair, Protocol, SSRC};
use keyflip::{Event, EventKind, NewStreams, Profile, trace_event};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

/// Keeps the last value of each metric.
struct Kept(Values);

struct Metric(Values, String);

impl Metric {
    fn set(&self, value: f64) {
        self.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl CounterFn for Metric {
    fn increment(&self, _: u64) {
        panic!("counters are absolute");
    }

    fn absolute(&self, value: u64) {
        self.set(f64::from(u32::try_from(value).unwrap()));
    }
}

impl GaugeFn for Metric {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        Self::set(self, value);
    }
}

impl Kept {
    fn metric(&self, key: &Key) -> Arc<Metric> {
        let mut labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        Arc::new(Metric(Arc::clone(&self.0), format!("{} {}", key.name(), labels.join(" "))))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there are no histograms");
    }
}

#[test]
fn metrics_are_the_snapshots_under_the_callers_labels() {
    let pair = Pair::new(Profile::AeadAes128Gcm);
    for number in 0..7 {
        pair.send(Protocol::Rtp, SSRC, number);
    }
    pair.send(Protocol::Rtcp, SSRC, 0);
    assert!(pair.open(Protocol::Rtp, &[0; 4]).is_err());
    let values = Values::default();
    metrics::with_local_recorder(&Kept(Arc::clone(&values)), || {
        let labels = [Label::new("room", "blue")];
        pair.domain.record_metrics(&labels);
        pair.inbound().record_metrics(&labels);
        pair.outbound().record_metrics(&labels);
    });
    let values = values.lock().unwrap();
    let value = |name: &str| values.get(name).copied().unwrap_or_else(|| panic!("no {name} in {values:?}"));
    for direction in ["inbound", "outbound"] {
        for (protocol, packets) in [("rtp", 7.0), ("rtcp", 1.0)] {
            let name = format!("keyflip_packets_total direction={direction} protocol={protocol} room=blue");
            assert!((value(&name) - packets).abs() < 0.5, "{name}");
        }
        let name = |name| format!("{name} direction={direction} room=blue");
        assert!((value(&name("keyflip_streams")) - 1.0).abs() < 0.5);
        assert!((value(&name("keyflip_keys")) - 1.0).abs() < 0.5);
    }
    assert!((value("keyflip_refused_total direction=inbound reason=malformed room=blue") - 1.0).abs() < 0.5);
    assert!((value("keyflip_refused_total direction=outbound reason=malformed room=blue")).abs() < 0.5);
    assert!((value("keyflip_keys_created_total room=blue") - 4.0).abs() < 0.5);
    assert!((value("keyflip_items_waiting room=blue")).abs() < 100.0);
}

/// Keeps a line for each event.
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn core::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(format!("{} {}", event.metadata().target(), event.metadata().level()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

#[test]
fn events_are_traced_with_their_fields() {
    let pair = Pair::with(Profile::Aes128CmSha1_80, 0, |builder| builder.new_streams(NewStreams::ByCall));
    pair.domain.watch_events(&EventKind::ALL);
    pair.outbound().add_stream(SSRC, keyflip::Roc(0), 0).unwrap();
    let packet = pair.sealed(Protocol::Rtp, SSRC, 0);
    assert!(pair.open(Protocol::Rtp, &packet).is_err());
    pair.inbound().rekey(pair.key(1).master()).unwrap();
    pair.inbound().end_grace().unwrap();
    pair.domain.synchronize(core::time::Duration::from_secs(10)).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let events: Vec<Event> = core::iter::from_fn(|| pair.domain.next_event()).collect();
    tracing::subscriber::with_default(Lines(Arc::clone(&lines)), || events.iter().for_each(trace_event));
    let context = pair.inbound().id();
    let expected = [
        format!("keyflip WARN message=an unknown SSRC context={context} ssrc={SSRC:08x} protocol=Rtp"),
        format!("keyflip DEBUG message=a key was retired context={context} key=0"),
        format!("keyflip DEBUG message=a key was wiped context={context} key=0"),
    ];
    assert_eq!(*lines.lock().unwrap(), expected);
}
