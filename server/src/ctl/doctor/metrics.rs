//! Samples of the text format of Prometheus, as far as `doctor` needs them. Reads what it knows and skips the rest.

/// Samples by family.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metrics(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    family: String,
    /// The labels as they stand between the braces.
    labels: String,
    value: f64,
}

/// Most samples that are kept: a listener of ours has a few hundred.
const SAMPLES_MAX: usize = 10_000;

impl Metrics {
    pub(super) fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (family, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').to_owned();
            Some(Sample { family: family.to_owned(), labels, value: value.parse().ok()? })
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).take(SAMPLES_MAX).collect())
    }

    /// Every sample of a family: the value of one label, and the sample's.
    pub(super) fn by<'a>(&'a self, family: &'a str, label: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter(move |sample| sample.family == family).map(move |sample| {
            let prefix = sample.labels.split(',').find_map(|pair| pair.strip_prefix(label)?.strip_prefix("=\""));
            (prefix.map_or("", |value| value.trim_end_matches('"')), sample.value)
        })
    }

    /// The one sample of a family without labels, or the sum of those with.
    pub(super) fn total(&self, family: &str) -> Option<f64> {
        let values: Vec<f64> = self.by(family, "").map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_family_and_label() {
        let text = "# HELP a b\na 1\nb{listener=\"data\"} 2.5\nb{listener=\"admin\",x=\"y\"} 3\nbroken\nc nothing\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.total("a"), Some(1.0));
        assert_eq!(metrics.by("b", "listener").collect::<Vec<_>>(), [("data", 2.5), ("admin", 3.0)]);
        assert_eq!((metrics.total("b"), metrics.total("c"), metrics.total("d")), (Some(5.5), None, None));
    }
}
