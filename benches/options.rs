//! The command line of the benchmark.

/// What `cargo bench -- [OPTION | WORD]...` asks for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Only rows whose names have all of these words.
    words: Vec<String>,
    /// Smaller bodies and fewer rounds.
    pub(crate) quick: bool,
    /// Write the page and the plots.
    pub(crate) write: bool,
    /// Judge ratios of processor time at half of what they are to be.
    pub(crate) gate: bool,
}

impl Options {
    /// Reads the arguments; an unknown option is an error, to be shown.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                "--gate" => options.gate = true,
                // What cargo passes to every benchmark.
                "--bench" => {}
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}; there are WORD..., --quick, --write, --gate"));
                }
                word => options.words.push(word.to_owned()),
            }
        }
        Ok(options)
    }

    /// Whether a row is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.words.iter().all(|word| name.contains(word.as_str()))
    }

    /// Rounds of a row that has so many when there is time.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.quick { (full / 3).max(3) } else { full }
    }
}
