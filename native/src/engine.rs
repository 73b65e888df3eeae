//! The engine: what a batch says of each record, what becomes of these, and what is emitted of
//! them. `resolver.engine.ReferenceEngine` is the same in Python, method by method, and the port
//! `Engine` beside it says what each method promises.
//!
//! The pipeline knows records by numbers, which are places in `deltas`. Everything here is of one
//! batch, but for what `Reading`, `Makers`, `Outside` and the targets hold of Python.

mod emission;
mod joining;

use self::emission::{Emitted, News};
use self::joining::{Joined, Tag};
use crate::arena::{Arena, Name};
use crate::batch::{brought, Deltas};
use crate::memory;
use crate::phrases::Phrases;
use crate::reading::{Outcome, Position, Reading, Received, Warned};
use crate::state::{State, Unreadable, Words};
use crate::targets::{error_of, no_state, resolver_error, Makers, Target};
use crate::times::{END_US, FIRST_US};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySet, PyString};
use std::collections::HashMap;

const TOMBSTONE: &str = "tombstone";
const ANOTHER_TYPE: &str = "another_type";

/// Python's objects that the engine calls.
struct Outside {
    decoder: Py<PyAny>,
    reading: Py<PyAny>,
    read_message: Py<PyAny>,
    batch: Py<PyAny>,
    swap: Py<PyAny>,
    trait_type: Py<PyAny>,
    clock_ahead: Py<PyAny>,
    pack: Py<PyAny>,
    produce: Py<PyAny>,
}

