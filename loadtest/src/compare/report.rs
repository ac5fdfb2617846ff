//! What a comparison found: medians with their spread, as a table or as one flat JSON object, and the verdict on promise P1. It
//! adds up and prints; it measures nothing.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Pair;
use super::peak::{Kind, Sample};

/// Promise P1: at least this share of the echo's rate.
const RATIO_MIN: f64 = 0.8;
/// Below this share of the plain echo's rate the mirrored one is no fair control.
const CONTROL_RATIO_MIN: f64 = 0.95;
/// A generator that took more of its one core than this was itself the limit.
const GENERATOR_SHARE_MAX: f64 = 0.97;

/// Whether a run is long enough to judge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Full,
    Short,
}

/// What is to be said of the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At least four fifths, for wrap and for unwrap.
    Kept,
    /// Less.
    NotKept,
    /// The control was not fair: the echo was slower than plain axum, or the generator was the limit.
    Void,
    /// A short run.
    NotJudged,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::NotKept => "not kept",
            Self::Void => "void",
            Self::NotJudged => "not judged",
        }
    }
}

/// The pairs so far.
pub struct Report {
    length: Length,
    wrap: Vec<Pair>,
    unwrap: Vec<Pair>,
}

/// Least, middle and greatest of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = match figures.len() {
            0 => 0.0,
            count if count % 2 == 0 => f64::midpoint(figures[middle - 1], figures[middle]),
            _ => figures[middle],
        };
        let end = |figure: Option<&f64>| figure.copied().unwrap_or(0.0);
        Self { min: end(figures.first()), median, max: end(figures.last()) }
    }
}

/// A figure of a pair: its key in the JSON form, what people read, and how it is taken.
type Row = (&'static str, &'static str, fn(&Pair) -> f64);

const ROWS: [Row; 10] = [
    ("echo_rps", "echo, calls/s", |pair| pair.echo.rps),
    ("product_rps", "product, calls/s", |pair| pair.product.rps),
    ("ratio", "product / echo", |pair| pair.product.rps / pair.echo.rps),
    ("echo_cpu_us", "echo, CPU us a call", |pair| pair.echo.cpu_us),
    ("product_cpu_us", "product, CPU us a call", |pair| pair.product.cpu_us),
    ("generator_echo_cpu_us", "generator against echo, CPU us a call", |pair| pair.echo.generator_cpu_us),
    ("generator_product_cpu_us", "generator against product, CPU us a call", |pair| pair.product.generator_cpu_us),
    ("generator_share", "generator, most of one core", most_of_a_core),
    ("plain_axum_rps", "plain axum, calls/s", |pair| pair.plain.rps),
    ("echo_to_plain_axum", "echo / plain axum", |pair| pair.echo.rps / pair.plain.rps),
];

fn most_of_a_core(pair: &Pair) -> f64 {
    [&pair.echo, &pair.product].into_iter().map(|one: &Sample| one.generator_share).fold(0.0, f64::max)
}

impl Report {
    /// A report of nothing yet.
    pub const fn new(length: Length) -> Self {
        Self { length, wrap: Vec::new(), unwrap: Vec::new() }
    }

    /// Adds a pair.
    pub fn add(&mut self, kind: Kind, pair: Pair) {
        match kind {
            Kind::Wrap => self.wrap.push(pair),
            Kind::Unwrap => self.unwrap.push(pair),
        }
    }

    fn both(&self) -> impl Iterator<Item = &Pair> {
        self.wrap.iter().chain(&self.unwrap)
    }

    fn ratios(pairs: &[Pair]) -> Spread {
        Spread::of(pairs.iter().map(|pair| pair.product.rps / pair.echo.rps))
    }

    /// Judges by medians.
    pub fn verdict(&self) -> Verdict {
        let control = Spread::of(self.both().map(|pair| pair.echo.rps / pair.plain.rps)).median;
        let share = Spread::of(self.both().map(most_of_a_core)).median;
        match self.length {
            Length::Short => Verdict::NotJudged,
            Length::Full if control < CONTROL_RATIO_MIN || share > GENERATOR_SHARE_MAX => Verdict::Void,
            Length::Full if [&self.wrap, &self.unwrap].iter().all(|pairs| Self::ratios(pairs).median >= RATIO_MIN) => {
                Verdict::Kept
            }
            Length::Full => Verdict::NotKept,
        }
    }

