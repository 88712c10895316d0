//! What each consumer must see, from the clauses of the specification: plain lists, one reader, no wakers.

use std::collections::VecDeque;
use std::mem;

use super::executor::{answer_body, status};
use super::operation::Answer;
use super::seen::{End, Event, Failure, Loss, Piece, Seen};

/// What a waiting frame counts at least, in bytes.
const LEAST_CHARGE_BYTES: usize = 256;

/// Bits of an id on the wire that name a place in the client's table.
const PLACE_BITS: u32 = 24;

/// The client's bounds.
pub(super) struct Limits {
    /// Whether the reader waits for slow consumers.
    pub(super) pause: bool,
    /// Frames that may wait in one stream.
    pub(super) frames: usize,
    /// Bytes that may wait in all streams.
    pub(super) bytes: usize,
    /// Calls at a time.
    pub(super) calls: usize,
}

/// The whole client.
pub(super) struct Oracle {
    /// Its bounds.
    limits: Limits,
    /// All calls that were sent.
    calls: Vec<Call>,
    /// Frames that the client has not looked at; between operations the first of them waits for room.
    wire: VecDeque<Event>,
    /// Why the connection is gone.
    lost: Option<Loss>,
    /// Whether the executor still reads.
    heard: bool,
    /// Whether something was written that the executor did not read.
    unheard: bool,
    /// Calls that the executor has not read.
    unread_calls: VecDeque<usize>,
    /// Ids of refused requests that the executor has not read.
    unread_refusals: VecDeque<String>,
}

/// One call.
struct Call {
    /// Whether it has a streamed body.
    stream: bool,
    /// Whether the client still keeps anything for it.
    held: bool,
    /// Where the answer is.
    answer: AnswerState,
    /// What the head says of the length.
    promised: Option<u64>,
    /// Bytes that the consumer has taken.
    received: u64,
    /// Frames that wait for the consumer.
    waiting: VecDeque<Vec<u8>>,
    /// The `seq` that is due.
    due: u64,
    /// How the body ends behind what waits.
    end: Option<End>,
    /// The place in the client's table.
    place: u64,
}

/// The answer of a call.
enum AnswerState {
    /// Not there yet.
    Waiting,
    /// There, and not seen.
    Ready(Result<Head, Failure>),
    /// Seen.
    Taken,
}

/// The head of a response.
struct Head {
    /// What it says of the length.
    promised: Option<u8>,
    /// Bytes of the body in it.
    bytes: u8,
}

/// Whether a frame may wait.
enum Room {
    /// It may.
    Free,
    /// Once a consumer has caught up.
    Later,
    /// It may not, and ends its stream like this.
    Full(End),
}

