//! Numbers in the text format of Prometheus.

use std::fmt::Write;

use axum::http::StatusCode;
use axum::response::Response;
use hostcompute_engine::host::Counters;
use hostcompute_schema::{Failure, Guid};
use hostcompute_service::server::{Histogram, Metrics};

use super::service::{Asked, blocking};
use super::{answer, traffic};

/// The media type, with the version of the format.
const KIND: &str = "text/plain; version=0.0.4";

/// Everything at this moment.
pub async fn answer(asked: Asked) -> Result<Response, Failure> {
    let edge = asked.client.edge.clone();
    let page = blocking(&edge, move || {
        let edge = &asked.client.edge;
        let mut page = page(&edge.server.metrics());
        match traffic::of_endpoints(edge, &asked.session) {
            Ok(traffic) => page.traffic(&traffic),
            // The other numbers are worth having all the same.
            Err(failure) => {
                tracing::warn!(
                    failure = format!("{failure:#}"),
                    "the endpoints' counters cannot be read"
                );
            }
        }
        page.0
    });
    Ok(answer::typed(StatusCode::OK, KIND, page.await?))
}

/// One family of numbers after the other.
fn page(metrics: &Metrics) -> Page {
    let mut page = Page(String::new());
    page.operations(metrics);
    page.gauge(
        "objects",
        "Objects by kind.",
        metrics
            .objects
            .iter()
            .map(|(kind, count)| (format!("{{kind=\"{}\"}}", kind.as_str()), *count as u64)),
    );
    page.gauge("sessions", "Connected clients.", single(metrics.sessions as u64));
    page.gauge("handles", "Open handles of all sessions.", single(metrics.handles as u64));
    page.gauge(
        "subscriptions",
        "Readers of notifications.",
        single(metrics.events.subscriptions as u64),
    );
    page.gauge("queue_length", "Changes that wait for their turn.", single(metrics.queue as u64));
    page.counter(
        "events_total",
        "Notifications of this process.",
        single(metrics.events.published),
    );
    page.counter(
        "subscriptions_cut_off_total",
        "Readers that were cut off because they did not read.",
        single(metrics.events.cut_off),
    );
    page.head("group_size", "Changes that shared a transaction.", "histogram");
    page.histogram("group_size", "", &metrics.groups, 1);
    page.gauge("journal_bytes", "Size of the state's files.", single(metrics.journal.bytes));
    page.counter(
        "journal_failures_total",
        "Transactions that failed.",
        single(metrics.journal.failures),
    );
    page.head("journal_commit_seconds", "How long transactions took.", "histogram");
    page.histogram("journal_commit_seconds", "", &metrics.journal.commits, MICROSECONDS);
    page.counter(
        "kernel_errors_total",
        "What the kernel refused, by code.",
        metrics.faults.iter().map(|(code, count)| {
            (format!("{{hresult=\"{code}\",name=\"{}\"}}", code.name()), *count)
        }),
    );
    page.counter(
        "disturbances_total",
        "What others took away or changed of what is ours on the host.",
        single(metrics.disturbances),
    );
    page
}

/// Units of a second that durations are counted in.
const MICROSECONDS: u32 = 1_000_000;

/// A family with one number and no labels.
fn single(value: u64) -> impl Iterator<Item = (String, u64)> {
    std::iter::once((String::new(), value))
}

struct Page(String);

impl Page {
    fn operations(&mut self, metrics: &Metrics) {
        let labels = |name: &str| format!("{{operation=\"{name}\"}}");
        self.counter(
            "operations_total",
            "Operations that were answered.",
            metrics
                .operations
                .iter()
                .map(|numbers| (labels(numbers.operation), numbers.latency.count)),
        );
        self.counter(
            "operation_failures_total",
            "Operations that were answered by a failure.",
            metrics.operations.iter().map(|numbers| (labels(numbers.operation), numbers.failures)),
        );
        self.head("operation_seconds", "From a request to its answer.", "histogram");
        for numbers in &metrics.operations {
            let label = format!("operation=\"{}\"", numbers.operation);
            self.histogram("operation_seconds", &label, &numbers.latency, MICROSECONDS);
        }
    }

    /// Seen from the endpoint: received is what it received.
    fn traffic(&mut self, traffic: &[(Guid, Counters)]) {
        type Pick = fn(&Counters) -> [u64; 2];
        let families: [(&str, &str, Pick); 3] = [
            ("endpoint_bytes_total", "Bytes that endpoints received and sent.", |counters| {
                [counters.bytes_received, counters.bytes_sent]
            }),
            ("endpoint_packets_total", "Packets that endpoints received and sent.", |counters| {
                [counters.packets_received, counters.packets_sent]
            }),
            ("endpoint_dropped_total", "Packets that were dropped at endpoints.", |counters| {
                [counters.dropped_incoming, counters.dropped_outgoing]
            }),
        ];
        for (name, help, pick) in families {
            let values = traffic.iter().flat_map(|(endpoint, counters)| {
                let labels = |way: &str| format!("{{endpoint=\"{endpoint}\",direction=\"{way}\"}}");
                let [received, sent] = pick(counters);
                [(labels("received"), received), (labels("sent"), sent)]
            });
            self.counter(name, help, values);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, values: impl Iterator<Item = (String, u64)>) {
        self.family(name, help, "gauge", values);
    }

    fn counter(&mut self, name: &str, help: &str, values: impl Iterator<Item = (String, u64)>) {
        self.family(name, help, "counter", values);
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        values: impl Iterator<Item = (String, u64)>,
    ) {
        self.head(name, help, kind);
        for (labels, value) in values {
            self.line(format_args!("hostcompute_{name}{labels} {value}"));
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP hostcompute_{name} {help}"));
        self.line(format_args!("# TYPE hostcompute_{name} {kind}"));
    }

    /// `unit` says how many of what was counted make one of what is told.
    fn histogram(&mut self, name: &str, label: &str, histogram: &Histogram, unit: u32) {
        let told = |value: u64| value as f64 / f64::from(unit);
        let comma = if label.is_empty() { "" } else { "," };
        let braces = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        for (bound, count) in &histogram.buckets {
            let bound = told(*bound);
            self.line(format_args!(
                "hostcompute_{name}_bucket{{{label}{comma}le=\"{bound}\"}} {count}"
            ));
        }
        let count = histogram.count;
        self.line(format_args!("hostcompute_{name}_bucket{{{label}{comma}le=\"+Inf\"}} {count}"));
        self.line(format_args!("hostcompute_{name}_sum{braces} {}", told(histogram.sum)));
        self.line(format_args!("hostcompute_{name}_count{braces} {count}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_announced_once_and_every_line_belongs_to_one() {
        let spread = Histogram { count: 3, sum: 70, buckets: vec![(20, 1), (50, 2)] };
        let metrics = Metrics { groups: spread, ..Metrics::default() };
        let mut page = page(&metrics);
        page.traffic(&[(Guid::default(), Counters { bytes_sent: 7, ..Counters::default() })]);
        let Page(page) = page;
        let mut family = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().expect("a name");
            }
            assert!(line.starts_with('#') || line.starts_with(family), "{line}");
        }
        assert!(page.contains("hostcompute_group_size_bucket{le=\"20\"} 1\n"), "{page}");
        assert!(page.contains("hostcompute_group_size_sum 70\n"));
        assert!(page.contains("hostcompute_sessions 0\n"));
        assert!(page.contains("direction=\"sent\"} 7\n"), "{page}");
    }
}
