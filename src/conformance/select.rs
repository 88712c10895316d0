//! Which cases the user wants.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// `--only` and `--skip` over case ids.
#[derive(Clone, Debug)]
pub struct Selection {
    /// `None`: everything.
    only: Option<GlobSet>,
    /// Applied after `only`.
    skip: GlobSet,
}

impl Selection {
    /// A selection of the cases that match one of `only` (all, if there is none) and none of `skip`. `*` crosses the
    /// slash, so that `*-gap` finds a slug in any area.
    ///
    /// # Errors
    ///
    /// The text says which pattern is no glob.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self, String> {
        let only = if only.is_empty() { None } else { Some(globs(only)?) };
        Ok(Self { only, skip: globs(skip)? })
    }

    /// Whether the case is left out, and by which option.
    pub fn left_out(&self, case: &str) -> Option<&'static str> {
        if self.skip.is_match(case) {
            Some("--skip")
        } else if self.only.as_ref().is_some_and(|only| !only.is_match(case)) {
            Some("not matched by --only")
        } else {
            None
        }
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| format!("bad pattern {pattern}: {}", error.kind()))?);
    }
    set.build().map_err(|error| format!("bad patterns: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(only: &[&str], skip: &[&str], expected: [bool; 3]) {
        let selection = Selection::new(&strings(only), &strings(skip)).expect("the patterns are globs");
        let wanted = ["stream/seq-gap", "stream/end", "id/text"].map(|case| selection.left_out(case).is_none());
        assert_eq!(wanted, expected, "only {only:?} skip {skip:?}");
    }

    #[test]
    fn skip_wins_over_only_and_nothing_means_everything() {
        check(&[], &[], [true, true, true]);
        check(&["stream/*"], &[], [true, true, false]);
        check(&["stream/*", "id/text"], &["*-gap"], [false, true, true]);
        check(&[], &["{id,stream}/*"], [false, false, false]);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        assert!(Selection::new(&strings(&["a[b"]), &[]).is_err_and(|error| error.contains("a[b")));
    }
}