impl Oracle {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            calls: Vec::new(),
            wire: VecDeque::new(),
            lost: None,
            heard: true,
            unheard: false,
            unread_calls: VecDeque::new(),
            unread_refusals: VecDeque::new(),
        }
    }

    /// A consumer starts a call; after the end of the connection it fails at once (ROUTE-18).
    pub(super) fn start(&mut self, stream: bool) -> Result<(), Failure> {
        if let Some(loss) = self.lost {
            return Err(Failure::Lost { loss, sent: false });
        }
        if self.usage().0 == self.limits.calls {
            return Err(Failure::TooManyCalls);
        }
        self.unread_calls.push_back(self.calls.len());
        self.unheard |= !self.heard;
        self.calls.push(Call::new(stream));
        Ok(())
    }

    /// What the consumer of a call sees when it polls.
    pub(super) fn receive(&mut self, call: usize) -> Seen {
        let status = status(call);
        let call = &mut self.calls[call];
        match mem::replace(&mut call.answer, AnswerState::Taken) {
            AnswerState::Waiting => {
                call.answer = AnswerState::Waiting;
                Seen::Nothing
            }
            AnswerState::Ready(Err(failure)) => {
                call.release();
                Seen::Failed(failure)
            }
            AnswerState::Ready(Ok(Head { promised, .. })) if call.stream => {
                call.promised = promised.map(u64::from);
                Seen::Head(status)
            }
            AnswerState::Ready(Ok(Head { promised, bytes })) => {
                call.release();
                if promised.is_some_and(|promised| promised != bytes) {
                    return Seen::Failed(Failure::WrongLength);
                }
                Seen::Whole(status, answer_body(bytes))
            }
            AnswerState::Taken => call.receive_piece(),
        }
    }

    /// A consumer drops what it holds, and with it goes all that the client keeps for the call (ROUTE-4, ROUTE-5).
    pub(super) fn leave(&mut self, call: usize) {
        self.calls[call].release();
    }

    /// Whether the consumer of this call would see something.
    pub(super) fn has_news(&self, call: usize) -> bool {
        let call = &self.calls[call];
        match call.answer {
            AnswerState::Waiting => false,
            AnswerState::Ready(_) => true,
            AnswerState::Taken => !call.waiting.is_empty() || call.end.is_some(),
        }
    }

    /// Calls held and bytes charged (ROUTE-10, ROUTE-16).
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.calls.iter().filter(|call| call.held).count(), self.calls.iter().map(Call::bytes).sum())
    }

    /// The executor sends a frame.
    pub(super) fn send(&mut self, event: Event) {
        self.wire.push_back(event);
    }

    /// The executor closes its side.
    pub(super) fn close(&mut self) {
        self.wire.push_back(Event::Fatal(Loss::Closed));
    }

    /// The executor reads no more.
    pub(super) fn stop_reading(&mut self) {
        self.heard = false;
        (self.unread_calls, self.unread_refusals) = Default::default();
    }

    /// Long nothing: a client whose frames do not arrive gives up.
    pub(super) fn wait(&mut self) {
        if self.unheard {
            self.lose(Loss::Transport);
        }
    }

    /// The executor reads a call: which one, and whether it is a streamed one.
    pub(super) fn read_call(&mut self, id: u64) -> Option<(usize, bool)> {
        let call = self.unread_calls.pop_front()?;
        self.calls[call].place = id % (1 << PLACE_BITS);
        Some((call, self.calls[call].stream))
    }

    /// The executor reads the refusal of this request.
    pub(super) fn read_refusal(&mut self) -> Option<String> {
        self.unread_refusals.pop_front()
    }

    /// Whether the executor has read all that it must have.
    pub(super) fn has_read_all(&self) -> bool {
        self.lost.is_some() || self.unread_calls.is_empty() && self.unread_refusals.is_empty()
    }

    /// The client looks at all frames that it can.
    pub(super) fn settle(&mut self) {
        while let Some(event) = self.wire.pop_front() {
            if self.lost.is_none() && !self.handle(&event) {
                self.wire.push_front(event);
                break;
            }
        }
    }

    /// False when the frame has to wait for room, and all others behind it (ROUTE-14).
    fn handle(&mut self, event: &Event) -> bool {
        match event {
            Event::Stray => {}
            Event::Request { id } if self.heard => self.unread_refusals.push_back(id.clone()),
            Event::Request { .. } => self.unheard = true,
            Event::Fatal(loss) => self.lose(*loss),
            Event::Answer { call, answer } => self.calls[*call].answer(*call, *answer),
            Event::Malformed { call, member } => self.calls[*call].end_with(End::Malformed(member)),
            Event::Piece { call, piece } => return self.handle_piece(*call, piece),
        }
        true
    }

    /// The table of a stream's life.
    fn handle_piece(&mut self, index: usize, piece: &Piece) -> bool {
        let call = &self.calls[index];
        // STREAM-18, STREAM-24
        if !call.is_open() {
            return true;
        }
        // STREAM-20, STREAM-21
        if piece.seq != call.due {
            let sequence = End::Sequence { received: piece.seq, expected: call.due };
            self.calls[index].end_with(sequence);
            return true;
        }
        // STREAM-15, STREAM-16
        let mut end = match &piece.error {
            Some(text) => Some(End::Remote(text.clone())),
            None => piece.done.then_some(End::Whole),
        };
        // STREAM-17, STREAM-29
        if !piece.data.is_empty() {
            match self.room(index, charge(&piece.data), end.is_some()) {
                Room::Free => self.calls[index].waiting.push_back(piece.data.clone()),
                Room::Later => return false,
                // ROUTE-12: a body that failed has its reason.
                Room::Full(_) if matches!(end, Some(End::Remote(_))) => {}
                Room::Full(full) => end = Some(full),
            }
        }
        let call = &mut self.calls[index];
        call.due += 1;
        call.end = end;
        true
    }

    fn room(&mut self, index: usize, charge: usize, terminal: bool) -> Room {
        let Limits { pause, frames, bytes, .. } = self.limits;
        let call = &self.calls[index];
        // ROUTE-9: what comes with the end has a place of its own.
        let many_frames = call.waiting.len() == frames && !terminal;
        if !many_frames && self.usage().1 + charge <= bytes {
            return Room::Free;
        }
        // A reader that waits for what came before an answer would never come to the answer.
        let waits = pause && charge <= bytes && call.is_answered();
        let full = |end| if waits { Room::Later } else { Room::Full(end) };
        // ROUTE-8
        if many_frames {
            return full(End::TooManyFrames(frames));
        }
        // ROUTE-11; with a pause nobody pays for being slow (ROUTE-14).
        let own = if waits { 0 } else { call.bytes() };
        if self.evict(charge, |call| call.bytes() > own && !(pause && call.is_answered())) {
            return Room::Free;
        }
        full(End::TooManyBytes(bytes))
    }

    /// Ends those that have to pay, the largest first, of equals the last one in the client's table; nobody pays in vain.
    fn evict(&mut self, charge: usize, pays: impl Fn(&Call) -> bool) -> bool {
        let evictable: usize = self.calls.iter().filter(|call| pays(call)).map(Call::bytes).sum();
        if self.usage().1 + charge > self.limits.bytes + evictable {
            return false;
        }
        while self.usage().1 + charge > self.limits.bytes {
            let payers = self.calls.iter_mut().filter(|call| pays(call));
            let largest = payers.max_by_key(|call| (call.bytes(), call.place)).expect("payers hold what is missing");
            largest.waiting.clear();
            largest.end = Some(End::TooManyBytes(self.limits.bytes));
        }
        true
    }

    /// CLOSE-8 to CLOSE-11.
    fn lose(&mut self, loss: Loss) {
        if self.lost.is_some() {
            return;
        }
        self.lost = Some(loss);
        for call in self.calls.iter_mut().filter(|call| call.held) {
            if !call.is_answered() {
                call.answer = AnswerState::Ready(Err(Failure::Lost { loss, sent: true }));
            }
            call.end_with(End::Lost(loss));
        }
    }
}

