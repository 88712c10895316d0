//! What an executor has done since its start, in numbers; as text in the format of Prometheus.
//!
//! No label names a host, a client or anything else that comes from outside, so that there is a bounded number of lines.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::error::ErrorKind;
use crate::transport::websocket::Refusal;

/// The counters of one executor, all its connections together.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Connections, stdio included, that were and are no more.
    connections_ended: Counter,
    /// Connections that were or are.
    connections_begun: Counter,
    /// Exchanges that were started.
    pub(super) exchanges_started: Counter,
    /// Exchanges that are over, by their [`Outcome`].
    finished: [Counter; Outcome::ALL.len()],
    /// Bytes of request bodies in the calls that were started.
    pub(super) request_body_bytes: Counter,
    /// Bytes of response bodies that were handed to clients' connections.
    pub(super) response_body_bytes: Counter,
    /// Messages that were sent to clients.
    pub(super) frames_sent: Counter,
    /// HTTP requests that a listener refused, by their [`Refusal`].
    refused: [Counter; Refusal::ALL.len()],
    /// Bounds that were met, by their [`Limit`].
    limits: [Counter; Limit::ALL.len()],
}

/// A number that rises. Numbers are read one by one: two of them need not fit each other.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The whole response was handed on.
    Ok,
    /// It failed, or its client cancelled it.
    Failed(ErrorKind),
    /// Its params were refused, for a reason that has no kind.
    Invalid,
    /// Its connection ended first.
    Disconnected,
}

/// A bound that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Open websocket connections of a listener.
    Connections,
    /// Calls, or bytes in them, that wait on one connection; the length of a `requestId`.
    Calls,
    /// What one exchange may take: headers, the response head, a buffered body.
    Exchange,
    /// The length of a message of a client.
    Message,
    /// Replies that wait for a client that does not read.
    Replies,
}

/// An open connection; dropping it counts its end.
#[derive(Debug)]
pub(super) struct Open<'a>(&'a Metrics);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections_ended.add(1);
    }
}

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Outcome {
    const ALL: [Self; ErrorKind::ALL.len() + 3] = {
        let mut all = [Self::Ok; ErrorKind::ALL.len() + 3];
        let mut index = 0;
        while index < ErrorKind::ALL.len() {
            all[index + 1] = Self::Failed(ErrorKind::ALL[index]);
            index += 1;
        }
        all[index + 1] = Self::Invalid;
        all[index + 2] = Self::Disconnected;
        all
    };

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(kind) => kind.as_str(),
            Self::Invalid => "invalid",
            Self::Disconnected => "disconnected",
        }
    }
}

impl Limit {
    const ALL: [Self; 5] = [Self::Connections, Self::Calls, Self::Exchange, Self::Message, Self::Replies];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Calls => "calls",
            Self::Exchange => "exchange",
            Self::Message => "message",
            Self::Replies => "replies",
        }
    }
}

impl Metrics {
    /// Counts a connection: its number, and what is to be held while it is open.
    pub(super) fn connection(&self) -> (u64, Open<'_>) {
        (self.connections_begun.0.fetch_add(1, Ordering::Relaxed), Open(self))
    }

    /// Counts the end of an exchange.
    pub(super) fn exchange_finished(&self, outcome: Outcome) {
        if outcome == Outcome::Failed(ErrorKind::Limit) {
            self.limit_met(Limit::Exchange, 1);
        }
        count(&Outcome::ALL, &self.finished, outcome, 1);
    }

    /// Counts a request that a listener refused.
    pub(super) fn request_refused(&self, why: Refusal) {
        if why == Refusal::Full {
            self.limit_met(Limit::Connections, 1);
        }
        count(&Refusal::ALL, &self.refused, why, 1);
    }

    /// Counts how often a bound was met.
    pub(super) fn limit_met(&self, limit: Limit, times: u64) {
        count(&Limit::ALL, &self.limits, limit, times);
    }

    /// All numbers, each with what it means.
    pub(super) fn render(&self) -> String {
        let mut text = Text(String::new());
        // What ended is read first, so that a gauge is never below zero.
        let ended = self.connections_ended.get();
        let begun = self.connections_begun.get();
        text.gauge("connections_open", "Connections that are open, stdio included.", begun.saturating_sub(ended));
        text.counter("connections_total", "Connections since the start.", begun);
        let finished: u64 = self.finished.iter().map(Counter::get).sum();
        let started = self.exchanges_started.get();
        text.gauge("exchanges_active", "Exchanges that go on.", started.saturating_sub(finished));
        text.counter("exchanges_started_total", "Exchanges that were started.", started);
        let outcomes = Outcome::ALL.map(Outcome::as_str);
        text.counters("exchanges_finished_total", "Exchanges that are over.", "outcome", &outcomes, &self.finished);
        let bytes = self.request_body_bytes.get();
        text.counter("request_body_bytes_total", "Bytes of request bodies in started exchanges.", bytes);
        let bytes = self.response_body_bytes.get();
        text.counter("response_body_bytes_total", "Bytes of response bodies handed to clients.", bytes);
        text.counter("frames_sent_total", "Messages sent to clients.", self.frames_sent.get());
        let reasons = Refusal::ALL.map(Refusal::as_str);
        text.counters(
            "upgrades_refused_total",
            "HTTP requests that the listener refused.",
            "reason",
            &reasons,
            &self.refused,
        );
        let limits = Limit::ALL.map(Limit::as_str);
        text.counters("limits_met_total", "Bounds that were met.", "limit", &limits, &self.limits);
        text.0
    }
}

/// Adds to the counter of one of all.
fn count<T: PartialEq>(all: &[T], counters: &[Counter], one: T, times: u64) {
    if let Some(counter) = all.iter().position(|other| *other == one).and_then(|index| counters.get(index)) {
        counter.add(times);
    }
}

/// The text while it is written. Writing to memory cannot fail.
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.sample(name, "", value);
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, values: &[&str], counters: &[Counter]) {
        self.head(name, help, "counter");
        for (value, counter) in values.iter().zip(counters) {
            self.sample(name, format_args!("{{{label}=\"{value}\"}}"), counter.get());
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        _ = writeln!(self.0, "# HELP exec_http_{name} {help}\n# TYPE exec_http_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: impl Display, value: u64) {
        _ = writeln!(self.0, "exec_http_{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_refusal_and_limit_has_a_line_of_its_own() {
        let metrics = Metrics::default();
        metrics.exchanges_started.add(20);
        for outcome in Outcome::ALL {
            metrics.exchange_finished(outcome);
        }
        Refusal::ALL.into_iter().for_each(|why| metrics.request_refused(why));
        Limit::ALL.into_iter().for_each(|limit| metrics.limit_met(limit, 1));
        let text = metrics.render();
        for line in [
            "# TYPE exec_http_exchanges_finished_total counter",
            "exec_http_exchanges_finished_total{outcome=\"ok\"} 1",
            "exec_http_exchanges_finished_total{outcome=\"cancelled\"} 1",
            "exec_http_exchanges_finished_total{outcome=\"disconnected\"} 1",
            "exec_http_exchanges_active 6",
            "exec_http_upgrades_refused_total{reason=\"token\"} 1",
            "exec_http_limits_met_total{limit=\"connections\"} 2",
            "exec_http_limits_met_total{limit=\"exchange\"} 2",
            "exec_http_limits_met_total{limit=\"calls\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        let mut samples: Vec<_> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
        let all = samples.len();
        samples.sort_unstable();
        samples.dedup();
        assert_eq!(samples.len(), all, "{text}");
    }
}
