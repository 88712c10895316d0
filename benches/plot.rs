//! Plots as SVG, on logarithmic axes.

use std::fmt::Write as _;

use crate::harness::{Curve, Figure, Outcome};

/// Pixels of one panel, and of what is around its axes.
const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 52.0;

/// What both curves of a panel are called, and how they are drawn.
const SERIES: [(&str, &str); 2] = [("baseline", "#b45309"), ("exec-http", "#1d4ed8")];

/// One pair of axes.
pub(crate) struct Panel {
    /// What it shows.
    pub(crate) title: &'static str,
    /// Whose points are drawn.
    pub(crate) curve: Curve,
    /// The axis below.
    pub(crate) x: &'static str,
    /// The axis on the left.
    pub(crate) y: &'static str,
    /// A place on the axis below.
    pub(crate) place: fn(usize) -> String,
    /// A value on the axis on the left.
    pub(crate) value: fn(f64) -> String,
}

/// Panels side by side; `None` when there are no two points of one of them.
pub(crate) fn svg(panels: &[Panel], outcomes: &[Outcome]) -> Option<String> {
    let width = WIDTH * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        _ = writeln!(svg, "<g transform=\"translate({} 0)\">", WIDTH * index as f64);
        panel.draw(outcomes, &mut svg)?;
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

impl Panel {
    fn draw(&self, outcomes: &[Outcome], svg: &mut String) -> Option<()> {
        let points = outcomes.iter().filter(|outcome| outcome.figure == Figure::Cpu);
        let points = points.filter_map(|outcome| match outcome.point {
            Some((curve, x)) if curve == self.curve => Some((x, [outcome.baseline, outcome.ours])),
            _ => None,
        });
        let points: Vec<(usize, [f64; 2])> = points.collect();
        let [(first, _), .., (last, _)] = points[..] else { return None };
        let values = || points.iter().flat_map(|(_, values)| values);
        let high = values().copied().fold(0.0, f64::max) * 1.3;
        // At least a factor of ten, so that small differences look small.
        let low = (values().copied().fold(f64::INFINITY, f64::min) / 1.3).min(high / 10.0);
        let along = |value: f64, from: f64, to: f64| (value / from).ln() / (to / from).ln();
        let x = |place: usize| LEFT + (WIDTH - LEFT - RIGHT) * along(place as f64, first as f64, last as f64);
        let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * along(value, low, high);
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        let text = |svg: &mut String, x: f64, y: f64, anchor: &str, style: &str, text: &str| {
            _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {style}>{text}</text>");
        };
        text(svg, middle, 20.0, "middle", "font-weight=\"600\" fill=\"#111827\"", self.title);
        for value in ticks(low, high) {
            let at = y(value);
            _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#e5e7eb\"/>", WIDTH - RIGHT);
            text(svg, LEFT - 8.0, at + 4.0, "end", "fill=\"#4b5563\"", &(self.value)(value));
        }
        for &(place, _) in &points {
            let (at, label) = (x(place), (self.place)(place));
            _ = writeln!(svg, "<path d=\"M{at:.1} {TOP}V{}\" stroke=\"#f3f4f6\"/>", HEIGHT - BOTTOM);
            text(svg, at, HEIGHT - BOTTOM + 18.0, "middle", "fill=\"#4b5563\"", &label);
        }
        let axes = format!("M{LEFT} {TOP}V{}H{}", HEIGHT - BOTTOM, WIDTH - RIGHT);
        _ = writeln!(svg, "<path d=\"{axes}\" fill=\"none\" stroke=\"#9ca3af\"/>");
        text(svg, middle, HEIGHT - 12.0, "middle", "fill=\"#374151\"", self.x);
        let across = TOP + (HEIGHT - TOP - BOTTOM) / 2.0;
        let turned = format!("fill=\"#374151\" transform=\"rotate(-90 16 {across:.1})\"");
        text(svg, 16.0, across, "middle", &turned, self.y);
        for (series, (name, color)) in SERIES.iter().enumerate() {
            let line: Vec<_> = points.iter().map(|(place, values)| (x(*place), y(values[series]))).collect();
            let path: Vec<_> = line.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            _ = writeln!(svg, "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", path.join("L"));
            for (x, y) in line {
                _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
            }
            let at = LEFT + 110.0 * series as f64;
            _ = writeln!(svg, "<path d=\"M{at} 42h20\" stroke=\"{color}\" stroke-width=\"2\"/>");
            text(svg, at + 26.0, 46.0, "start", "fill=\"#374151\"", name);
        }
        Some(())
    }
}

/// Round values between two: of each power of ten one, or three where there are few.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let steps: &[f64] = if (high / low).log10() < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let values = powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    values.filter(|value| (low..=high).contains(value)).collect()
}

/// Nanoseconds as text, for round values.
pub(crate) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        value if value >= 1e6 => format!("{} ms", round(value / 1e6)),
        value if value >= 1e3 => format!("{} us", round(value / 1e3)),
        value => format!("{} ns", round(value)),
    }
}

/// Seconds as text, for round values.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{} s", round(seconds))
}

/// A power of ten, or twice or five times as much, without what rounding left.
fn round(value: f64) -> String {
    let decimals = (-value.log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}