    /// Prints one object on one line. Each figure has its median under its own name, its ends under `…_min` and `…_max`, and
    /// all of that again with `wrap_` and `unwrap_` before it.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        let mut page = Map::new();
        let mut put = |prefix: &str, pairs: &mut dyn Iterator<Item = &Pair>| {
            let pairs: Vec<&Pair> = pairs.collect();
            for (key, _, take) in ROWS {
                let spread = Spread::of(pairs.iter().map(|pair| take(pair)));
                page.insert(format!("{prefix}{key}"), rounded(spread.median));
                page.insert(format!("{prefix}{key}_min"), rounded(spread.min));
                page.insert(format!("{prefix}{key}_max"), rounded(spread.max));
            }
        };
        put("", &mut self.both());
        put("wrap_", &mut self.wrap.iter());
        put("unwrap_", &mut self.unwrap.iter());
        page.insert("pairs".to_owned(), json!(self.wrap.len().min(self.unwrap.len())));
        page.insert("build".to_owned(), json!(BUILD));
        page.insert("p1".to_owned(), json!(self.verdict().word()));
        serde_json::to_writer(&mut *out, &page)?;
        writeln!(out)
    }

    /// Prints a table for people.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print_text(&self, out: &mut impl Write) -> io::Result<()> {
        for (name, pairs) in [("wrap", &self.wrap), ("unwrap", &self.unwrap)] {
            writeln!(out, "{name} of {} bytes: {} pairs", super::PAYLOAD_BYTES, pairs.len())?;
            for (_, words, take) in ROWS {
                let Spread { min, median, max } = Spread::of(pairs.iter().map(take));
                let digits = if max < 10.0 { 3 } else { usize::from(max < 1000.0) };
                writeln!(out, "  {words:<42}{median:>10.digits$}   ({min:.digits$} to {max:.digits$})")?;
            }
        }
        if BUILD == "debug" {
            writeln!(out, "A debug build: these figures say nothing about speed.")?;
        }
        let words = match self.verdict() {
            Verdict::Kept => "P1 kept: at least 0.8 of the echo",
            Verdict::NotKept => "P1 NOT kept: less than 0.8 of the echo",
            Verdict::Void => "VOID: the echo was slower than plain axum, or the generator was the limit",
            Verdict::NotJudged => "P1 not judged: a short run",
        };
        writeln!(out, "{words}")
    }
}

/// How this program was built, and so most likely the one beside it.
const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// To four digits behind the point: more is noise.
fn rounded(figure: f64) -> Value {
    json!((figure * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rps: f64) -> Sample {
        Sample { rps, cpu_us: 10.0, generator_cpu_us: 5.0, generator_share: 0.5 }
    }

    fn pair(echo: f64, product: f64, plain: f64) -> Pair {
        Pair { echo: sample(echo), product: sample(product), plain: sample(plain) }
    }

    fn report(length: Length, ratios: &[(f64, f64)]) -> Report {
        let mut report = Report::new(length);
        for (wrap, unwrap) in ratios {
            report.add(Kind::Wrap, pair(100.0, wrap * 100.0, 100.0));
            report.add(Kind::Unwrap, pair(100.0, unwrap * 100.0, 100.0));
        }
        report
    }

    #[test]
    fn the_promise_is_judged_by_the_medians_of_each_verb() {
        let kept = report(Length::Full, &[(0.9, 0.81), (0.5, 0.82), (0.85, 0.1)]);
        assert_eq!(kept.verdict(), Verdict::Kept);
        assert_eq!(report(Length::Full, &[(0.9, 0.79)]).verdict(), Verdict::NotKept);
        assert_eq!(report(Length::Full, &[(0.79, 0.9)]).verdict(), Verdict::NotKept);
        assert_eq!(report(Length::Short, &[(0.1, 0.1)]).verdict(), Verdict::NotJudged);
    }

    #[test]
    fn an_unfair_control_is_void_and_never_kept() {
        let mut slow_echo = Report::new(Length::Full);
        let mut hot_generator = Report::new(Length::Full);
        for kind in [Kind::Wrap, Kind::Unwrap] {
            slow_echo.add(kind, pair(90.0, 90.0, 100.0));
            let mut limited = pair(100.0, 100.0, 100.0);
            limited.echo.generator_share = 0.99;
            hot_generator.add(kind, limited);
        }
        assert_eq!(slow_echo.verdict(), Verdict::Void);
        assert_eq!(hot_generator.verdict(), Verdict::Void);
    }

    #[test]
    fn the_json_form_is_flat_with_the_named_keys_and_their_spreads() {
        let mut out = Vec::new();
        report(Length::Full, &[(0.9, 0.8), (0.7, 0.8)]).print_json(&mut out).expect("memory takes every write");
        let page: Value = serde_json::from_slice(&out).expect("the report is JSON");
        for key in ["echo_rps", "product_rps", "ratio", "echo_cpu_us", "product_cpu_us"] {
            assert!(page[key].is_number() && page[format!("{key}_min")].is_number(), "{key}");
            assert!(page[format!("unwrap_{key}_max")].is_number(), "{key}");
        }
        assert_eq!(page["wrap_ratio"], 0.8);
        assert_eq!((page["wrap_ratio_min"].as_f64(), page["wrap_ratio_max"].as_f64()), (Some(0.7), Some(0.9)));
        assert_eq!((page["pairs"].as_u64(), page["p1"].as_str()), (Some(2), Some("kept")));
        assert!(
            page.as_object().is_some_and(|page| page.values().all(|value| !value.is_object() && !value.is_array()))
        );
    }

    #[test]
    fn the_text_names_both_verbs_and_the_verdict() {
        let mut out = Vec::new();
        report(Length::Full, &[(0.5, 0.9)]).print_text(&mut out).expect("memory takes every write");
        let text = String::from_utf8(out).expect("the report is text");
        assert!(text.starts_with("wrap of 64 bytes: 1 pairs\n") && text.contains("\nunwrap of 64 bytes"), "{text}");
        assert!(text.ends_with("P1 NOT kept: less than 0.8 of the echo\n"), "{text}");
    }
}
