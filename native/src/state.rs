//! States as the store keeps them: what `resolver.core.packing` writes and
//! `resolver.core.unpacking` reads, byte for byte. See "What is in Redis" in
//! `docs/architecture.md`.
//!
//! Decoding copies the bytes into the arena once; values are then spans of that copy, and are
//! written back as they are: contexts too, which stay as short as they lie there. Stamps, which are
//! shorter in a state, are written out.

use crate::arena::{Arena, Name, Pair, Pairs, Span, NONE, SEEN};
use crate::compact::{self, Reader, Writer, AT_ONCE, DEVICE_MARK, OTHER, SAME_TOPIC, UNRESTRICTED};
use crate::pack::{self, Malformed};
use crate::records::{
    write_stamp, Contribution, Device, Layer, Person, Point, Record, Statement, BUCKET_US,
};
use pyo3::prelude::*;

/// Version of the encoded form; `resolver.state.STATE_SCHEMA`.
pub const STATE_SCHEMA: u64 = 3;
/// Bits of the first number: the schema; whether the incarnation is six bytes; whether there is an
/// outbox; and from `SHOWN` on, how many destinations are shown something.
const SCHEMA: u64 = 0xf;
const PACKED_INCARNATION: u64 = 0x10;
const HAS_OUTBOX: u64 = 0x20;
const SHOWN: u32 = 6;
/// The mark of a device begins so; behind the first letter is the device's identifier.
const DEVICE: &[u8] = b"aanon:";
const NIL: &[u8] = &[0xc0];
/// Traits of a statement for which room is made ahead, whatever a state says of their number.
const PAIRS_USUAL: usize = 16;
/// So many addresses of a device, or more, are counted on their own.
const MANY_ADDRESSES: u64 = 3;
/// When a layer was first active: never, once with no restriction, per restriction.
const NONE_FIRST: u64 = 0;
const USUAL_FIRST: u64 = 1;
const SEVERAL_FIRST: u64 = 2;

/// A record, the tag of the transaction its outputs travel in, whose contribution is under way,
/// and what each destination is shown.
pub struct State {
    pub record: Record,
    pub incarnation: Name,
    pub sequence: i64,
    pub outbox: Vec<Name>,
    /// Per destination the digest of what this version shows there; empty: a tombstone.
    pub shown: Vec<(Name, Span)>,
    pub version: i64,
}

/// Why a state cannot be read.
pub enum Unreadable {
    Schema(u64),
    NoState,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Unreadable {
        Unreadable::NoState
    }
}

/// What has a number of its own in a state, as the Python form numbers it.
pub struct Words {
    names: Vec<String>,
    destinations: Vec<String>,
}

impl Words {
    pub fn new(py: Python) -> PyResult<Words> {
        let packing = py.import("resolver.core.packing")?;
        Ok(Words {
            names: packing.getattr("NAMES")?.extract()?,
            destinations: packing.getattr("DESTINATIONS")?.extract()?,
        })
    }
}

impl Arena {
    /// The state of a key, whose kind says which record it holds.
    pub fn decode(
        &mut self,
        key: Name,
        version: i64,
        raw: &[u8],
        words: &Words,
    ) -> Result<State, Unreadable> {
        let whole = self.add(raw);
        let mut reading = Reading { arena: self, whole, reader: Reader::new(raw), words };
        let head = reading.reader.uint()?;
        if head & SCHEMA != STATE_SCHEMA {
            return Err(Unreadable::Schema(head & SCHEMA));
        }
        let incarnation = reading.incarnation(head & PACKED_INCARNATION != 0)?;
        let sequence = i64::try_from(reading.reader.uint()?).map_err(|_| Malformed)?;
        let receivers = if head & HAS_OUTBOX == 0 { 0 } else { reading.reader.uint()? };
        let outbox = reading.identifiers(receivers)?;
        let mut shown = Vec::new();
        for _ in 0..head >> SHOWN {
            let code = reading.reader.uint()?;
            let name = reading.word(code, &words.destinations)?;
            let (start, end) = reading.reader.run()?;
            shown.push((name, reading.part(start, end)));
        }
        let record = if reading.arena.text(key).starts_with(b"anon:") {
            Record::Device(reading.device()?)
        } else {
            Record::Person(reading.person()?)
        };
        if reading.reader.at < raw.len() {
            return Err(Unreadable::NoState);
        }
        Ok(State { record, incarnation, sequence, outbox, shown, version })
    }

