//! The result as one page for a browser: figures, findings and plots in one file without a script or a link. All text is escaped by
//! the template.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plots;
use super::report::{OperationPage, Page, Percentiles};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}.passed{color:#060}.failed,.void{color:#a00}svg{max-width:100%;height:auto}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}.passed{color:#6c6}.failed,.void{color:#f88}}";

/// The page.
pub fn render(page: &Page) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "loadtest run: " (page.verdict) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "loadtest run: " span class=(page.verdict) { (page.verdict) } }
                @for finding in &page.findings { p class="failed" { (finding) } }
                (offered(page))
                h2 { "Latency over time, from the intended start" }
                (PreEscaped(plots::latency(page)))
                h2 { "Codes over time" }
                (PreEscaped(plots::codes(page)))
                h2 { "Asked and sent rate" }
                (PreEscaped(plots::rates(page)))
                h2 { "Operations" }
                (operations(page))
                @if let Some(cause) = &page.unanswered_first { p { "The first call without an answer: " (cause) } }
                @if !page.wrong.is_empty() {
                    h2 { "Wrong answers (" (page.wrong_total) ")" }
                    ul {
                        @for one in &page.wrong {
                            li { (format!("{:.3}", one.at_seconds)) " s, " (one.operation) " written as " (one.habit) ": " (one.words) }
                        }
                    }
                }
            }
        }
    };
    markup.into_string()
}

fn offered(page: &Page) -> Markup {
    let rows = [
        (
            "Asked",
            format!("{:.1} calls/s for {:.1} s, {} calls", page.asked_rate, page.duration_seconds, page.calls_asked),
        ),
        ("Sent", format!("{} calls, {:.1}/s; {} never sent", page.calls_sent, page.sent_rate, page.calls_unsent)),
        (
            "Good",
            format!(
                "{:.3} % right within {:.0} ms, {:.1}/s",
                page.good_share * 100.0,
                page.good_within_seconds * 1000.0,
                page.good_rate
            ),
        ),
        ("Over", format!("{} connections, {} keys, seed {}", page.connections, page.keys, page.seed)),
        ("Generator", format!("{:.1} us CPU a call", page.generator_cpu_us_per_call)),
    ];
    html! { table { @for (name, words) in rows { tr { td { (name) } td style="text-align:left" { (words) } } } } }
}

fn operations(page: &Page) -> Markup {
    html! {
        table {
            tr { th { "" } th { "right" } th { "errors" } th { "wrong" } th { "codes" } (heads()) }
            @for one in page.operations.iter().filter(|one| !one.codes.is_empty()) { (operation(one)) }
            tr { td { "generator's lateness" } td {} td {} td {} td {} (cells(&page.lateness)) }
            tr { td { "wait for a connection" } td {} td {} td {} td {} (cells(&page.connection_wait)) }
        }
    }
}

fn operation(one: &OperationPage) -> Markup {
    let codes: Vec<String> = one.codes.iter().map(|(code, count)| format!("{code} x {count}")).collect();
    html! {
        tr {
            td { (one.operation) } td { (one.right) } td { (one.errors) } td { (one.wrong) } td { (codes.join(", ")) }
            (cells(&one.latency))
        }
    }
}

fn heads() -> Markup {
    html! { @for name in ["p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"] { th { (name) } } }
}

fn cells(times: &Percentiles) -> Markup {
    let Percentiles { p50_seconds, p90_seconds, p99_seconds, p999_seconds, max_seconds } = times;
    html! {
        @for seconds in [p50_seconds, p90_seconds, p99_seconds, p999_seconds, max_seconds] {
            td { (format!("{:.2}", seconds * 1000.0)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::page;
    use super::super::tally::Worth;
    use super::*;

    #[test]
    fn the_page_stands_alone_and_has_its_three_plots() {
        let page = render(&page(Worth::Right, None));
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{page}");
        assert_eq!(page.matches("<svg").count(), 3);
        for foreign in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign} in the page");
        }
        assert!(page.contains("passed") && page.contains("200 x 99, 503 x 1"), "{page}");
    }

    #[test]
    fn what_a_server_said_is_escaped() {
        let hostile = "<script>alert(1)</script> & \"quotes\"";
        let page = render(&page(Worth::Wrong, Some(hostile)));
        assert!(!page.contains("<script>"), "{page}");
        assert!(!render(&super::super::report::tests::page(Worth::Error, None)).contains("<b>"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; "), "{page}");
    }
}