/// `resolver.edges._native.Engine`.
#[pyclass(module = "resolver.edges._native")]
pub struct Engine {
    arena: Arena,
    reading: Reading,
    targets: Vec<Target>,
    makers: Makers,
    outside: Outside,
    changelog: Option<Py<PyString>>,
    general_topics: Py<PySet>,
    words: Words,
    deltas: Deltas,
    /// What was joined and waits for its swaps' replies, by the place of its chunk.
    attempts: HashMap<usize, Vec<Joined>>,
    emitted: Vec<Emitted>,
    /// Tombstones: target, delta and version.
    waiting: Vec<(usize, usize, i64)>,
    /// Messages by target.
    sent: Vec<usize>,
    /// What destinations have already, by their names: also of those that are no targets any more.
    suppressed: HashMap<Name, usize>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, decoder, reading, sink, targets, changelog_topic, general_topics))]
    fn new(
        py: Python,
        decoder: Py<PyAny>,
        reading: &Bound<PyAny>,
        sink: &Bound<PyAny>,
        targets: &Bound<PyAny>,
        changelog_topic: Option<Py<PyString>>,
        general_topics: &Bound<PyAny>,
    ) -> PyResult<Engine> {
        memory::keep();
        let events = py.import("resolver.core.events")?.getattr("Warned")?;
        let batches = py.import("resolver.batch")?;
        let targets: Vec<Target> =
            targets.try_iter()?.map(|one| Target::new(&one?)).collect::<PyResult<_>>()?;
        let topics = PySet::empty(py)?;
        for one in general_topics.try_iter()? {
            topics.add(one?)?;
        }
        Ok(Engine {
            arena: Arena::new(Phrases::known(py)?),
            reading: Reading::new(py, reading)?,
            makers: Makers::new(py)?,
            outside: Outside {
                decoder,
                reading: reading.clone().unbind(),
                read_message: batches.getattr("read_message")?.unbind(),
                batch: batches.getattr("Batch")?.unbind(),
                swap: py.import("resolver.ports")?.getattr("Swap")?.unbind(),
                trait_type: events.getattr("TRAIT_TYPE")?.unbind(),
                clock_ahead: events.getattr("CLOCK_AHEAD")?.unbind(),
                pack: py.import("msgspec.msgpack")?.getattr("encode")?.unbind(),
                produce: sink.getattr("produce")?.unbind(),
            },
            changelog: changelog_topic,
            general_topics: topics.unbind(),
            words: Words::new(py)?,
            deltas: Deltas::default(),
            attempts: HashMap::new(),
            emitted: Vec::new(),
            waiting: Vec::new(),
            sent: vec![0; targets.len()],
            suppressed: HashMap::new(),
            targets,
        })
    }

    /// Begins a batch: reads its messages and folds them to a delta a record. Returns the account.
    fn fold<'py>(
        &mut self,
        py: Python<'py>,
        messages: &Bound<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin();
        let batch = self.outside.batch.bind(py).call0()?;
        let warnings = PyList::empty(py);
        let (mut joined, mut skipped, mut tombstones) = (0_usize, 0_usize, 0_usize);
        let mut warned = Warned::default();
        for message in messages.try_iter()? {
            let message = message?;
            let value = message.getattr(intern!(py, "value"))?;
            if value.is_none() {
                tombstones += 1;
                continue;
            }
            match self.read(py, &message, value.cast::<PyBytes>()?.as_bytes(), &mut warned)? {
                Outcome::Event(event) => {
                    joined += 1;
                    self.deltas.add(py, &self.arena, event);
                }
                Outcome::AnotherType => skipped += 1,
                Outcome::Odd => {
                    let read = self.outside.read_message.bind(py).call1((
                        &message,
                        &self.outside.decoder,
                        &self.outside.reading,
                        &batch,
                        &warnings,
                    ))?;
                    if !read.is_none() {
                        joined += 1;
                        let event = brought(&mut self.arena, self.outside.pack.bind(py), &read)?;
                        self.deltas.add(py, &self.arena, event);
                    }
                }
            }
        }
        self.account(
            &batch,
            &warnings,
            joined,
            [(ANOTHER_TYPE, skipped), (TOMBSTONE, tombstones)],
        )?;
        let counts = [
            (&self.outside.trait_type, warned.trait_type),
            (&self.outside.clock_ahead, warned.clock_ahead),
        ];
        for (warning, count) in counts {
            count_in(&batch.getattr("warned")?, warning.bind(py), count)?;
        }
        Ok(batch)
    }

    fn devices(&self) -> Vec<usize> {
        self.deltas.devices.clone()
    }

    fn leads(&self) -> Vec<usize> {
        self.deltas.leads.clone()
    }

    fn users(&self) -> Vec<usize> {
        self.deltas.users.clone()
    }

    /// The keys that must be loaded.
    fn wanted<'py>(&self, py: Python<'py>, chunk: Vec<usize>) -> PyResult<Bound<'py, PyList>> {
        let wanted = chunk.iter().map(|&one| &self.deltas[one]).filter(|one| !one.looked_up);
        let keys: Vec<&Py<PyString>> = wanted.map(|one| &one.object).collect();
        PyList::new(py, keys)
    }

    /// Hands loaded states to those that wanted them, in the same order.
    fn found(&mut self, py: Python, chunk: Vec<usize>, stored: &Bound<PyAny>) -> PyResult<()> {
        let mut loaded = stored.try_iter()?;
        for one in chunk {
            if self.deltas[one].looked_up {
                continue;
            }
            let state = match loaded.next() {
                Some(stored) => self.decoded(py, self.deltas[one].key, &stored?)?,
                None => None,
            };
            self.deltas[one].stored = state;
            self.deltas[one].looked_up = true;
        }
        Ok(())
    }

    /// The incarnations that would leave a record in doubt.
    fn doubtful(&self, chunk: Vec<usize>, commits: &Bound<PyDict>) -> PyResult<Vec<String>> {
        let mut doubtful: Vec<String> = Vec::new();
        let mut known: Vec<(Name, i64)> = Vec::new();
        for one in chunk {
            let Some(state) = &self.deltas[one].stored else {
                continue;
            };
            if committed(&self.arena, &mut known, commits, state.incarnation)? < state.sequence {
                let text = String::from_utf8_lossy(self.arena.text(state.incarnation));
                if !doubtful.iter().any(|one| *one == text) {
                    doubtful.push(text.into_owned());
                }
            }
        }
        doubtful.sort();
        Ok(doubtful)
    }

    /// Joins a chunk; what stays as it is and is settled drops out.
    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        place: usize,
        chunk: Vec<usize>,
        tag: &Bound<PyAny>,
        now_ms: i64,
        commits: &Bound<PyDict>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let incarnation = tag.getattr("incarnation")?.cast_into::<PyString>()?;
        let incarnation = self.arena.name(incarnation.to_str()?.as_bytes());
        let tag = Tag { incarnation, sequence: tag.getattr("sequence")?.extract()?, now_ms };
        let mut known: Vec<(Name, i64)> = Vec::new();
        let mut attempts = Vec::new();
        let mut swaps = Vec::new();
        for delta in chunk {
            let settled = match &self.deltas[delta].stored {
                None => true,
                Some(state) => {
                    committed(&self.arena, &mut known, commits, state.incarnation)?
                        >= state.sequence
                }
            };
            let Some(joined) = self.join(py, delta, settled, &tag)? else {
                continue;
            };
            let expected = joined.before.as_ref().map_or(0, |before| before.version);
            let key = &self.deltas[delta].object;
            let swap = (key, expected, joined.state.version, &joined.raw);
            swaps.push(self.outside.swap.bind(py).call1(swap)?);
            attempts.push(joined);
        }
        self.attempts.insert(place, attempts);
        Ok(swaps)
    }

    /// Emits and delivers what was swapped; returns what lost its swap, with what is there instead.
    fn replied(
        &mut self,
        py: Python,
        place: usize,
        replies: &Bound<PyAny>,
    ) -> PyResult<Vec<usize>> {
        let attempts = self.attempts.remove(&place).unwrap_or_default();
        let mut lost = Vec::new();
        let mut replies = replies.try_iter()?;
        for joined in attempts {
            let delta = joined.delta;
            match replies.next() {
                Some(reply) => {
                    let reply = reply?;
                    if reply.is_none() {
                        self.swapped(py, joined)?;
                    } else {
                        let state = self.decoded(py, self.deltas[delta].key, &reply)?;
                        self.deltas[delta].stored = state;
                        lost.push(delta);
                    }
                }
                None => return Err(resolver_error(py, "the store left a swap unanswered")),
            }
        }
        Ok(lost)
    }

    /// Produces the tombstones: after the profiles that those people became part of.
    fn take_back(&mut self, py: Python) -> PyResult<()> {
        for (target, delta, version) in std::mem::take(&mut self.waiting) {
            self.produce_tombstone(py, target, delta, version)?;
        }
        Ok(())
    }

    /// The keys that were emitted, and the versions of them.
    fn watched(&self) -> (Vec<&Py<PyString>>, Vec<i64>) {
        let keys = self.emitted.iter().map(|one| &self.deltas[one.delta].object);
        (keys.collect(), self.emitted.iter().map(|one| one.version).collect())
    }

    /// Produces the newest states of records that were emitted and have moved since.
    fn emit_again(&mut self, py: Python, moved: Vec<usize>, stored: &Bound<PyAny>) -> PyResult<()> {
        for (place, current) in moved.into_iter().zip(stored.try_iter()?) {
            let current = current?;
            let delta = self.emitted[place].delta;
            let key = self.deltas[delta].key;
            let Some(state) = self.decoded(py, key, &current)? else {
                return Err(unavailable(py, "a record that was just written is not in the store"));
            };
            let outputs = self.project_all(py, key, &state.record)?;
            for output in outputs {
                if !self.emitted[place].targets.contains(&output.target) {
                    continue;
                }
                match &output.shows {
                    None => self.produce_tombstone(py, output.target, delta, state.version)?,
                    Some((_, seen)) => {
                        let merged = seen.profile.merged.clone();
                        let news = News { merged, changed: None, removed: None };
                        self.produce(py, delta, &output, state.version, &news, b"")?;
                    }
                }
            }
            let raw = current.getattr("state")?.cast_into::<PyBytes>()?;
            self.log(py, delta, &raw)?;
            self.emitted[place].version = state.version;
        }
        Ok(())
    }

    /// Counts in the account what was emitted, and what was passed over; tells forms what they left
    /// out.
    fn count_outputs(&mut self, batch: &Bound<PyAny>) -> PyResult<()> {
        let py = batch.py();
        for form in self.targets.iter_mut().filter_map(|target| target.form.as_mut()) {
            form.tell_left_out(py)?;
        }
        let emitted = batch.getattr("emitted")?;
        for (target, &sent) in self.targets.iter().zip(&self.sent) {
            count_in(&emitted, PyString::new(py, &target.name).as_any(), sent)?;
        }
        let suppressed = batch.getattr("suppressed")?;
        for (&name, &count) in &self.suppressed {
            let text = String::from_utf8_lossy(self.arena.text(name));
            count_in(&suppressed, PyString::new(py, &text).as_any(), count)?;
        }
        Ok(())
    }
}

