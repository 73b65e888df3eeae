//! The engine: what a batch says of each record, what becomes of these, and what is emitted of
//! them. `resolver.engine.ReferenceEngine` is the same in Python, method by method, and the port
//! `Engine` beside it says what each method promises.
//!
//! The pipeline knows records by numbers, which are places in `deltas`. Everything here is of one
//! batch, but for what `Reading`, `Makers`, `Outside` and the targets hold of Python.

use crate::arena::{Arena, Name, Span, NONE};
use crate::pack::Reader;
use crate::profiles::{Revision, Shown};
use crate::reading::{Event, Outcome, Position, Reading, Warned};
use crate::records::{
    add_point, is_claimed, keeps_owners, Changes, Claim, Contribution, Device, Layer, Person,
    Point, Record, Share, Statement, BUCKET_US,
};
use crate::state::{State, Unreadable};
use crate::targets::{no_state, resolver_error, restrictions_of, Makers, Seen, Stable, Target};
use crate::times::{END_US, FIRST_US};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySet, PyString};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

const VERSION_HEADER: &str = "resolver.version";
const TOMBSTONE: &str = "tombstone";
const ANOTHER_TYPE: &str = "another_type";
/// No number of a delta.
const NO_DELTA: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Device,
    Person,
}

/// What a batch says about one record, and what the store has under its key.
struct Delta {
    key: Name,
    kind: Kind,
    /// The key as Python has it: what the store is asked for, and what messages lie under.
    object: Py<PyString>,
    caused_by: Span,
    statements: Vec<Statement>,
    points: Vec<Point>,
    linked: Vec<Name>,
    sources: Vec<(Name, Contribution)>,
    claim: Option<Claim>,
    /// Whether the store was asked: `stored` means something then, and None that nothing is there.
    looked_up: bool,
    stored: Option<State>,
}

/// What should now be under a key of one destination; without `shows` nothing, a tombstone.
struct Output {
    target: usize,
    shows: Option<(Stable, Arc<Seen>)>,
}

/// A record's next state with what its swap entails.
struct Joined {
    delta: usize,
    before: Option<State>,
    settled: bool,
    state: State,
    raw: Py<PyBytes>,
    outputs: Vec<Output>,
    deliveries: Vec<(Name, Contribution)>,
}

/// Which version of a record was emitted last, and to which destinations.
struct Emitted {
    delta: usize,
    version: i64,
    targets: Vec<usize>,
}