    /// The state as bytes.
    pub fn encode(&self, state: &State, out: &mut Vec<u8>, words: &Words) {
        let incarnation = self.text(state.incarnation);
        let head = STATE_SCHEMA
            | if state.outbox.is_empty() { 0 } else { HAS_OUTBOX }
            | (state.shown.len() as u64) << SHOWN;
        if let Some(packed) = compact::packed_incarnation(incarnation) {
            compact::uint(out, head | PACKED_INCARNATION);
            out.extend(packed);
        } else {
            compact::uint(out, head);
            compact::run(out, incarnation);
        }
        compact::uint(out, state.sequence as u64);
        let mut writing = Writing { arena: self, writer: Writer::new(out), words };
        if !state.outbox.is_empty() {
            writing.uint(state.outbox.len());
            writing.identifiers(&state.outbox);
        }
        for &(name, digest) in &state.shown {
            compact::word(writing.writer.out, self.text(name), &words.destinations);
            compact::run(writing.writer.out, self.get(digest));
        }
        match &state.record {
            Record::Device(device) => writing.device(device),
            Record::Person(person) => writing.person(person),
        }
    }
}

/// A state that is read: `whole` is the arena's copy of what `reader` reads.
struct Reading<'a> {
    arena: &'a mut Arena,
    whole: Span,
    reader: Reader<'a>,
    words: &'a Words,
}

