//! Ours against the baseline: both in turn, in one run of one process, with one allocator; medians, and the spread of the ratios.

use std::fmt::Write as _;

/// What is measured in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Time that passed.
    Wall,
    /// Processor time of all threads that take part.
    Cpu,
    /// The median of many latencies.
    P50,
    /// What nine of ten latencies do not exceed.
    P90,
}

impl Figure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "CPU",
            Self::P50 => "p50",
            Self::P90 => "p90",
        }
    }
}

/// What a figure is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// One of what the word says; shown in nanoseconds or microseconds.
    One(&'static str),
    /// A byte of the body; shown in MB/s and in seconds for each GB.
    Byte,
}

/// What a row is to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// The baseline costs so many times as much, or more.
    Faster(f64),
    /// Costs so many times as much as the one that it is compared with, or less.
    Growth(f64),
}

/// A plot that a row is a point of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    /// Cost of a stream against live streams.
    Churn,
    /// Cost of a byte against concurrent streams.
    Streams,
    /// Cost of decoding against the size of a delta.
    Decode,
    /// Cost of a delta for the client against its size.
    Client,
}

/// One thing that is measured on both sides.
pub(crate) struct Row {
    /// What it is.
    pub(crate) name: String,
    /// What figures are divided by.
    pub(crate) per: Per,
    /// In the order in which a round gives them.
    pub(crate) figures: Vec<(Figure, Option<Goal>)>,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// Which plot it is on, and where on its axis.
    pub(crate) point: Option<(Curve, usize)>,
    /// Makes what the rounds need.
    pub(crate) setup: Box<dyn FnOnce() -> Sides>,
}

/// Does it once, and tells what each figure was, divided.
pub(crate) type Round = Box<dyn FnMut() -> Vec<f64>>;

/// Both sides of a row.
pub(crate) struct Sides {
    /// What ours is compared with.
    pub(crate) baseline: Round,
    /// What this crate does.
    pub(crate) ours: Round,
}

/// What came of one figure of a row.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// As the row's.
    pub(crate) name: String,
    /// As the row's.
    pub(crate) per: Per,
    /// As the row's.
    pub(crate) point: Option<(Curve, usize)>,
    /// Which.
    pub(crate) figure: Figure,
    /// What it is to show.
    pub(crate) goal: Option<Goal>,
    /// What is judged where the machine has moods: processor time, and where there is no goal for that, by the one for the wall.
    pub(crate) gate: Option<Goal>,
    /// The median.
    pub(crate) baseline: f64,
    /// The median.
    pub(crate) ours: f64,
    /// The first and the third quartile of the ratios of one round each.
    pub(crate) spread: (f64, f64),
}

impl Row {
    /// Whether anything of it is judged where the machine has moods.
    pub(crate) fn is_gated(&self) -> bool {
        self.figures.iter().any(|&(figure, _)| gate(&self.figures, figure).is_some())
    }

    /// Runs it: one round of each side that does not count, then both in turn, the first one changing.
    pub(crate) fn run(self) -> Vec<Outcome> {
        let mut sides = (self.setup)();
        (sides.baseline)();
        (sides.ours)();
        let (mut baseline, mut ours) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            if round % 2 == 0 {
                baseline.push((sides.baseline)());
                ours.push((sides.ours)());
            } else {
                ours.push((sides.ours)());
                baseline.push((sides.baseline)());
            }
        }
        let figures = self.figures.iter().enumerate();
        let outcomes = figures.map(|(index, &(figure, goal))| {
            let of = |rounds: &[Vec<f64>]| rounds.iter().map(|round| round[index]).collect::<Vec<f64>>();
            let (baseline, ours) = (of(&baseline), of(&ours));
            let ratios: Vec<f64> = baseline.iter().zip(&ours).map(|(baseline, ours)| baseline / ours).collect();
            Outcome {
                name: self.name.clone(),
                per: self.per,
                point: self.point,
                figure,
                goal,
                gate: gate(&self.figures, figure),
                spread: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
                baseline: quantile(&baseline, 0.5),
                ours: quantile(&ours, 0.5),
            }
        });
        outcomes.collect()
    }
}