/// What is news of a profile to who saw the same before.
struct Compared {
    view: Vec<bool>,
    seen: Arc<Seen>,
    merged: Vec<Name>,
    changed: Vec<Name>,
    removed: Vec<Name>,
}

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
    deltas: Vec<Delta>,
    /// The delta of each identifier, by its name; `NO_DELTA` of a text that has none.
    by_name: Vec<u32>,
    devices: Vec<usize>,
    leads: Vec<usize>,
    users: Vec<usize>,
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
        let events = py.import("resolver.core.events")?.getattr("Warned")?;
        let batches = py.import("resolver.batch")?;
        let targets: Vec<Target> = targets
            .try_iter()?
            .map(|one| Target::new(&one?))
            .collect::<PyResult<_>>()?;
        let topics = PySet::empty(py)?;
        for one in general_topics.try_iter()? {
            topics.add(one?)?;
        }
        Ok(Engine {
            arena: Arena::new(),
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
            deltas: Vec::new(),
            by_name: Vec::new(),
            devices: Vec::new(),
            leads: Vec::new(),
            users: Vec::new(),
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
            match self.read(
                py,
                &message,
                value.cast::<PyBytes>()?.as_bytes(),
                &mut warned,
            )? {
                Outcome::Event(event) => {
                    joined += 1;
                    self.add(py, event);
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
                        let event = self.brought(py, &read)?;
                        self.add(py, event);
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
        self.devices.clone()
    }

    fn leads(&self) -> Vec<usize> {
        self.leads.clone()
    }

    fn users(&self) -> Vec<usize> {
        self.users.clone()
    }

    /// The keys that must be loaded.
    fn wanted<'py>(&self, py: Python<'py>, chunk: Vec<usize>) -> PyResult<Bound<'py, PyList>> {
        let wanted = chunk
            .iter()
            .map(|&one| &self.deltas[one])
            .filter(|one| !one.looked_up);
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
        let tag = Tag {
            incarnation,
            sequence: tag.getattr("sequence")?.extract()?,
            now_ms,
        };
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
    fn watched<'py>(&self, py: Python<'py>) -> (Vec<&Py<PyString>>, Vec<i64>) {
        let _ = py;
        let keys = self
            .emitted
            .iter()
            .map(|one| &self.deltas[one.delta].object);
        (
            keys.collect(),
            self.emitted.iter().map(|one| one.version).collect(),
        )
    }

    /// Produces the newest states of records that were emitted and have moved since.
    fn emit_again(&mut self, py: Python, moved: Vec<usize>, stored: &Bound<PyAny>) -> PyResult<()> {
        for (place, current) in moved.into_iter().zip(stored.try_iter()?) {
            let current = current?;
            let delta = self.emitted[place].delta;
            let key = self.deltas[delta].key;
            let Some(state) = self.decoded(py, key, &current)? else {
                return Err(unavailable(
                    py,
                    "a record that was just written is not in the store",
                ));
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
                        let news = News {
                            merged,
                            changed: None,
                            removed: None,
                        };
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

    /// Counts in the account what was emitted, and what was passed over.
    fn count_outputs(&mut self, batch: &Bound<PyAny>) -> PyResult<()> {
        let py = batch.py();
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

/// The transaction under way, and the time.
struct Tag {
    incarnation: Name,
    sequence: i64,
    now_ms: i64,
}

/// What a message says of its change; None where that is unknown.
struct News {
    merged: Vec<Name>,
    changed: Option<Vec<Name>>,
    removed: Option<Vec<Name>>,
}

impl Engine {
    /// Forgets the last batch. The arena goes first: targets take their numbers from the empty one.
    fn begin(&mut self) {
        self.arena.clear();
        self.deltas.clear();
        self.by_name.clear();
        self.devices.clear();
        self.leads.clear();
        self.users.clear();
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
        batch
            .getattr("warned")?
            .call_method1("update", (warnings,))?;
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
            timestamp_us: timestamp_ms
                .saturating_mul(1_000)
                .clamp(FIRST_US, END_US - 1),
        };
        self.reading
            .read(py, &mut self.arena, &position, value, warned)
    }

    /// An event that the general reader has read.
    fn brought(&mut self, py: Python, event: &Bound<PyAny>) -> PyResult<Event> {
        let arena = &mut self.arena;
        let mut name = |holder: &Bound<PyAny>, attribute: &str| -> PyResult<Name> {
            let text = holder.getattr(attribute)?.cast_into::<PyString>()?;
            Ok(arena.name(text.to_str()?.as_bytes()))
        };
        let (anon, identity) = (name(event, "anon")?, name(event, "identity")?);
        let claim = name(event, "claim")?;
        let statement = event.getattr("statement")?;
        let restriction = name(&statement, "restriction")?;
        let message_id = event.getattr("message_id")?.cast_into::<PyString>()?;
        let message_id = self.arena.add(message_id.to_str()?.as_bytes());
        let stamp = statement.getattr("stamp")?.cast_into::<PyBytes>()?;
        let eff = crate::records::eff_of(stamp.as_bytes()).ok_or_else(|| no_state(py))?;
        let stamp = self.arena.add(stamp.as_bytes());
        let mut pairs = |attribute: &str| -> PyResult<_> {
            let packed = self
                .outside
                .pack
                .bind(py)
                .call1((statement.getattr(attribute)?,))?;
            let whole = self.arena.add(packed.cast::<PyBytes>()?.as_bytes());
            let raw = self.arena.get(whole).to_vec();
            let read = self.arena.read_pairs(whole, &mut Reader::new(&raw));
            read.map_err(|_| no_state(py))
        };
        let (traits, marks) = (pairs("traits")?, pairs("marks")?);
        let statement = Statement {
            eff,
            stamp,
            restriction,
            traits,
            marks,
        };
        Ok(Event {
            anon,
            identity,
            claim,
            message_id,
            statement,
        })
    }

    /// Joins one event into the deltas of the records it concerns.
    fn add(&mut self, py: Python, event: Event) {
        let statement = event.statement;
        if event.identity == NONE {
            let device = self.delta(py, event.anon, Kind::Device);
            device.statements.push(statement);
            device.caused_by = event.message_id;
            return;
        }
        let person = self.delta(py, event.identity, Kind::Person);
        person.statements.push(statement);
        person.caused_by = event.message_id;
        if event.anon != NONE {
            let device = self.delta(py, event.anon, Kind::Device);
            let bucket = statement.eff.div_euclid(BUCKET_US);
            let point = Point {
                bucket,
                who: event.identity,
                eff: statement.eff,
            };
            add_point(&mut device.points, point);
            if event.claim != NONE && !device.linked.contains(&event.claim) {
                device.linked.push(event.claim);
            }
        }
        if event.claim != NONE {
            let claim = (statement.stamp, event.identity);
            let known = self.delta(py, event.claim, Kind::Person).claim;
            let earlier = |known| self.arena.claim_order(claim, known) == Ordering::Less;
            if known.is_none_or(earlier) {
                self.delta(py, event.claim, Kind::Person).claim = Some(claim);
            }
        }
    }

    /// The delta of a record, made when first asked for.
    fn delta(&mut self, py: Python, key: Name, kind: Kind) -> &mut Delta {
        if self.by_name.len() <= key as usize {
            self.by_name
                .resize(self.arena.names().max(key as usize + 1), NO_DELTA);
        }
        let known = self.by_name[key as usize];
        if known != NO_DELTA {
            return &mut self.deltas[known as usize];
        }
        let number = self.deltas.len();
        self.by_name[key as usize] = number as u32;
        let text = self.arena.text(key);
        match (kind, text.first()) {
            (Kind::Device, _) => self.devices.push(number),
            (Kind::Person, Some(b'u')) => self.users.push(number),
            (Kind::Person, _) => self.leads.push(number),
        }
        let nothing = self.arena.part(self.arena.nil, 0, 0);
        self.deltas.push(Delta {
            key,
            kind,
            object: PyString::new(py, &String::from_utf8_lossy(text)).unbind(),
            caused_by: nothing,
            statements: Vec::new(),
            points: Vec::new(),
            linked: Vec::new(),
            sources: Vec::new(),
            claim: None,
            looked_up: false,
            stored: None,
        });
        &mut self.deltas[number]
    }

    /// What the batch says of a record, as a record.
    fn said(&mut self, delta: usize) -> Record {
        let statements = self.deltas[delta].statements.clone();
        if self.deltas[delta].kind == Kind::Device {
            let statements = self.arena.in_order(statements);
            let mut points = self.deltas[delta].points.clone();
            self.arena.sort_points(&mut points);
            let linked = self.deltas[delta].linked.clone();
            return Record::Device(Device {
                statements,
                points,
                linked,
            });
        }
        let own = if statements.is_empty() {
            Layer::default()
        } else {
            self.arena.layer_of(statements)
        };
        let delta = &self.deltas[delta];
        Record::Person(Person {
            own,
            sources: delta.sources.clone(),
            claim: delta.claim,
        })
    }

    /// What the store has under a key; None: nothing.
    fn decoded(&mut self, py: Python, key: Name, stored: &Bound<PyAny>) -> PyResult<Option<State>> {
        let version: i64 = stored.getattr(intern!(py, "version"))?.extract()?;
        if version == 0 {
            return Ok(None);
        }
        let raw = stored
            .getattr(intern!(py, "state"))?
            .cast_into::<PyBytes>()?;
        match self.arena.decode(key, version, raw.as_bytes()) {
            Ok(state) => Ok(Some(state)),
            Err(Unreadable::NoState) => Err(no_state(py)),
            Err(Unreadable::Schema(found)) => Err(resolver_error(
                py,
                &format!(
                    "a stored state has schema {found}; this release reads {}",
                    crate::state::STATE_SCHEMA
                ),
            )),
        }
    }

    /// The next state; None if nothing changes and all outputs are known to be committed. Takes the
    /// stored state out of the delta: if the swap is lost, its reply puts what is there instead.
    fn join(
        &mut self,
        py: Python,
        delta: usize,
        settled: bool,
        tag: &Tag,
    ) -> PyResult<Option<Joined>> {
        let said = self.said(delta);
        let before = self.deltas[delta].stored.take();
        let key = self.deltas[delta].key;
        let (record, changes) = self.join_records(before.as_ref(), &said);
        if settled && !changes.any() && before.is_some() {
            return Ok(None);
        }
        let version = before
            .as_ref()
            .map_or(tag.now_ms, |old| (old.version + 1).max(tag.now_ms));
        let keeps = match (before.as_ref().map(|old| &old.record), &record) {
            (Some(Record::Device(before)), Record::Device(after)) => {
                keeps_owners(before, after, changes)
            }
            _ => false,
        };
        let mut shares = Vec::new();
        let mut outbox = Vec::new();
        if !settled || !keeps {
            shares = self.arena.shares_of(&record, key);
            outbox = self.outbox(key, before.as_ref(), &shares, settled);
        }
        let deliveries = outbox
            .iter()
            .map(|&receiver| (receiver, share_of(&shares, receiver, version)));
        let deliveries = deliveries.collect();
        let (incarnation, sequence) = (tag.incarnation, tag.sequence);
        let state = State {
            record,
            incarnation,
            sequence,
            outbox,
            shown: Vec::new(),
            version,
        };
        let raw = PyBytes::new(py, b"").unbind();
        let outputs = Vec::new();
        let mut joined = Joined {
            delta,
            before,
            settled,
            state,
            raw,
            outputs,
            deliveries,
        };
        self.show(py, key, &mut joined)?;
        let mut raw = Vec::with_capacity(512);
        self.arena.encode(&joined.state, &mut raw);
        joined.raw = PyBytes::new(py, &raw).unbind();
        Ok(Some(joined))
    }

    /// The join of what is stored with what is said, and what it changed. Of a person every part
    /// counts as changed or none: only devices are asked for more.
    fn join_records(&mut self, before: Option<&State>, said: &Record) -> (Record, Changes) {
        let everything = Changes {
            statements: true,
            points: true,
            linked: true,
        };
        match (before.map(|old| &old.record), said) {
            (Some(Record::Device(old)), Record::Device(new)) => {
                let (joined, changes) = self.arena.join_devices(old, new);
                (Record::Device(joined), changes)
            }
            (_, Record::Device(new)) => {
                let (joined, changes) = self.arena.join_devices(&Device::default(), new);
                (Record::Device(joined), changes)
            }
            (Some(Record::Person(old)), Record::Person(new)) => {
                match self.arena.join_people(old, new) {
                    Some(joined) => (Record::Person(joined), everything),
                    None => (Record::Person(old.clone()), Changes::default()),
                }
            }
            (_, Record::Person(new)) => {
                let joined = self.arena.join_people(&Person::default(), new);
                (Record::Person(joined.unwrap_or_default()), everything)
            }
        }
    }

    /// Whose contribution changed, with what is still under way from before.
    fn outbox(
        &mut self,
        key: Name,
        old: Option<&State>,
        shares: &[Share],
        settled: bool,
    ) -> Vec<Name> {
        let is_user = self.arena.text(key).starts_with(b"user:");
        if shares.is_empty() && (old.is_none() || is_user) {
            return Vec::new();
        }
        let shared = match old {
            Some(old) => self.arena.shares_of(&old.record, key),
            None => Vec::new(),
        };
        let arena = &self.arena;
        let is_same = |one: &Share| {
            shared.iter().any(|other| {
                other.through == one.through
                    && arena.same_layers(&other.identified, &one.identified)
                    && arena.same_layers(&other.anonymous, &one.anonymous)
            })
        };
        let mut changed: Vec<Name> = shares
            .iter()
            .filter(|one| !is_same(one))
            .map(|one| one.through)
            .collect();
        let gone = |one: &&Share| !shares.iter().any(|now| now.through == one.through);
        changed.extend(shared.iter().filter(gone).map(|one| one.through));
        if let Some(old) = old.filter(|_| !settled) {
            changed.extend_from_slice(&old.outbox);
        }
        changed.sort_by(|one, other| arena.text(*one).cmp(arena.text(*other)));
        changed.dedup();
        changed
    }

    /// Sets what must be emitted, and the digest of what each destination is shown.
    fn show(&mut self, py: Python, key: Name, joined: &mut Joined) -> PyResult<()> {
        let before: &[(Name, Span)] = joined.before.as_ref().map_or(&[], |old| &old.shown);
        let is_hidden = match &joined.state.record {
            Record::Device(device) => is_claimed(device),
            Record::Person(lead) => {
                lead.claim.is_some() && self.arena.text(key).starts_with(b"email:")
            }
        };
        let outputs = if !is_hidden {
            self.project_all(py, key, &joined.state.record)?
        } else if before.is_empty() {
            Vec::new()
        } else {
            (0..self.targets.len())
                .map(|target| Output {
                    target,
                    shows: None,
                })
                .collect()
        };
        for output in outputs {
            let target = &self.targets[output.target];
            let known = before
                .iter()
                .find(|one| one.0 == target.number)
                .map(|one| one.1);
            let digest = match (&output.shows, known) {
                (Some((stable, seen)), _) => {
                    let digest = target.digest(py, &self.arena, stable, seen);
                    self.arena.add(&digest)
                }
                (None, Some(_)) => self.arena.part(self.arena.nil, 0, 0),
                (None, None) => continue,
            };
            joined.state.shown.push((target.number, digest));
            let is_known =
                known.is_some_and(|known| self.arena.get(known) == self.arena.get(digest));
            if !joined.settled || !is_known {
                joined.outputs.push(output);
            }
        }
        Ok(())
    }

    /// What every destination should have under the key; folds once per distinct view.
    fn project_all(&mut self, py: Python, key: Name, record: &Record) -> PyResult<Vec<Output>> {
        let restrictions = restrictions_of(record);
        let mut views: Vec<(Vec<bool>, Option<Arc<Seen>>)> = Vec::new();
        let mut outputs = Vec::with_capacity(self.targets.len());
        for number in 0..self.targets.len() {
            let view = self.view(py, number, &restrictions)?;
            let known = views
                .iter()
                .find(|one| one.0 == view)
                .map(|one| one.1.clone());
            let seen = match known {
                Some(seen) => seen,
                None => {
                    let sights = &self.targets[number].sights;
                    let profile = self.arena.project(record, key, sights);
                    let seen = profile.map(|profile| Arc::new(Seen::new(profile)));
                    views.push((view, seen.clone()));
                    seen
                }
            };
            let shows = match seen {
                None => None,
                Some(seen) => {
                    let target = &self.targets[number];
                    let stable = target.stable(py, &self.arena, &self.makers, &seen)?;
                    stable.map(|stable| (stable, seen))
                }
            };
            outputs.push(Output {
                target: number,
                shows,
            });
        }
        Ok(outputs)
    }

    /// Which of the restrictions a destination may see.
    fn view(&mut self, py: Python, target: usize, restrictions: &[Name]) -> PyResult<Vec<bool>> {
        use crate::profiles::Sight;
        let target = &mut self.targets[target];
        target.look(py, &self.arena, restrictions)?;
        Ok(restrictions
            .iter()
            .map(|&one| target.sights.may_see(one))
            .collect())
    }

    /// What follows from a durable swap: emitted, and delivered to the next rounds.
    fn swapped(&mut self, py: Python, mut joined: Joined) -> PyResult<()> {
        let deliveries = std::mem::take(&mut joined.deliveries);
        self.emit(py, &joined)?;
        let (source, caused_by) = {
            let delta = &self.deltas[joined.delta];
            (delta.key, delta.caused_by)
        };
        for (receiver, contribution) in deliveries {
            let person = self.delta(py, receiver, Kind::Person);
            match person.sources.iter_mut().find(|known| known.0 == source) {
                Some(known) => known.1 = contribution,
                None => person.sources.push((source, contribution)),
            }
            let person = person.caused_by;
            if self.arena.get(person).is_empty() {
                self.delta(py, receiver, Kind::Person).caused_by = caused_by;
            }
        }
        Ok(())
    }

    /// Produces a swapped record's outputs and its changelog entry; tombstones wait.
    fn emit(&mut self, py: Python, joined: &Joined) -> PyResult<()> {
        let version = joined.state.version;
        let caused_by = self.deltas[joined.delta].caused_by;
        let caused_by = self.arena.get(caused_by).to_vec();
        let mut compared: Vec<Compared> = Vec::new();
        for output in &joined.outputs {
            let Some((_, seen)) = &output.shows else {
                self.waiting.push((output.target, joined.delta, version));
                continue;
            };
            let news = self.news(py, joined, output.target, seen, &mut compared)?;
            self.produce(py, joined.delta, output, version, &news, &caused_by)?;
        }
        self.log(py, joined.delta, joined.raw.bind(py))?;
        if joined.outputs.len() < joined.state.shown.len() {
            for &(name, _) in &joined.state.shown {
                let is_due = |one: &Output| self.targets[one.target].number == name;
                if !joined.outputs.iter().any(is_due) {
                    *self.suppressed.entry(name).or_default() += 1;
                }
            }
        }
        let targets = joined.outputs.iter().map(|one| one.target).collect();
        self.emitted.push(Emitted {
            delta: joined.delta,
            version,
            targets,
        });
        Ok(())
    }

    /// What changed for a destination: everything where it had nothing before, unknown where the
    /// last state was in doubt.
    fn news(
        &mut self,
        py: Python,
        joined: &Joined,
        target: usize,
        seen: &Arc<Seen>,
        compared: &mut Vec<Compared>,
    ) -> PyResult<News> {
        let merged = seen.profile.merged.clone();
        if !joined.settled {
            return Ok(News {
                merged,
                changed: None,
                removed: None,
            });
        }
        let number = self.targets[target].number;
        let had = |old: &State| {
            old.shown
                .iter()
                .any(|one| one.0 == number && !self.arena.get(one.1).is_empty())
        };
        let Some(before) = joined.before.as_ref().filter(|old| had(old)) else {
            let changed = seen.profile.traits.iter().map(|one| one.name).collect();
            return Ok(News {
                merged,
                changed: Some(changed),
                removed: Some(Vec::new()),
            });
        };
        let view = self.view(py, target, &restrictions_of(&before.record))?;
        let known = compared
            .iter()
            .position(|one| one.view == view && Arc::ptr_eq(&one.seen, seen));
        let at = match known {
            Some(at) => at,
            None => {
                let key = self.deltas[joined.delta].key;
                let sights = &self.targets[target].sights;
                let old = self.arena.shown(&before.record, key, sights);
                let one = self.compare(view, old, seen);
                compared.push(one);
                compared.len() - 1
            }
        };
        let one = &compared[at];
        let (changed, removed) = (one.changed.clone(), one.removed.clone());
        Ok(News {
            merged: one.merged.clone(),
            changed: Some(changed),
            removed: Some(removed),
        })
    }

    /// What a profile shows one view that the old state did not; everything where that showed none.
    fn compare(&mut self, view: Vec<bool>, old: Option<Shown>, seen: &Arc<Seen>) -> Compared {
        let profile = &seen.profile;
        let seen = seen.clone();
        let Some(old) = old else {
            let changed = profile.traits.iter().map(|one| one.name).collect();
            let merged = profile.merged.clone();
            return Compared {
                view,
                seen,
                merged,
                changed,
                removed: Vec::new(),
            };
        };
        let (changed, removed) = self.arena.compared(&old, profile);
        let is_new = |one: &&Name| !old.merged.contains(one);
        let merged = profile.merged.iter().filter(is_new).copied().collect();
        Compared {
            view,
            seen,
            merged,
            changed,
            removed,
        }
    }

    /// Produces a profile's message, behind its alias events where the destination gets them.
    fn produce(
        &mut self,
        py: Python,
        delta: usize,
        output: &Output,
        version: i64,
        news: &News,
        caused_by: &[u8],
    ) -> PyResult<()> {
        let Some((stable, seen)) = &output.shows else {
            return Ok(());
        };
        self.sent[output.target] += 1;
        let target = &self.targets[output.target];
        let key = &self.deltas[delta].object;
        let said = Revision {
            version,
            merged: &news.merged,
            changed: news.changed.as_deref(),
            removed: news.removed.as_deref(),
            caused_by,
        };
        if target.announces && !news.merged.is_empty() {
            for event in target.aliases(py, &self.arena, &self.makers, seen, &said)? {
                self.sent[output.target] += 1;
                self.outside
                    .produce
                    .bind(py)
                    .call1((&target.topic, key, event))?;
            }
        }
        let message = target.message(py, &self.arena, &self.makers, (stable, seen), &said)?;
        self.outside
            .produce
            .bind(py)
            .call1((&target.topic, key, message))?;
        Ok(())
    }

    fn produce_tombstone(
        &mut self,
        py: Python,
        target: usize,
        delta: usize,
        version: i64,
    ) -> PyResult<()> {
        self.sent[target] += 1;
        let topic = &self.targets[target].topic;
        let key = &self.deltas[delta].object;
        let said = PyBytes::new(py, version.to_string().as_bytes());
        let headers = PyList::new(py, [(VERSION_HEADER, said)])?;
        self.outside
            .produce
            .bind(py)
            .call1((topic, key, py.None(), headers))?;
        Ok(())
    }

    /// Produces the state to the changelog, where there is one.
    fn log(&self, py: Python, delta: usize, raw: &Bound<PyBytes>) -> PyResult<()> {
        if let Some(topic) = &self.changelog {
            let key = &self.deltas[delta].object;
            self.outside.produce.bind(py).call1((topic, key, raw))?;
        }
        Ok(())
    }
}

/// What a receiver is delivered: its share, or nothing where it lost the one it had.
fn share_of(shares: &[Share], receiver: Name, version: i64) -> Contribution {
    match shares.iter().find(|one| one.through == receiver) {
        Some(one) => Contribution {
            version,
            identified: one.identified.clone(),
            anonymous: one.anonymous.clone(),
        },
        None => Contribution {
            version,
            identified: Layer::default(),
            anonymous: Layer::default(),
        },
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
    let made = py
        .import("resolver.errors")
        .and_then(|errors| errors.getattr("Unavailable"))
        .and_then(|kind| kind.call1((sentence,)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