impl Reading<'_> {
    fn part(&self, start: usize, end: usize) -> Span {
        self.arena.part(self.whole, start, end)
    }

    fn name_of(&mut self, (start, end): (usize, usize)) -> Result<Name, Malformed> {
        std::str::from_utf8(&self.reader.raw[start..end]).map_err(|_| Malformed)?;
        let part = self.part(start, end);
        Ok(self.arena.name_at(part))
    }

    fn text(&mut self) -> Result<Name, Malformed> {
        let place = self.reader.run()?;
        self.name_of(place)
    }

    fn incarnation(&mut self, is_packed: bool) -> Result<Name, Malformed> {
        if !is_packed {
            return self.text();
        }
        let (start, end) = self.reader.take(compact::INCARNATION_BYTES as u64)?;
        let raw = self.reader.raw;
        let text = self.arena.written(|out| compact::write_hexadecimal(out, &raw[start..end]));
        Ok(self.arena.name_at(text))
    }

    /// The text of a number, or what lies here.
    fn word(&mut self, code: u64, words: &[String]) -> Result<Name, Malformed> {
        if let Some(len) = code.checked_sub(OTHER) {
            let place = self.reader.take(len)?;
            return self.name_of(place);
        }
        let place = code.checked_sub(1).ok_or(Malformed)?;
        let word = words.get(place as usize).ok_or(Malformed)?;
        Ok(self.arena.name(word.as_bytes()))
    }

    fn identifiers(&mut self, count: u64) -> Result<Vec<Name>, Malformed> {
        let mut identifiers = Vec::new();
        for _ in 0..count {
            identifiers.push(self.identifier("")?);
        }
        Ok(identifiers)
    }

    /// An identifier behind some prefix.
    fn identifier(&mut self, prefix: &str) -> Result<Name, Malformed> {
        let one = self.reader.identifier()?;
        if prefix.is_empty() && one.kind.is_empty() {
            return self.name_of(one.place);
        }
        let raw = self.reader.raw;
        let value = &raw[one.place.0..one.place.1];
        if !one.is_uuid {
            std::str::from_utf8(value).map_err(|_| Malformed)?;
        }
        let text = self.arena.written(|out| {
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(one.kind);
            if one.is_uuid {
                compact::write_uuid(out, value);
            } else {
                out.extend_from_slice(value);
            }
        });
        Ok(self.arena.name_at(text))
    }

    fn device(&mut self) -> Result<Device, Malformed> {
        let head = self.reader.uint()?;
        let statements = match head & 1 {
            0 => Vec::new(),
            _ => {
                let count = self.reader.uint()?;
                self.statements(count)?
            }
        };
        let mut addresses = head >> 1 & 3;
        if addresses == MANY_ADDRESSES {
            addresses = self.reader.uint()?;
        }
        let linked = self.identifiers(addresses)?;
        let mut points = Vec::new();
        for _ in 0..head >> 3 {
            let who = self.identifier("")?;
            let eff = self.reader.instant()?;
            points.push(Point { bucket: eff.div_euclid(BUCKET_US), who, eff });
        }
        Ok(Device { statements, points, linked })
    }

    fn person(&mut self) -> Result<Person, Malformed> {
        let own = self.layer()?;
        let claim = match self.reader.uint()?.checked_sub(1) {
            None => None,
            Some(kept) if kept <= AT_ONCE + SAME_TOPIC => {
                let (_, stamp) = self.stamp(kept)?;
                Some((stamp, self.identifier("")?))
            }
            Some(_) => return Err(Malformed),
        };
        let mut sources = Vec::new();
        for _ in 0..self.reader.uint()? {
            let source = self.identifier("")?;
            let version = self.reader.sint()?;
            let identified = self.layer()?;
            let anonymous = self.layer()?;
            sources.push((source, Contribution { version, identified, anonymous }));
        }
        Ok(Person { own, sources, claim })
    }

    fn layer(&mut self) -> Result<Layer, Malformed> {
        let head = self.reader.uint()?;
        let statements = self.statements(head >> 2)?;
        if let Some(earliest) = statements.first() {
            self.reader.time = earliest.eff;
        }
        let mut first = Vec::new();
        match head & 3 {
            NONE_FIRST => {}
            USUAL_FIRST => first.push((NONE, self.reader.instant()?)),
            SEVERAL_FIRST => {
                for _ in 0..self.reader.uint()? {
                    first.push((self.text()?, self.reader.instant()?));
                }
            }
            _ => return Err(Malformed),
        }
        Ok(Layer { statements, first })
    }

    fn statements(&mut self, count: u64) -> Result<Vec<Statement>, Malformed> {
        let mut statements = Vec::new();
        for _ in 0..count {
            let head = self.reader.uint()?;
            let (eff, stamp) = self.stamp(head)?;
            let restriction = if head & UNRESTRICTED == 0 { self.text()? } else { NONE };
            let traits = self.pairs(head >> 3, false)?;
            let count = self.reader.uint()?;
            let marks = self.pairs(count, true)?;
            statements.push(Statement { eff, stamp, restriction, traits, marks });
        }
        Ok(statements)
    }

    /// An effective time and the whole stamp.
    fn stamp(&mut self, kept: u64) -> Result<(i64, Span), Malformed> {
        let one = self.reader.stamp(kept)?;
        let raw = self.reader.raw;
        let topic = &raw[one.topic.0..one.topic.1];
        let stamp = self.arena.written(|out| {
            write_stamp(out, one.eff, one.recv, one.offset as i64, one.partition);
            out.extend_from_slice(topic);
        });
        Ok((one.eff, stamp))
    }

    /// So many traits or marks; of these, those of devices have no value.
    fn pairs(&mut self, count: u64, are_marks: bool) -> Result<Pairs, Malformed> {
        let words = self.words;
        let mut pairs = Vec::with_capacity(count.min(PAIRS_USUAL as u64) as usize);
        for _ in 0..count {
            let code = self.reader.uint()?;
            if are_marks && code == DEVICE_MARK {
                let name = self.identifier("a")?;
                pairs.push(Pair { name, value: self.arena.nil });
                continue;
            }
            let name = self.word(code, &words.names)?;
            let is_context = are_marks && name == SEEN;
            let value = if is_context { self.context()? } else { self.value()? };
            pairs.push(Pair { name, value });
        }
        Ok(self.arena.add_pairs(&pairs))
    }

    /// A value as MessagePack.
    fn value(&mut self) -> Result<Span, Malformed> {
        let start = self.reader.at;
        let mut value = pack::Reader { raw: self.reader.raw, at: start };
        value.skip()?;
        self.reader.at = value.at;
        Ok(self.part(start, value.at))
    }

    /// A context, in its short form as it lies there.
    fn context(&mut self) -> Result<Span, Malformed> {
        let (start, end) = self.reader.run()?;
        self.arena.phrases.check(&self.reader.raw[start..end])?;
        Ok(self.part(start, end))
    }
}

