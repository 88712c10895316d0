//! Colours for people at a terminal.

use std::io::IsTerminal;

use super::super::verdict::Bearing;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

/// What stands out, or back, without being a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shade {
    /// Names and what matters.
    Bold,
    /// Labels.
    Dim,
}

impl Paint {
    /// No colours.
    pub const PLAIN: Self = Self(false);

    /// Colours, whoever reads.
    pub const COLOURS: Self = Self(true);

    /// Colours where `stream` is a terminal, unless the environment has a `NO_COLOR` that is not empty.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(stream.is_terminal() && !no_color)
    }

    /// The text in the colour of a verdict; each line by itself, so that an indented text stays one.
    pub fn verdict(self, text: &str, bearing: Bearing) -> String {
        self.sgr(
            text,
            match bearing {
                Bearing::Good => 32,
                Bearing::Violation | Bearing::Incomplete => 31,
                Bearing::Advice => 33,
                Bearing::Neutral => 90,
            },
        )
    }

    /// The text in that shade.
    pub fn shade(self, text: &str, shade: Shade) -> String {
        self.sgr(
            text,
            match shade {
                Shade::Bold => 1,
                Shade::Dim => 2,
            },
        )
    }

    fn sgr(self, text: &str, code: u8) -> String {
        if !self.0 {
            return text.to_owned();
        }
        text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect::<Vec<_>>().join("\n")
    }
}