impl Engine {
    /// Forgets the last batch. The arena goes first: targets take their numbers from the empty one.
    fn begin(&mut self) {
        self.arena.clear();
        self.deltas.clear();
        self.attempts.clear();
        self.emitted.clear();
        self.waiting.clear();
        self.suppressed.clear();
        self.sent.fill(0);
        for target in &mut self.targets {
            target.begin(&mut self.arena);
        }
    }

    /// Writes down how many messages were joined and skipped, and the general reader's warnings.
    fn account(
        &self,
        batch: &Bound<PyAny>,
        warnings: &Bound<PyList>,
        joined: usize,
        skipped: [(&str, usize); 2],
    ) -> PyResult<()> {
        let py = batch.py();
        batch.setattr("joined", joined)?;
        let known = batch.getattr("skipped")?;
        for (reason, count) in skipped {
            count_in(&known, PyString::new(py, reason).as_any(), count)?;
        }
        batch.getattr("warned")?.call_method1("update", (warnings,))?;
        Ok(())
    }

    /// What a message says; odd from the start where its topic has a decoder of its own.
    fn read(
        &mut self,
        py: Python,
        message: &Bound<PyAny>,
        value: &[u8],
        warned: &mut Warned,
    ) -> PyResult<Outcome> {
        let topic = message.getattr(intern!(py, "topic"))?;
        let general = self.general_topics.bind(py);
        if !general.is_empty() && general.contains(&topic)? {
            return Ok(Outcome::Odd);
        }
        let timestamp_ms: i64 = message.getattr(intern!(py, "timestamp_ms"))?.extract()?;
        let position = Position {
            topic: topic.cast::<PyString>()?.to_str()?.as_bytes(),
            partition: message.getattr(intern!(py, "partition"))?.extract()?,
            offset: message.getattr(intern!(py, "offset"))?.extract()?,
            received: Received::At(timestamp_ms.saturating_mul(1_000).clamp(FIRST_US, END_US - 1)),
        };
        self.reading.read(py, &mut self.arena, &position, value, warned)
    }