/// A state that is written.
struct Writing<'a> {
    arena: &'a Arena,
    writer: Writer<'a>,
    words: &'a Words,
}

impl<'a> Writing<'a> {
    fn uint(&mut self, number: usize) {
        compact::uint(self.writer.out, number as u64);
    }

    fn text(&mut self, name: Name) {
        compact::run(self.writer.out, self.arena.text(name));
    }

    fn identifiers(&mut self, identifiers: &[Name]) {
        for &one in identifiers {
            self.identifier(one);
        }
    }

    fn identifier(&mut self, name: Name) {
        compact::identifier(self.writer.out, self.arena.text(name));
    }

    fn device(&mut self, device: &Device) {
        let Device { statements, points, linked } = device;
        let addresses = linked.len().min(MANY_ADDRESSES as usize);
        self.uint(8 * points.len() + 2 * addresses + usize::from(!statements.is_empty()));
        if !statements.is_empty() {
            self.uint(statements.len());
            self.statements(statements);
        }
        if addresses == MANY_ADDRESSES as usize {
            self.uint(linked.len());
        }
        self.identifiers(linked);
        for point in points {
            self.identifier(point.who);
            self.writer.instant(point.eff);
        }
    }

    fn person(&mut self, person: &Person) {
        self.layer(&person.own);
        match person.claim {
            None => self.uint(0),
            Some((stamp, who)) => {
                let stamp = self.arena.get(stamp);
                let kept = self.writer.kept(stamp);
                compact::uint(self.writer.out, 1 + kept);
                self.writer.stamp(stamp, kept);
                self.identifier(who);
            }
        }
        self.uint(person.sources.len());
        for (source, one) in &person.sources {
            self.identifier(*source);
            compact::sint(self.writer.out, one.version);
            self.layer(&one.identified);
            self.layer(&one.anonymous);
        }
    }

    fn layer(&mut self, layer: &Layer) {
        let form = match layer.first[..] {
            [] => NONE_FIRST,
            [(NONE, _)] => USUAL_FIRST,
            _ => SEVERAL_FIRST,
        };
        self.uint(4 * layer.statements.len() + form as usize);
        self.statements(&layer.statements);
        if let Some(earliest) = layer.statements.first() {
            self.writer.time = earliest.eff;
        }
        if form == SEVERAL_FIRST {
            self.uint(layer.first.len());
        }
        for &(restriction, eff) in &layer.first {
            if form == SEVERAL_FIRST {
                self.text(restriction);
            }
            self.writer.instant(eff);
        }
    }

    fn statements(&mut self, statements: &[Statement]) {
        let arena = self.arena;
        for one in statements {
            let stamp = arena.get(one.stamp);
            let kept = self.writer.kept(stamp);
            let unrestricted = if one.restriction == NONE { UNRESTRICTED } else { 0 };
            self.uint(8 * one.traits.len() + (kept | unrestricted) as usize);
            self.writer.stamp(stamp, kept);
            if one.restriction != NONE {
                self.text(one.restriction);
            }
            for pair in arena.pairs(one.traits) {
                compact::word(self.writer.out, arena.text(pair.name), &self.words.names);
                self.writer.out.extend_from_slice(arena.get(pair.value));
            }
            self.uint(one.marks.len());
            for &mark in arena.pairs(one.marks) {
                self.mark(mark);
            }
        }
    }

    /// A device's mark is its identifier; a context is in its short form.
    fn mark(&mut self, mark: Pair) {
        let (name, value) = (self.arena.text(mark.name), self.arena.get(mark.value));
        if value == NIL && name.starts_with(DEVICE) {
            compact::uint(self.writer.out, DEVICE_MARK);
            compact::identifier(self.writer.out, &name[1..]);
            return;
        }
        compact::word(self.writer.out, name, &self.words.names);
        if mark.name == SEEN {
            compact::run(self.writer.out, value);
        } else {
            self.writer.out.extend_from_slice(value);
        }
    }
}
