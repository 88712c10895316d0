//! Frames that go out together: written one behind the other into one buffer that is used again.

use super::limits::BATCH_KEPT_BYTES;

/// Frames in the order in which they are sent, each with a line end behind it, which is white space to JSON.
///
/// Whoever fills a batch and whoever sends it each keep one, and swap: no frame is copied or allocated on the way.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frames, each with its line end.
    text: Vec<u8>,
    /// Where each frame ends in `text`, in front of its line end.
    ends: Vec<usize>,
}

impl Batch {
    /// Adds a frame, which must hold no line end.
    pub fn push(&mut self, frame: &[u8]) {
        self.write(|text| text.extend_from_slice(frame));
    }

    /// Adds a frame that is appended to what it is given.
    pub fn write(&mut self, frame: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        frame(&mut self.text);
        debug_assert!(!self.text[start..].contains(&b'\n'), "JSON text escapes line ends");
        self.ends.push(self.text.len());
        self.text.push(b'\n');
    }

    /// The frames without their line ends.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| self.frame(index))
    }

    /// One frame without its line end.
    pub(super) fn frame(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        &self.text[start..self.ends[index]]
    }

    /// All frames as lines.
    pub fn lines(&self) -> &[u8] {
        &self.text
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Empties it. Memory for [`BATCH_KEPT_BYTES`] is kept for the next frames, so that one large frame is no lasting cost.
    pub fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(BATCH_KEPT_BYTES);
        self.ends.clear();
        self.ends.shrink_to(BATCH_KEPT_BYTES / size_of::<usize>());
    }
}

impl<F: AsRef<[u8]>> FromIterator<F> for Batch {
    fn from_iter<I: IntoIterator<Item = F>>(frames: I) -> Self {
        let mut batch = Self::default();
        frames.into_iter().for_each(|frame| batch.push(frame.as_ref()));
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_and_memory_is_kept_up_to_its_bound() {
        let mut batch: Batch = ["{}", "", "[1]"].into_iter().collect();
        assert_eq!(batch.frames().collect::<Vec<_>>(), [&b"{}"[..], b"", b"[1]"]);
        assert_eq!((batch.lines(), batch.len()), (&b"{}\n\n[1]\n"[..], 3));
        batch.push(&vec![b'x'; 2 * BATCH_KEPT_BYTES]);
        batch.clear();
        assert!(batch.is_empty() && batch.lines().is_empty());
        assert!((1..=BATCH_KEPT_BYTES).contains(&batch.text.capacity()), "{}", batch.text.capacity());
    }
}
