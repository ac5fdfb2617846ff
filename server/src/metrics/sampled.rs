//! Metrics whose value lives elsewhere and is read when someone looks. It must never cache: a value shown is the value
//! at the time of the scrape.

use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto;

/// Reads one value now. Called on every scrape, so it must not block.
pub type Source = Box<dyn Fn() -> f64 + Send + Sync>;

/// One family whose samples are read from sources at scrape time. Clones share the sources.
#[derive(Clone)]
pub struct Sampled(Arc<Family>);

struct Family {
    desc: Desc,
    kind: proto::MetricType,
    samples: RwLock<Vec<Sample>>,
}

struct Sample {
    labels: Vec<proto::LabelPair>,
    source: Source,
}

impl Sampled {
    pub(super) fn new(name: &str, help: &str, kind: proto::MetricType, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())
            .expect("metric names and labels are constants that a test renders");
        Self(Arc::new(Family { desc, kind, samples: RwLock::new(Vec::new()) }))
    }

    /// Adds a sample, or replaces the one with the same label values. `values` stand in the order of the family's labels.
    pub(super) fn set(&self, values: &[&str], source: Source) {
        assert_eq!(values.len(), self.0.desc.variable_labels.len(), "a sample names every label of its family");
        let labels = self.0.desc.variable_labels.iter().zip(values).map(|(name, value)| pair(name, value)).collect();
        let mut samples = self.0.samples.write();
        samples.retain(|sample| sample.labels != labels);
        samples.push(Sample { labels, source });
    }

    fn metric(&self, sample: &Sample) -> proto::Metric {
        let mut metric = proto::Metric::from_label(sample.labels.clone());
        let value = (sample.source)();
        if self.0.kind == proto::MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

impl Collector for Sampled {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let samples = self.0.samples.read();
        if samples.is_empty() {
            return Vec::new(); // the text format has no family without a sample
        }
        let mut family = proto::MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(self.0.kind);
        family.set_metric(samples.iter().map(|sample| self.metric(sample)).collect());
        vec![family]
    }
}

fn pair(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
