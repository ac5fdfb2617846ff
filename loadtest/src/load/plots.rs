//! The plots of a result, as SVG texts that stand in the page: no script, no font, no file. It draws what it is given.

use std::collections::BTreeSet;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Page, PointPage};

/// In pixels.
const WIDTH: u32 = 900;
const HEIGHT: u32 = 280;
/// Told apart in print and by colour-blind readers (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A named line through points.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Percentiles of the latency over time, in milliseconds.
pub fn latency(page: &Page) -> String {
    let curve = |name: &str, take: fn(&PointPage) -> f64| Curve {
        name: name.to_owned(),
        points: page.points.iter().map(|point| (point.at_seconds, take(point) * 1000.0)).collect(),
    };
    draw(
        "ms",
        &[
            curve("p50", |point| point.latency.p50_seconds),
            curve("p90", |point| point.latency.p90_seconds),
            curve("p99", |point| point.latency.p99_seconds),
            curve("p99.9", |point| point.latency.p999_seconds),
            curve("max", |point| point.latency.max_seconds),
        ],
    )
}

/// Answers a second of each code.
pub fn codes(page: &Page) -> String {
    let codes: BTreeSet<&String> = page.points.iter().flat_map(|point| point.codes.keys()).collect();
    let curve = |code: &String| Curve {
        name: code.clone(),
        points: page
            .points
            .iter()
            .map(|point| (point.at_seconds, point.codes.get(code).copied().unwrap_or_default()))
            .collect(),
    };
    draw("calls/s", &codes.into_iter().map(curve).collect::<Vec<_>>())
}

/// The rate that was asked for and the one that was sent.
pub fn rates(page: &Page) -> String {
    let curve = |name: &str, take: fn(&PointPage) -> f64| Curve {
        name: name.to_owned(),
        points: page.points.iter().map(|point| (point.at_seconds, take(point))).collect(),
    };
    draw("calls/s", &[curve("asked", |point| point.asked_rate), curve("sent", |point| point.sent_rate)])
}

fn draw(unit: &str, curves: &[Curve]) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        chart(&area, unit, curves).expect("drawing into a text of this size never fails");
    }
    text
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    unit: &str,
    curves: &[Curve],
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let greatest =
        |axis: fn(&(f64, f64)) -> f64| curves.iter().flat_map(|curve| &curve.points).map(axis).fold(0.0, f64::max);
    // an axis of no length cannot be drawn
    let (right, top) = (greatest(|point| point.0).max(1.0), greatest(|point| point.1).max(0.001) * 1.1);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("seconds")
        .y_desc(unit)
        .light_line_style(BLACK.mix(0.05))
        .draw()?;
    for (place, curve) in curves.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if !curves.is_empty() {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
    }
    area.present()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::page;
    use super::super::tally::Worth;
    use super::*;

    #[test]
    fn each_plot_is_one_svg_with_its_curves_named() {
        let page = page(Worth::Error, None);
        for (svg, names) in [
            (latency(&page), &["p50", "p99.9", "max", "ms"][..]),
            (codes(&page), &["200", "503"]),
            (rates(&page), &["asked", "sent", "calls/s"]),
        ] {
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
            for name in names {
                assert!(svg.contains(name), "{name} is missing");
            }
        }
    }

    #[test]
    fn a_run_of_nothing_and_a_name_with_markup_are_drawn_harmlessly() {
        assert!(draw("ms", &[]).starts_with("<svg"));
        let curve = Curve { name: "<script>&".to_owned(), points: vec![(0.0, 1.0)] };
        let svg = draw("<b>", &[curve]);
        assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
    }
}
