//! Frames that go out together: written one behind the other into one buffer that is used again.

use super::limits::BATCH_KEPT_BYTES;

/// Frames in the order in which they are sent, each with a line end behind it, which is white space to JSON.
///
/// Whoever fills a batch and whoever sends it each keep one, and swap: no frame is copied or allocated on the way.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frames, each with its line end; behind them what earlier frames have left, so that nothing has to be zeroed again.
    text: Vec<u8>,
    /// Where each frame ends in `text`, in front of its line end.
    ends: Vec<usize>,
}

impl Batch {
    /// Adds a frame, which must hold no line end.
    pub fn push(&mut self, frame: &[u8]) {
        self.write(frame.len(), |out| {
            out.copy_from_slice(frame);
            frame.len()
        });
    }

    /// Adds a frame of at most so many bytes: `frame` writes it to the start of what it is given and returns its length, which
    /// is returned here as well.
    pub fn write(&mut self, most: usize, frame: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let start = self.used();
        if self.text.len() < start + most + 1 {
            self.text.resize((start + most + 1).max(self.text.len() * 2), 0);
        }
        let length = frame(&mut self.text[start..start + most]);
        let end = start + length;
        debug_assert!(!self.text[start..end].contains(&b'\n'), "JSON text escapes line ends");
        self.text[end] = b'\n';
        self.ends.push(end);
        length
    }

    /// Bytes of all frames with their line ends.
    fn used(&self) -> usize {
        self.ends.last().map_or(0, |end| end + 1)
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
        &self.text[..self.used()]
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
        self.text.truncate(BATCH_KEPT_BYTES);
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