impl Call {
    fn new(stream: bool) -> Self {
        Self {
            stream,
            held: true,
            answer: AnswerState::Waiting,
            promised: None,
            received: 0,
            waiting: VecDeque::new(),
            due: 1,
            end: None,
            place: 0,
        }
    }

    fn is_answered(&self) -> bool {
        !matches!(self.answer, AnswerState::Waiting)
    }

    /// Whether frames may come.
    fn is_open(&self) -> bool {
        self.held && self.stream && self.end.is_none()
    }

    /// The first end stays (STREAM-19, CLOSE-13).
    fn end_with(&mut self, end: End) {
        if self.is_open() {
            self.end = Some(end);
        }
    }

    /// The first answer stays (ID-7).
    fn answer(&mut self, index: usize, answer: Answer) {
        if !self.held || self.is_answered() {
            return;
        }
        self.answer = AnswerState::Ready(match answer {
            Answer::Head { promised, bytes } => Ok(Head { promised, bytes }),
            Answer::NoHead => Err(Failure::NoHead),
            Answer::Refusal => {
                let text = format!("refused call {index}");
                // ROUTE-7: there is no body, whatever has come.
                self.waiting.clear();
                self.end_with(End::Remote(text.clone()));
                Err(Failure::Refused(text))
            }
        });
    }

    fn receive_piece(&mut self) -> Seen {
        if let Some(piece) = self.waiting.pop_front() {
            self.received += piece.len() as u64;
            if self.promised.is_none_or(|promised| self.received <= promised) {
                return Seen::Chunk(piece);
            }
            self.end = Some(End::Whole);
        }
        let Some(end) = &mut self.end else { return Seen::Nothing };
        // STREAM-26
        if let Some(promised) = self.promised
            && *end == End::Whole
            && promised != self.received
        {
            *end = End::WrongLength { promised, received: self.received };
        }
        let end = end.clone();
        self.release();
        Seen::End(end)
    }

    /// The client keeps nothing for this call any more, except that its consumer may hold the end.
    fn release(&mut self) {
        self.held = false;
        self.waiting.clear();
    }

    fn bytes(&self) -> usize {
        self.waiting.iter().map(|piece| charge(piece)).sum()
    }
}

/// What a frame that waits is charged.
fn charge(data: &[u8]) -> usize {
    data.len().max(LEAST_CHARGE_BYTES)
}