/// What is judged of one of the figures where the machine has moods.
fn gate(figures: &[(Figure, Option<Goal>)], figure: Figure) -> Option<Goal> {
    let goal_of = |wanted| figures.iter().find(|(figure, _)| *figure == wanted).and_then(|(_, goal)| *goal);
    if figure == Figure::Cpu { goal_of(Figure::Cpu).or_else(|| goal_of(Figure::Wall)) } else { None }
}

impl Outcome {
    /// How many times as much the baseline costs.
    pub(crate) fn ratio(&self) -> f64 {
        self.baseline / self.ours
    }

    /// Whether the goal is met.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(self.meets(self.goal?, 1.0))
    }

    /// Whether half of what is judged is there; `None` where nothing is.
    pub(crate) fn passes(&self) -> Option<bool> {
        Some(self.meets(self.gate?, 2.0))
    }

    /// Whether a goal is met, times a factor that makes it easier.
    fn meets(&self, goal: Goal, ease: f64) -> bool {
        match goal {
            Goal::Faster(times) => self.ratio() * ease >= times,
            Goal::Growth(times) => self.ours / self.baseline <= times * ease,
        }
    }

    /// The cells of a table: what, which figure, the baseline, ours, the ratio, its spread, the goal, whether it is met.
    pub(crate) fn cells(&self) -> [String; 8] {
        let (name, low, high) = (self.name.clone(), self.spread.0, self.spread.1);
        let (ratio, spread, goal) = match self.goal {
            Some(Goal::Growth(times)) => {
                let spread = format!("{} to {}", times_of(1.0 / high), times_of(1.0 / low));
                (times_of(1.0 / self.ratio()), spread, format!("at most {}", times_of(times)))
            }
            goal => {
                let goal = match goal {
                    Some(Goal::Faster(times)) => times_of(times),
                    _ => String::new(),
                };
                (times_of(self.ratio()), format!("{} to {}", times_of(low), times_of(high)), goal)
            }
        };
        let met = self.is_met().map_or("", |met| if met { "met" } else { "not met" });
        let [baseline, ours] = [self.baseline, self.ours].map(|value| show(value, self.per, self.figure));
        [name, self.figure.name().into(), baseline, ours, ratio, spread, goal, met.into()]
    }
}

/// The names of [`Outcome::cells`].
pub(crate) const COLUMNS: [&str; 8] = ["what", "figure", "baseline", "ours", "ratio", "quartiles", "goal", ""];

/// One line of the table on the console.
pub(crate) fn line<T: AsRef<str>>(cells: &[T; 8]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip([46, 6, 16, 16, 9, 20, 13, 8]) {
        _ = write!(line, "{:<width$} ", cell.as_ref());
    }
    line.trim_end().to_owned()
}

/// A cost, in the unit that suits it.
fn show(value: f64, per: Per, figure: Figure) -> String {
    match (per, figure) {
        // Nanoseconds for a byte are seconds for a gigabyte.
        (Per::Byte, Figure::Wall) => format!("{} MB/s", significant(1e3 / value)),
        (Per::Byte, _) => format!("{} s/GB", significant(value)),
        (Per::One(_), _) if value >= 1e6 => format!("{} ms", significant(value / 1e6)),
        (Per::One(_), _) if value >= 1e4 => format!("{} us", significant(value / 1e3)),
        (Per::One(_), _) => format!("{} ns", significant(value)),
    }
}

fn times_of(ratio: f64) -> String {
    format!("{}x", significant(ratio))
}

/// Three digits that mean something, or all that stand before the point.
fn significant(value: f64) -> String {
    if value >= 10_000.0 {
        return thousands(value.round() as u64);
    }
    let decimals = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// With a comma before each three digits.
fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

/// The value below which a part of all values lies.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}