    /// What the store has under a key; None: nothing.
    fn decoded(
        &mut self,
        py: Python,
        key: Name,
        stored: &Bound<PyAny>,
    ) -> PyResult<Option<Box<State>>> {
        let version: i64 = stored.getattr(intern!(py, "version"))?.extract()?;
        if version == 0 {
            return Ok(None);
        }
        let raw = stored.getattr(intern!(py, "state"))?.cast_into::<PyBytes>()?;
        match self.arena.decode(key, version, raw.as_bytes(), &self.words) {
            Ok(state) => Ok(Some(Box::new(state))),
            Err(Unreadable::NoState) => Err(no_state(py)),
            Err(Unreadable::Schema(found)) => Err(resolver_error(
                py,
                &format!(
                    "a stored state has schema {found} and this release reads {}, or it is no \
                     state at all: is the key prefix shared?",
                    crate::state::STATE_SCHEMA
                ),
            )),
        }
    }
}

/// The highest sequence of an incarnation that is known to be committed; -1: none. `known` spares
/// asking for the same one again: most states of a chunk are of a few incarnations.
fn committed(
    arena: &Arena,
    known: &mut Vec<(Name, i64)>,
    commits: &Bound<PyDict>,
    incarnation: Name,
) -> PyResult<i64> {
    if let Some(one) = known.iter().find(|one| one.0 == incarnation) {
        return Ok(one.1);
    }
    let text = String::from_utf8_lossy(arena.text(incarnation));
    let sequence = match commits.get_item(text.as_ref())? {
        Some(sequence) => sequence.extract()?,
        None => -1,
    };
    known.push((incarnation, sequence));
    Ok(sequence)
}

/// Adds to a Counter, which holds no zeros.
fn count_in(counter: &Bound<PyAny>, name: &Bound<PyAny>, count: usize) -> PyResult<()> {
    if count == 0 {
        return Ok(());
    }
    let known: usize = counter.get_item(name)?.extract()?;
    counter.set_item(name, known + count)
}

/// The error after which the batch is taken again.
fn unavailable(py: Python, sentence: &str) -> PyErr {
    error_of(py, "Unavailable", sentence)
}
